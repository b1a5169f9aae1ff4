"""Puts many writes into one commit."""

import asyncio
import threading
from collections.abc import Callable

from api.db.database import Database
from api.db.transaction import Write


class HeldWriter:
    """Keeps the writer busy, so that what is asked for meanwhile shares one commit."""

    def __init__(self, db: Database, first: Callable[[Write], object] = lambda _: None) -> None:
        self._db = db
        self._first = first
        self._go = threading.Event()

    async def __aenter__(self) -> "HeldWriter":
        begun = asyncio.Event()
        loop = asyncio.get_running_loop()

        def hold(tx: Write) -> None:
            self._first(tx)
            loop.call_soon_threadsafe(begun.set)
            assert self._go.wait(60)

        self._task = asyncio.create_task(self._db.write("test", hold))
        await begun.wait()
        return self

    async def queued(self, count: int) -> None:
        """Wait until so many writes share the commit to come."""
        async with asyncio.timeout(60):
            while self._db.queued < count:  # noqa: ASYNC110 - the queue is a thread's
                await asyncio.sleep(0)

    async def __aexit__(self, *_: object) -> None:
        self._go.set()
        await self._task
