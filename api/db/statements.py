"""SQL that is compiled once: what is read and written of single rows, and the queries that are asked all the time.

SQLAlchemy compiles it for either database, and its types turn values into what the driver takes and back. It then runs on the
driver's own cursor: what SQLAlchemy does around each execution takes a hundred times as long as a small statement itself.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Generic, TypeVar, TypeVarTuple

from sqlalchemy import ARRAY, Boolean, Column, Dialect, String, Table, bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator
from sqlmodel.sql.expression import Select, SelectOfScalar

from api.db.arrays import array_of
from api.db.link import Link, Rows

R = TypeVar("R")
Ts = TypeVarTuple("Ts")


class Command:
    """One statement for one kind of database, and what its parameters go through.

    `columns`: those that it sets. `named`: the names by which parameters are given, where these differ from the statement's.
    `many`: the same for many rows at once, where that is quicker.
    """

    def __init__(
        self,
        statement: Any,
        dialect: Dialect,
        columns: Iterable[str] | None = None,
        named: Mapping[str, str] | None = None,
        *,
        many: "Bulk | None" = None,
    ) -> None:
        names = None if columns is None else list(columns)
        compiled = statement.compile(dialect=dialect, column_keys=names, compile_kwargs={"render_postcompile": True})
        self.text = str(compiled)
        self.many = many
        self._constants = {name: value for name, value in compiled.params.items() if value is not None}
        self._positional: bool = compiled.positional
        self._parameters = [
            (
                name,
                (named or {}).get(name, name),
                compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect) if name in compiled.binds else None,
            )
            for name in (compiled.positiontup if compiled.positional else compiled.params)
        ]

    def rows(self, link: Link, values: Mapping[str, Any]) -> Rows:
        """Run it; all rows as the driver gives them. Raises SQLAlchemy's errors."""
        return link.rows(self.text, self.bind(values))

    def bind(self, values: Mapping[str, Any]) -> Any:
        """Parameters as the driver takes them."""
        if self._constants:
            values = {**self._constants, **values}
        if self._positional:
            return tuple([process(values[given]) if process else values[given] for _, given, process in self._parameters])
        return {name: process(values[given]) if process else values[given] for name, given, process in self._parameters}


class Bulk:
    """An INSERT, or an UPDATE of rows by their keys, of many rows at once: for PostgreSQL, with an array for each column.

    It takes the values of rows by their columns' names.
    """

    def __init__(
        self, table: Table, dialect: Dialect, columns: Sequence[Column[Any]], keys: Sequence[Column[Any]] = ()
    ) -> None:
        quote = dialect.identifier_preparer.quote
        named = [(column.key, column) for column in columns] + [(f"key_{column.key}", column) for column in keys]
        self._parameters = [(name, column.key, array_of(column.type, dialect)) for name, column in named]
        arrays = ", ".join(f"%({name})s::{column.type.compile(dialect=dialect)}[]" for name, column in named)
        into, values = dialect.identifier_preparer.format_table(table), ", ".join(quote(name) for name, _ in named)
        if keys:
            changes = ", ".join(f"{quote(column.name)} = given.{quote(column.key)}" for column in columns)
            same = " AND ".join(f"{into}.{quote(column.name)} = given.{quote(f'key_{column.key}')}" for column in keys)
            self.text = f"UPDATE {into} SET {changes} FROM unnest({arrays}) AS given({values}) WHERE {same}"  # noqa: S608
        else:
            self.text = f"INSERT INTO {into} ({values}) SELECT * FROM unnest({arrays})"  # noqa: S608 - names, no values

    def bind(self, many: Sequence[Mapping[str, Any]]) -> Any:
        """Parameters as the driver takes them."""
        return {name: array([values[given] for values in many]) for name, given, array in self._parameters}


