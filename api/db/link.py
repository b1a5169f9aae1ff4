"""How a transaction's statements reach the database.

`Link` runs each at once. A database that is another process has `pipeline.PipelinedLink`, which waits for it less often.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

Rows = list[Sequence[Any]]


class StaleRowError(Exception):
    """A row that was to be changed isn't there any more."""


class Change(Protocol):
    """A statement that is run for each of many rows (`statements.Command`)."""

    text: str

    @property
    def many(self) -> "Bulk | None":
        """The same for many rows at once, where that is quicker."""

    def bind(self, values: Mapping[str, Any]) -> Any:
        """What the driver is given for one row."""


class Bulk(Protocol):
    """One statement for many rows."""

    text: str

    def bind(self, many: Sequence[Mapping[str, Any]]) -> Any:
        """What the driver is given for all rows."""


def run(connection: Connection, text: str, parameters: Any = (), *, many: bool = False) -> Any:
    """Run a text; gives the driver's cursor. Raises SQLAlchemy's errors."""
    tell(connection, text, parameters, many=many)
    cursor = connection.connection.cursor()
    errors: Any = connection.dialect.loaded_dbapi.Error
    try:
        (cursor.executemany if many else cursor.execute)(text, parameters)
    except errors as error:
        raise as_sqlalchemy_s(error, connection, text, cursor) from error
    return cursor


def tell(connection: Connection, text: str, parameters: Any, *, many: bool = False) -> None:
    """Let those hear who listen to what is asked of the database."""
    for told in connection.dispatch.before_cursor_execute:  # as of all that SQLAlchemy runs itself
        told(connection, None, text, parameters, None, many)


def as_sqlalchemy_s(error: Any, connection: Connection, text: str, cursor: Any = None) -> Any:
    """The driver's error as SQLAlchemy's. A connection that is lost is known to be lost."""
    pooled, dialect = connection.connection, connection.dialect
    lost = dialect.is_disconnect(error, pooled.dbapi_connection, cursor)
    if lost:
        connection.invalidate(error)
    return DBAPIError.instance(
        text,
        None,
        error,
        dialect.loaded_dbapi.Error,
        hide_parameters=True,
        connection_invalidated=lost,
        dialect=dialect,
    )


def check_changed(changed: int, expected: int | None, text: str) -> None:
    """Raises StaleRowError if a statement met fewer rows than it should have. None: any number is right."""
    if expected is not None and changed != expected:
        raise StaleRowError(f"of {expected} rows that were to be changed, {changed} are there: {text}")


class Link:
    """The connection of one transaction, which somebody else begins and ends. Each statement runs at once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.dialect = connection.dialect
        self.answered = False
        """Whether the database has answered anything."""

    def rows(self, text: str, parameters: Any) -> Rows:
        """Run a query; all rows as the driver gives them. Raises SQLAlchemy's errors, as all of these do, and StaleRowError."""
        cursor = run(self._connection, text, parameters)
        found: Rows = cursor.fetchall()
        cursor.close()
        self.answered = True
        return found

    def rows_of(self, queries: Sequence[tuple[str, Any]]) -> list[Rows]:
        """Run several queries, none of which needs what another finds."""
        return [self.rows(text, parameters) for text, parameters in queries]

    def change(self, change: Change, many: Sequence[Mapping[str, Any]], *, all_there: bool = False) -> None:
        """Run a change for each of many rows. `all_there`: raise StaleRowError if it meets fewer rows than that."""
        cursor = run(self._connection, change.text, [change.bind(values) for values in many], many=True)
        changed: int = cursor.rowcount
        cursor.close()
        check_changed(changed, len(many) if all_there else None, change.text)

    def say(self, text: str, parameters: Any = ()) -> None:
        """Run a statement that changes no row and gives nothing back."""
        run(self._connection, text, parameters).close()

    @contextlib.contextmanager
    def savepoint(self, name: str) -> Iterator[None]:
        """What is done in it is undone if it is left with an exception."""
        self.say(f"SAVEPOINT {name}")
        try:
            yield
        except BaseException:
            if not self._connection.invalidated:
                self.say(f"ROLLBACK TO SAVEPOINT {name}")
            raise
        self.say(f"RELEASE SAVEPOINT {name}")

    @property
    def lost(self) -> bool:
        """Whether the connection is lost, and the transaction with it."""
        return self._connection.invalidated

    def connection(self) -> Connection:
        """What it runs on, with nothing kept back."""
        return self._connection

    def commit(self) -> None:
        """Do what can be done before whoever began the transaction commits it."""
