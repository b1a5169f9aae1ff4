"""Remembers whose access token is whose, so that the agents' most frequent calls need no query for it.

It proves nothing: a session may have ended since. Each transaction that relies on it asks `service.still_signed_in`.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam
from sqlmodel import col, select

from api.agents.models import AgentRow
from api.agents.service import AgentCaller
from api.contract.base import AgentKind
from api.db.columns import UtcDateTime
from api.db.database import Database
from api.db.statements import Columns, among
from api.db.transaction import Read

_LARGEST = 50_000
"""A few hundred bytes each."""

_SESSION: Any = select(AgentRow.id, AgentRow.kind, AgentRow.install_id, AgentRow.access_hash, AgentRow.access_until)  # type: ignore[call-overload]
_CALLERS: Columns[str, AgentKind, str | None, str, datetime] = Columns(
    _SESSION.where(
        among(AgentRow.access_hash, "hashes"),
        col(AgentRow.revoked_at).is_(None),
        col(AgentRow.access_until) >= bindparam("now", None, UtcDateTime),
    )
)


class KnownSessions:
    """Lives on the event loop."""

    def __init__(self) -> None:
        self._callers: OrderedDict[str, AgentCaller] = OrderedDict()
        self._asked: dict[str, asyncio.Future[AgentCaller | None]] = {}
        self._asking: asyncio.Task[None] | None = None

    def find(self, access_hash: str, now: datetime) -> AgentCaller | None:
        """Whose token this is, if it was remembered and its time isn't over."""
        caller = self._callers.get(access_hash)
        return caller if caller and now <= caller.until else None

    async def look_up(self, db: Database, access_hash: str) -> AgentCaller | None:
        """Whose token this is, or None if it isn't good. Those that come while a query runs share the next."""
        known = self.find(access_hash, db.now())
        if known:
            return known
        asked = self._asked.get(access_hash)
        if asked is None:
            asked = self._asked[access_hash] = asyncio.get_running_loop().create_future()
            if self._asking is None or self._asking.done():
                self._asking = asyncio.create_task(self._ask(db), name="agents-sessions")
        return await asyncio.shield(asked)

    async def _ask(self, db: Database) -> None:
        """One query after the other, as long as there are tokens to ask for."""
        await asyncio.sleep(0)  # whoever comes in the same turn of the loop joins
        while self._asked:
            asked, self._asked = self._asked, {}
            try:
                found = await db.read(_callers, asked)
            except Exception as error:
                for answer in asked.values():
                    answer.set_exception(error)
                continue
            for caller in found.values():
                self.remember(caller)
            for access_hash, answer in asked.items():
                answer.set_result(found.get(access_hash))

    def remember(self, caller: AgentCaller) -> None:
        """Keep it; the oldest goes if there are too many."""
        self._callers[caller.access_hash] = caller
        while len(self._callers) > _LARGEST:
            self._callers.popitem(last=False)

    def forget(self, caller: AgentCaller) -> None:
        """Its session has ended: from now on it is refused without a write, which would make its whole batch run again."""
        self._callers.pop(caller.access_hash, None)


def _callers(tx: Read, access_hashes: Iterable[str]) -> dict[str, AgentCaller]:
    """The agents that have these access tokens, by the tokens' hashes; without those that aren't good."""
    found = tx.session.columns(_CALLERS, hashes=access_hashes, now=tx.now)
    return {caller.access_hash: caller for caller in (AgentCaller(*row) for row in found)}
