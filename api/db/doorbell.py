"""Wakes the requests that wait for something to change.

A ring says only "look again": whoever wakes reads the database anew, so a lost or needless ring costs time, never truth.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable

from api.db.standing import Standing


class Doorbell:
    """Topics are plain strings such as `deploy:dep_…`. Lives on one event loop."""

    def __init__(self) -> None:
        self._waiters: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self.standing = Standing()
        self.closed = False

    def ring(self, topics: Iterable[str]) -> None:
        """Wake everyone who waits on one of the topics."""
        for topic in topics:
            for waiter in self._waiters.get(topic, ()):
                waiter.set()

    def ring_all(self) -> None:
        """Wake everyone: something has changed, and nobody knows what."""
        self.ring(list(self._waiters))

    def close(self) -> None:
        """Wake everyone, now and from now on: the server stops."""
        self.closed = True
        self.ring_all()
        for job in self.standing.end():
            job.tell()

    @property
    def waiting(self) -> int:
        """How many listen or stand now."""
        return len({id(waiter) for waiters in self._waiters.values() for waiter in waiters}) + len(self.standing)

    def listen(self, *topics: str) -> "Listener":
        """Begin to listen. Do so before you read, or a change between reading and waiting is missed."""
        return Listener(self, topics)


class Listener:
    """A context in which no ring of its topics is missed."""

    def __init__(self, bell: Doorbell, topics: tuple[str, ...]) -> None:
        self._bell = bell
        self._topics = topics
        self._event = asyncio.Event()

    def __enter__(self) -> "Listener":
        for topic in self._topics:
            self._bell._waiters[topic].add(self._event)
        return self

    def __exit__(self, *_: object) -> None:
        for topic in self._topics:
            waiters = self._bell._waiters[topic]
            waiters.discard(self._event)
            if not waiters:
                del self._bell._waiters[topic]

    async def wait(self, seconds: float) -> bool:
        """Wait for a ring. False when the time passed or the server stops."""
        if self._bell.closed or seconds <= 0:
            return False
        try:
            async with asyncio.timeout(seconds):  # not wait_for: until Python 3.12 it loses a cancellation that meets a ring
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return not self._bell.closed
