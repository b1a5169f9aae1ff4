"""Remembers whose access token is whose, so that the agents' most frequent calls need no query for it.

It proves nothing: a session may have ended since. Each transaction that relies on it asks `service.still_signed_in`.
"""

from collections import OrderedDict
from datetime import datetime

from api.agents.service import AgentCaller

_LARGEST = 50_000
"""A few hundred bytes each."""


class KnownSessions:
    """Lives on the event loop."""

    def __init__(self) -> None:
        self._callers: OrderedDict[str, AgentCaller] = OrderedDict()

    def find(self, access_hash: str, now: datetime) -> AgentCaller | None:
        """Whose token this is, if it was remembered and its time isn't over."""
        caller = self._callers.get(access_hash)
        return caller if caller and now <= caller.until else None

    def remember(self, caller: AgentCaller) -> None:
        """Keep it; the oldest goes if there are too many."""
        self._callers[caller.access_hash] = caller
        while len(self._callers) > _LARGEST:
            self._callers.popitem(last=False)

    def forget(self, caller: AgentCaller) -> None:
        """Its session has ended: from now on it is refused without a write, which would make its whole batch run again."""
        self._callers.pop(caller.access_hash, None)
