"""A request to stop, passed from whoever learns of it (the heartbeat, the agent's own stop) to whatever is at work."""

import asyncio
from collections.abc import Coroutine
from typing import Literal, TypeVar

T = TypeVar("T")
Level = Literal["graceful", "force"]


class JobCancelledError(Exception):
    """The job stopped because it was asked to."""


class Cancellation:
    """A request that only ever gets more urgent: `graceful` (stop as soon as it is safe), then `force` (stop now)."""

    def __init__(self) -> None:
        self._events: dict[Level, asyncio.Event] = {"graceful": asyncio.Event(), "force": asyncio.Event()}

    def request(self, level: Level) -> None:
        """Ask to stop; asking again is harmless."""
        self._events["graceful"].set()
        self._events[level].set()

    @property
    def requested(self) -> bool:
        """Whether a stop was asked for, at any level."""
        return self._events["graceful"].is_set()

    async def wait(self, level: Level = "graceful") -> None:
        """Return once a stop of at least this level is asked for."""
        await self._events[level].wait()

    def check(self) -> None:
        """Raise JobCancelledError if a stop was asked for."""
        if self.requested:
            raise JobCancelledError


async def unless_cancelled(work: Coroutine[None, None, T], cancellation: Cancellation, level: Level = "graceful") -> T:
    """The result of `work`, which is dropped in the middle if a stop of this level is asked for.

    Raises JobCancelledError then.
    """
    task = asyncio.create_task(work)
    asked = asyncio.create_task(cancellation.wait(level))
    waited: list[asyncio.Future[T] | asyncio.Future[None]] = [task, asked]
    try:
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise JobCancelledError
    finally:
        asked.cancel()
        task.cancel()
        await asyncio.wait([task])
