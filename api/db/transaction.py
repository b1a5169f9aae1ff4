"""What a service function gets: a session, the time, ids, and the two things that happen with a commit."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from sqlmodel import Session
from sqlmodel.sql.expression import SelectOfScalar

from api.contract.base import Json
from api.db.scope import EVERYTHING, Scope

R = TypeVar("R")


@dataclass
class Read:
    """A read transaction. Its connection refuses to write. `scope` is what the caller sees (see `api.access.Caller`)."""

    session: Session
    now: datetime
    scope: Scope = field(default=EVERYTHING, kw_only=True)

    def all(self, query: SelectOfScalar[R]) -> list[R]:
        """Every row of a query."""
        return list(self.session.exec(query))

    def first(self, query: SelectOfScalar[R]) -> R | None:
        """The first row of a query, or None."""
        return self.session.exec(query).first()


@dataclass
class Write(Read):
    """A write transaction: what is changed, recorded and rung in it becomes visible together, or not at all."""

    actor: str
    new_id: Callable[[str], str]
    record: Callable[["Write", str, str, Json, Json], None]
    topics: set[str] = field(default_factory=set)
    refusals: list[tuple[str, str, Json]] = field(default_factory=list)

    def emit(self, action: str, object_id: str, *, before: Json = None, after: Json = None) -> None:
        """Add one line to the audit history. Never give it a secret value."""
        self.record(self, action, object_id, before, after)

    def ring(self, *topics: str) -> None:
        """Wake whoever waits on the topics, once this transaction is committed."""
        self.topics.update(topics)

    def note_refusal(self, action: str, object_id: str, after: Json) -> None:
        """Record an event even though this change is about to be refused (and undone) by an exception."""
        self.refusals.append((action, object_id, after))
