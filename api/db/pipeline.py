"""How a transaction's statements reach PostgreSQL: in few messages.

Each message is answered on its own. Whoever waits for the answer lets go of the interpreter and of the processor, and gets
both back when nobody else has them: ten times what a small statement itself takes. So what gives nothing back is kept back,
and goes with the next query, or when its outcome must be known; the beginning of a transaction, too, and its end.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from sqlalchemy import Connection

from api.db.link import Change, Link, Rows, as_sqlalchemy_s, check_changed, run, tell


@dataclass
class _Unsent:
    text: str
    parameters: Any
    expected: int | None = None
    frame: bool = False
    """It can't fail: the start of a savepoint, or its end."""


class PipelinedLink(Link):
    """The connection of one transaction on PostgreSQL; see the module. An outcome is known when a savepoint is left."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._unsent: list[_Unsent] = []

    def rows(self, text: str, parameters: Any) -> Rows:
        """See `Link`."""
        return self.rows_of([(text, parameters)])[0]

    def rows_of(self, queries: Sequence[tuple[str, Any]]) -> list[Rows]:
        """See `Link`: one message for all."""
        if self.answered and not self._unsent and len(queries) == 1:
            return [super().rows(*queries[0])]
        for text, parameters in queries:
            tell(self._connection, text, parameters)
        found: list[Rows] = [cursor.fetchall() for cursor in self._send(queries)]
        self.answered = True
        return found

    def change(self, change: Change, many: Sequence[Mapping[str, Any]], *, all_there: bool = False) -> None:
        """See `Link`."""
        if len(many) > 1 and change.many:
            tell(self._connection, change.many.text, None)
            self._unsent.append(_Unsent(change.many.text, change.many.bind(many), len(many) if all_there else None))
            return
        tell(self._connection, change.text, None, many=len(many) > 1)
        for values in many:
            self._unsent.append(_Unsent(change.text, change.bind(values), 1 if all_there else None))

    def say(self, text: str, parameters: Any = ()) -> None:
        """See `Link`."""
        tell(self._connection, text, parameters)
        self._unsent.append(_Unsent(text, parameters))

    @contextlib.contextmanager
    def savepoint(self, name: str) -> Iterator[None]:
        """See `Link`. What came before it must have gone well before it begins: it doesn't undo that."""
        if not all(one.frame for one in self._unsent):
            self._send()
        begin = _Unsent(f"SAVEPOINT {name}", (), frame=True)
        self._unsent.append(begin)
        try:
            yield
            if begin in self._unsent and self._unsent[-1] is begin:
                self._unsent.pop()  # nothing was done in it
                return
            self._send()
        except BaseException:
            if self._connection.invalidated:
                raise
            began = begin not in self._unsent
            self._unsent = [] if began else self._unsent[: self._unsent.index(begin)]
            if began:
                run(self._connection, f"ROLLBACK TO SAVEPOINT {name}").close()
            raise
        self._unsent.append(_Unsent(f"RELEASE SAVEPOINT {name}", (), frame=True))

    def connection(self) -> Connection:
        """See `Link`."""
        self._send()
        return self._connection

    def commit(self) -> None:
        """The commit goes with what was kept back, if anything was."""
        if self._unsent:
            self._send(commit=True)

    def _send(self, queries: Sequence[tuple[str, Any]] = (), *, commit: bool = False) -> list[Any]:
        """Send what was kept back and these queries; gives the queries' cursors.

        After an error nothing that came later has run: PostgreSQL passes over the rest of the message.
        """
        unsent, self._unsent = self._unsent, []
        if not (unsent or queries or commit):
            return []
        pooled: Any = self._connection.connection
        counted, asked = [], []
        try:
            with pooled.pipeline():
                for one in unsent:
                    cursor = pooled.cursor()
                    cursor.execute(one.text, one.parameters or None)
                    counted.append((cursor, one))
                for text, parameters in queries:
                    cursor = pooled.cursor()
                    cursor.execute(text, parameters)
                    asked.append(cursor)
                if commit:
                    pooled.commit()
        except psycopg.Error as error:
            texts = [one.text for one in unsent] + [text for text, _ in queries]
            raise as_sqlalchemy_s(_cause(error), self._connection, "; ".join(texts)) from error
        for cursor, one in counted:
            check_changed(cursor.rowcount, one.expected, one.text)
        return asked


def _cause(error: psycopg.Error) -> psycopg.Error:
    """The error of the statement that failed, given that of one that was passed over because of it."""
    cause: BaseException | None = error
    while isinstance(cause, psycopg.errors.PipelineAborted):
        cause = cause.__context__
    return cause if isinstance(cause, psycopg.Error) else error
