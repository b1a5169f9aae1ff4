"""One transaction's rows: each is there once, and what is changed of them is written together.

There is one object for each row of the database, whichever query finds it. What is added, changed and deleted is written by
`flush`, which every query begins with, and the end of the transaction, too. There are no relationships and nothing is ever
loaded by itself. A row outlives its session, as a plain object.
"""

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any, TypeVar, TypeVarTuple, overload

from sqlalchemy import Connection, Delete, Executable, Insert, Result, ScalarResult, Update
from sqlalchemy import Select as CoreSelect
from sqlalchemy.engine import IteratorResult
from sqlalchemy.engine.result import SimpleResultMetaData
from sqlmodel.sql.expression import Select, SelectOfScalar

from api.db.link import Link
from api.db.row import Row
from api.db.statements import Columns, Command, Query, RowShape, shape_of

R = TypeVar("R")
Ts = TypeVarTuple("Ts")


@cache
def _place(of: type[Row]) -> int:
    """The place of a table in the order in which rows are inserted: what others refer to comes first."""
    return [table.name for table in of.metadata.sorted_tables].index(of.__tablename__)  # type: ignore[arg-type]


class Session:
    """For one thread. The transaction is the link's, which somebody else begins and ends."""

    def __init__(self, link: Link) -> None:
        self.info: dict[Any, Any] = {}
        """Whatever the transaction wants to remember."""
        self._link = link
        self._dialect = link.dialect
        self._rows: dict[tuple[type, Any], Any] = {}
        """By class and key. None: there is no such row."""
        self._new: list[Row] = []
        self._changed: dict[Row, dict[str, Any]] = {}
        """What the changed columns were."""
        self._gone: list[Row] = []
        self._note = self._note_change
        self._savepoints = 0

    def connection(self) -> Connection:
        """What it runs on. What isn't flushed isn't there yet."""
        return self._link.connection()

    def close(self) -> None:
        """Let go of all rows; what wasn't flushed is lost."""
        for of_transaction in (self.info, self._rows, self._new, self._changed, self._gone):
            of_transaction.clear()

    # reading

    def get(self, of: type[R], key: Any) -> R | None:
        """The row with this primary key (a tuple, if it has several columns), or None. One that is known needs no query."""
        try:
            known: R | None = self._rows[of, key]
        except KeyError:
            self.flush()
            shape = shape_of(of, self._dialect)
            found = shape.select.rows(self._link, shape.where(key))
            known = self._rows[of, key] = self._adopt(of, shape, found[0]) if found else None
        return known

    def get_one(self, of: type[R], key: Any) -> R:
        """The same of a row that must be there. Raises LookupError."""
        row = self.get(of, key)
        if row is None:
            raise LookupError(f"there is no {of.__name__} {key!r}")
        return row

    def get_many(self, of: type[R], keys: Iterable[str | None]) -> list[R]:
        """The rows with these primary keys, in any order, with one query for all that aren't known. None finds nothing."""
        wanted = {key for key in keys if key is not None}
        unknown = [key for key in wanted if (of, key) not in self._rows]
        if unknown:
            self.flush()
            shape = shape_of(of, self._dialect)
            for row in shape.select_many.rows(self._link, {"keys": unknown}):
                self._adopt(of, shape, row)
            self.lacks(of, unknown)
        return [row for key in wanted if (row := self._rows[of, key]) is not None]

    def fetch(
        self, *queries: tuple[Query[Any], Mapping[str, Any]], keys: Mapping[type, Iterable[str | None]] = MappingProxyType({})
    ) -> list[list[Any]]:
        """The rows of several queries, asked for at once: none needs what another finds.

        Of `keys`, rows by their primary keys, `get` and `get_many` know afterwards what there is.
        """
        self.flush()
        unknown = {
            of: [key for key in {*wanted} if key is not None and (of, key) not in self._rows] for of, wanted in keys.items()
        }
        asked: list[tuple[type, Command, Mapping[str, Any]]] = [
            (of, shape_of(of, self._dialect).select_many, {"keys": wanted}) for of, wanted in unknown.items() if wanted
        ]
        asked += [(query.of, query.command(self._dialect), parameters) for query, parameters in queries]
        answers = self._link.rows_of([(command.text, command.bind(parameters)) for _, command, parameters in asked])
        found = []
        for (of, _, _), rows in zip(asked, answers, strict=True):
            shape = shape_of(of, self._dialect)
            found.append([self._adopt(of, shape, row) for row in rows])
        for of, wanted in unknown.items():
            self.lacks(of, wanted)
        return found[len(found) - len(queries) :]

    def lacks(self, of: type, keys: Iterable[Any]) -> None:
        """Note that those of these keys that aren't known have no row, because somebody has looked."""
        for key in keys:
            self._rows.setdefault((of, key), None)

    def all(self, query: Query[R], **parameters: Any) -> list[R]:
        """Every row of a query that is compiled once."""
        self.flush()
        shape = shape_of(query.of, self._dialect)
        found = query.command(self._dialect).rows(self._link, parameters)
        return [self._adopt(query.of, shape, row) for row in found]

    def columns(self, query: Columns[*Ts], **parameters: Any) -> list[tuple[*Ts]]:
        """Every row of a query for columns that is compiled once."""
        self.flush()
        return query.rows(self._link, parameters)

    @overload
    def exec(self, statement: SelectOfScalar[R]) -> ScalarResult[R]: ...
    @overload
    def exec(self, statement: Select[*Ts]) -> Result[*Ts]: ...
    @overload
    def exec(self, statement: Update | Delete | Insert) -> Result[*tuple[Any, ...]]: ...
    def exec(self, statement: Any) -> Any:
        """Run any statement. A query for one thing gives that thing, not a tuple of one."""
        result = self.execute(statement)
        return result.scalars() if isinstance(statement, SelectOfScalar) else result

    def execute(self, statement: Executable) -> Result[*tuple[Any, ...]]:
        """Run any statement; a query's rows are tuples. What a statement changes is read anew, if it is asked for again."""
        self.flush()
        result: Result[*tuple[Any, ...]] = self._link.connection().execute(statement)
        if isinstance(statement, Update | Delete | Insert):
            changed: Any = statement.table
            for known in [known for known in self._rows if known[0].__tablename__ == changed.name]:  # type: ignore[attr-defined]
                del self._rows[known]
            return result
        described = statement.column_descriptions if isinstance(statement, CoreSelect) else []
        if not any(_is_row(one) for one in described):
            return result
        keys = [one["name"] for one in described]
        return IteratorResult(SimpleResultMetaData(keys), (self._with_rows(row, described) for row in result.all()))

    def _with_rows(self, row: Any, described: Any) -> tuple[Any, ...]:
        """A row of columns, with our objects in place of those that stand for them."""
        found, at = [], 0
        for one in described:
            if _is_row(one):
                of: type[Row] = one["entity"]
                names = of.__table__.columns.keys()  # type: ignore[attr-defined]
                found.append(self._adopt_loaded(of, dict(zip(names, row[at : at + len(names)], strict=True))))
                at += len(names)
            else:
                found.append(row[at])
                at += 1
        return tuple(found)

    def _adopt_loaded(self, of: type[Row], values: dict[str, Any]) -> Row | None:
        shape = shape_of(of, self._dialect)
        key = shape.key(values)
        missing = key is None or (isinstance(key, tuple) and None in key)  # of an outer join
        return None if missing else self._rows.get((of, key)) or self._make(of, key, values)

    def _adopt(self, of: Any, shape: RowShape, found: Sequence[Any]) -> Any:
        key = shape.key_of(found)
        return self._rows.get((of, key)) or self._make(of, key, shape.values(found))

    def _make(self, of: Any, key: Any, values: dict[str, Any]) -> Any:
        row = self._rows[of, key] = object.__new__(of)
        values["_note"] = self._note
        object.__setattr__(row, "__dict__", values)
        return row

    # changing

    def add(self, row: Row) -> None:
        """Insert a new row with the next flush. One that is there already stays as it is."""
        key = type(row), shape_of(type(row), self._dialect).key(row.__dict__)
        if self._rows.get(key) is not row:
            self._new.append(row)
            self._rows[key] = row

    def add_all(self, rows: Iterable[Row]) -> None:
        """Insert new rows with the next flush."""
        for row in rows:
            self.add(row)

    def delete(self, row: Row) -> None:
        """Delete a row with the next flush."""
        self._rows[type(row), shape_of(type(row), self._dialect).key(row.__dict__)] = None
        self._changed.pop(row, None)
        if row in self._new:
            self._new.remove(row)
        else:
            self._gone.append(row)

    def _note_change(self, row: Row, name: str, was: Any) -> None:
        """See `Row.__setattr__`."""
        self._changed.setdefault(row, {}).setdefault(name, was)

    def flush(self) -> None:
        """Write down what was added, changed and deleted, a statement for all rows of a kind.

        Raises SQLAlchemy's errors and StaleRowError: itself, or the next query or the end of the savepoint (see `pipeline`).
        """
        if not (self._new or self._changed or self._gone):
            return
        new, changed, gone = self._new, self._changed, self._gone
        self._new, self._changed, self._gone = [], {}, []
        inserts: defaultdict[type[Row], list[Row]] = defaultdict(list)
        for row in new:
            inserts[type(row)].append(row)
            row.__dict__["_note"] = self._note
        updates: defaultdict[type[Row], dict[tuple[str, ...], list[Row]]] = defaultdict(lambda: defaultdict(list))
        for row, was in changed.items():
            values = row.__dict__
            names = tuple(sorted(name for name, before in was.items() if values[name] is not before and values[name] != before))
            if names:
                updates[type(row)][names].append(row)
        deletes: defaultdict[type[Row], list[Row]] = defaultdict(list)
        for row in gone:
            deletes[type(row)].append(row)
        for of in sorted({*inserts, *updates}, key=_place):
            for names, rows in updates[of].items():
                self._update(of, names, rows)
            if inserts[of]:
                self._link.change(shape_of(of, self._dialect).insert, [row.__dict__ for row in inserts[of]])
        for of in sorted(deletes, key=_place, reverse=True):
            shape = shape_of(of, self._dialect)
            self._link.change(shape.delete, [row.__dict__ for row in deletes[of]])

    def _update(self, of: type[Row], names: tuple[str, ...], rows: list[Row]) -> None:
        update = shape_of(of, self._dialect).update(names)
        self._link.change(update, [row.__dict__ for row in rows], all_there=True)

    @contextlib.contextmanager
    def begin_nested(self) -> Iterator[None]:
        """A savepoint: if it is left with an exception, what was written in it is undone, and what was added is forgotten.

        Rows from before that were changed in it keep what they were changed to: don't use them any more.
        """
        self.flush()
        known = dict(self._rows)
        self._savepoints += 1
        try:
            with self._link.savepoint(f"sp_{self._savepoints}"):
                yield
                self.flush()
        except BaseException:
            self._rows, self._new, self._changed, self._gone = known, [], {}, []
            raise


def _is_row(described: Any) -> bool:
    """Whether a column of a query stands for a whole row."""
    entity = described.get("entity")
    return entity is not None and described["expr"] is entity
