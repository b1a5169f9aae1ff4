"""Server-Sent Events: whatever a doorbell announces, streamed until the server stops.

A route of this kind is an async generator with `response_class=EventSourceResponse`; FastAPI frames what it yields, sends a
comment every 15 s when there is nothing else, and ends the generator when the reader goes away. What can be refused is
refused in the route's dependencies: once the stream has begun, there is no status left to say it with.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Annotated

from fastapi import Header
from fastapi.sse import EventSourceResponse, ServerSentEvent

from api.db.doorbell import Doorbell

__all__ = ["EventSourceResponse", "LastEventId", "ServerSentEvent", "stream"]

LONGEST = 900.0
"""Seconds after which a stream ends. The reader comes back by itself and says where it was."""
PERMIT_SECONDS = 15.0
"""How often it is asked whether the reader may still read: a stream ends within a minute of its token."""
_RECHECK = 30.0
"""Seconds after which a stream looks without being rung for: a lost ring costs time, never an event."""

LastEventId = Annotated[str | None, Header(alias="Last-Event-ID", description="Go on after this one; readers send it back.")]


class Permit:
    """Whether the reader of a stream may still read: asked before what it gets, but not at every event."""

    def __init__(self, ask: Callable[[], Awaitable[bool]]) -> None:
        self._ask = ask
        self._asked = self._clock()

    async def holds(self) -> bool:
        """Ask, if it has been a while."""
        if self._clock() - self._asked < PERMIT_SECONDS:
            return True
        self._asked = self._clock()
        return await self._ask()

    def _clock(self) -> float:
        return asyncio.get_running_loop().time()


async def stream(
    bell: Doorbell,
    topic: str,
    read: Callable[[], Awaitable[Sequence[ServerSentEvent]]],
    permit: Permit,
    *,
    begin: str | None = None,
    seconds: float = LONGEST,
) -> AsyncIterator[ServerSentEvent]:
    """Give what `read` finds, again at every ring; `read` itself keeps in mind how far it is.

    `begin` is the id with which a reader comes back that was given nothing yet. An empty `read` means that there is no more for
    now. Ends when the server stops, when the reader may read no more, or after `seconds`.
    """
    clock = asyncio.get_running_loop().time
    until = clock() + seconds
    with bell.listen(topic) as listener:
        yield ServerSentEvent(id=begin, retry=2000)  # and the headers go out at once, though nothing may have happened yet
        while not bell.closed and clock() < until and await permit.holds():
            found = await read()
            for one in found:
                yield one
            if not found:
                await listener.wait(min(_RECHECK, until - clock()))
