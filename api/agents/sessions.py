"""Remembers whose access token is whose, so that the agents' most frequent calls need no query for it.

It proves nothing: a session may have ended since. Each transaction that relies on it asks `service.still_signed_in`.
"""

import asyncio
from collections import OrderedDict
from datetime import datetime

from api.agents.service import AgentCaller, callers
from api.db.database import Database

_LARGEST = 50_000
"""A few hundred bytes each."""


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
                found = await db.read(callers, asked)
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