class RowShape:
    """How single rows of a table are read and written, on one kind of database."""

    def __init__(self, table: Table, dialect: Dialect) -> None:
        self._table, self._dialect = table, dialect
        self._names = [column.key for column in table.columns]
        self._key = [column.key for column in table.primary_key]
        self._readers = [
            (at, column.key, process)
            for at, column in enumerate(table.columns)
            if (process := column.type.dialect_impl(dialect).result_processor(dialect, None))
        ]
        processes = {name: process for _, name, process in self._readers}
        self._key_at = [(self._names.index(name), processes.get(name)) for name in self._key]
        self._only_key_at = self._key_at[0][0] if self._key_at[0][1] is None and len(self._key) == 1 else None
        self._is_row = [column == bindparam(f"key_{column.key}", None, column.type) for column in table.primary_key]
        self._named = {f"key_{name}": name for name in self._key}
        self._bulk = dialect.name == "postgresql"
        every = Bulk(table, dialect, list(table.columns)) if self._bulk else None
        self.insert = Command(table.insert(), dialect, self._names, many=every)
        self.delete = Command(table.delete().where(*self._is_row), dialect, named=self._named)
        self.select = Command(table.select().where(*self._is_row), dialect, named=self._named)
        self.select_many = Command(table.select().where(among(table.primary_key.columns[0], "keys")), dialect)
        """Of a table whose primary key is one column of text."""
        self.update = cache(self._update)
        """Gives the command that sets certain columns of a row."""

    def _update(self, columns: tuple[str, ...]) -> Command:
        table, dialect = self._table, self._dialect
        many = Bulk(table, dialect, [table.c[name] for name in columns], list(table.primary_key)) if self._bulk else None
        return Command(table.update().where(*self._is_row), dialect, columns, self._named, many=many)

    def values(self, row: Sequence[Any]) -> dict[str, Any]:
        """A whole row as the driver gives it, by name and in our types."""
        values = dict(zip(self._names, row, strict=True))
        for at, name, process in self._readers:
            value = row[at]
            if value is not None:
                values[name] = process(value)
        return values

    def key_of(self, row: Sequence[Any]) -> Any:
        """The primary key of a row as the driver gives it."""
        if self._only_key_at is not None:
            return row[self._only_key_at]
        parts = tuple([process(row[at]) if process else row[at] for at, process in self._key_at])
        return parts[0] if len(parts) == 1 else parts

    def key(self, values: Mapping[str, Any]) -> Any:
        """The primary key of a row: one value, or a tuple."""
        return values[self._key[0]] if len(self._key) == 1 else tuple([values[name] for name in self._key])

    def where(self, key: Any) -> dict[str, Any]:
        """A primary key as parameters of `select`. Those of `update` and `delete` are a row's values."""
        return {self._key[0]: key} if len(self._key) == 1 else dict(zip(self._key, key, strict=True))


_shapes: dict[tuple[str, type], RowShape] = {}


def shape_of(of: type, dialect: Dialect) -> RowShape:
    """That of a class of rows; it is made once."""
    shape = _shapes.get((dialect.name, of))
    if shape is None:
        shape = _shapes[dialect.name, of] = RowShape(of.__table__, dialect)  # type: ignore[attr-defined]
    return shape


class Query(Generic[R]):
    """A query for whole rows of one table, with parameters (`sqlalchemy.bindparam` with a value of None, or `among`)."""

    def __init__(self, statement: SelectOfScalar[R]) -> None:
        self.of: type[R] = statement.column_descriptions[0]["entity"]
        self._statement = statement
        self._commands: dict[str, Command] = {}

    def command(self, dialect: Dialect) -> Command:
        """As it runs on a kind of database."""
        command = self._commands.get(dialect.name)
        if command is None:
            command = self._commands[dialect.name] = Command(self._statement, dialect)
        return command


class Columns(Generic[*Ts]):
    """A query for columns, with parameters as those of `Query`."""

    def __init__(self, statement: Select[*Ts]) -> None:
        self._statement = statement
        self._commands: dict[str, tuple[Command, list[tuple[int, Any]]]] = {}

    def rows(self, link: Link, parameters: Mapping[str, Any]) -> list[tuple[*Ts]]:
        """Run it; every row, in our types. Raises SQLAlchemy's errors."""
        dialect = link.dialect
        if dialect.name not in self._commands:
            types = [column.type.dialect_impl(dialect) for column in self._statement.selected_columns]
            readers = [(at, read) for at, of in enumerate(types) if (read := of.result_processor(dialect, None))]
            self._commands[dialect.name] = Command(self._statement, dialect), readers
        command, readers = self._commands[dialect.name]
        found: list[Any] = []
        for row in command.rows(link, parameters):
            values = list(row)
            for at, read in readers:
                values[at] = read(values[at])
            found.append(tuple(values))
        return found


class _Texts(TypeDecorator[Iterable[str]]):
    """Any number of texts as one parameter."""

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        return dialect.type_descriptor(ARRAY(String) if dialect.name == "postgresql" else String())

    def bind_processor(self, dialect: Dialect) -> Callable[[Iterable[str] | None], str]:
        literal = array_of(String(), dialect) if dialect.name == "postgresql" else json.dumps
        return lambda value: literal(list(value or ()))


class _Among(FunctionElement[bool]):
    type = Boolean()
    inherit_cache = True

    def self_group(self, against: Any = None) -> Any:
        """As it is: on SQLite a function's truth would be compared with 1, and no index be used."""
        return self


def among(column: Any, parameter: str) -> Any:
    """A query's condition: the column is one of the texts that a parameter has."""
    return _Among(column, bindparam(parameter, None, _Texts()))


@compiles(_Among, "sqlite")
def _among_json(element: _Among, compiler: Any, **options: Any) -> str:
    column, texts = (compiler.process(part, **options) for part in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({texts}))"  # noqa: S608 - names and parameters, no values


@compiles(_Among, "postgresql")
def _among_array(element: _Among, compiler: Any, **options: Any) -> str:
    column, texts = (compiler.process(part, **options) for part in element.clauses)
    return f"{column} = ANY({texts})"
