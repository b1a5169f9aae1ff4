"""What a service function gets: a session, the time, ids, and the two things that happen with a commit."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

from sqlmodel.sql.expression import SelectOfScalar

from api.contract.base import Json
from api.db.link import Link
from api.db.scope import EVERYTHING, Scope
from api.db.session import Session
from api.db.statements import Query

R = TypeVar("R")


@dataclass
class Read:
    """A read transaction. Its connection refuses to write. `scope` is what the caller sees (see `api.access.Caller`)."""

    session: Session
    now: datetime
    scope: Scope = field(default=EVERYTHING, kw_only=True)

    def get(self, of: type[R], key: Any) -> R | None:
        """One row by its primary key, or None. One that this transaction knows needs no query."""
        return self.session.get(of, key)

    def get_many(self, of: type[R], keys: Iterable[str | None]) -> list[R]:
        """Rows by their primary keys, in any order: those that aren't known yet with one query for all."""
        return self.session.get_many(of, keys)

    def fetch(
        self, *queries: tuple[Query[Any], Mapping[str, Any]], keys: Mapping[type, Iterable[str | None]] = MappingProxyType({})
    ) -> list[list[Any]]:
        """The rows of several queries in one message, and of `keys`, which `get` then finds (see `Session.fetch`)."""
        return self.session.fetch(*queries, keys=keys)

    @property
    def memo(self) -> dict[Any, Any]:
        """What lives as long as the session: for the transactions that share one (`Database.write_together`), too."""
        return self.session.info

    def all(self, query: SelectOfScalar[R] | Query[R], **parameters: Any) -> list[R]:
        """Every row of a query. One that is compiled once takes parameters."""
        return self.session.all(query, **parameters) if isinstance(query, Query) else list(self.session.exec(query))

    def first(self, query: SelectOfScalar[R]) -> R | None:
        """The first row of a query, or None."""
        return self.session.exec(query).first()


@dataclass
class Write(Read):
    """A write transaction: what is changed, recorded and rung in it becomes visible together, or not at all."""

    actor: str
    new_id: Callable[[str], str]
    history: "History"
    topics: set[str] = field(default_factory=set)
    refusals: list[tuple[str, str, Json]] = field(default_factory=list)

    def emit(
        self,
        action: str,
        object_id: str,
        *,
        before: Json = None,
        after: Json = None,
        app_id: str | None = None,
        install_id: str | None = None,
    ) -> None:
        """Add one line to the audit history. Never give it a secret value.

        `app_id` and `install_id` say whose history it is part of; an install's events are its app's, too, without being told.
        """
        self.history.add(self, action, object_id, before, after, app_id, install_id)
        self.topics.add("events")

    def ring(self, *topics: str) -> None:
        """Wake whoever waits on the topics, once this transaction is committed."""
        self.topics.update(topics)

    def note_refusal(self, action: str, object_id: str, after: Json) -> None:
        """Record an event even though this change is about to be refused (and undone) by an exception."""
        self.refusals.append((action, object_id, after))


class History(Protocol):
    """The audit history as the one writer keeps it (`api.events.chain`): a batch's lines are written together, at its end."""

    def begin(self, link: Link, *, shared: bool) -> None:
        """A batch begins. `shared`: another process may have added lines since the last one."""

    def add(
        self, tx: Write, action: str, object_id: str, before: Json, after: Json, app_id: str | None, install_id: str | None
    ) -> None:
        """One more line."""

    def mark(self) -> int:
        """How many lines the batch has so far."""

    def undo(self, mark: int) -> None:
        """Forget the lines since a mark: their change was undone."""

    def write(self, link: Link) -> None:
        """Write the batch's lines, in the transaction of the changes that they tell of."""

    def ended(self, *, committed: bool) -> None:
        """The batch is over; if it wasn't committed, its lines don't count."""
