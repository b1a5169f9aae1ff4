"""Writes that found nothing to do, and wait until a commit rings for them."""

import threading
from collections.abc import Iterable
from typing import Generic, TypeVar

from api.db.turns import Job

R = TypeVar("R")


class Standing:
    """Those of one process, the longest waiting first. For any thread.

    A write is taken or withdrawn, never both: whoever gets it says how it ended.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, dict[Job, None]] = {}
        self._ended = False

    def __len__(self) -> int:
        with self._lock:
            return sum(map(len, self._waiting.values()))

    def keep(self, job: Job) -> bool:
        """Have a write wait for its topic. False if nobody waits for it any more."""
        with self._lock:
            if job.given_up or self._ended:
                return False
            job.arguments = job.later
            self._waiting.setdefault(job.topic, {})[job] = None
            return True

    def take(self, topics: Iterable[str]) -> list[Job]:
        """The writes that wait for one of these topics, which no longer wait."""
        with self._lock:
            return [job for topic in topics for job in self._waiting.pop(topic, ())]

    def take_all(self) -> list[Job]:
        """Every write."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
            return [job for jobs in waiting.values() for job in jobs]

    def withdraw(self, job: Job) -> bool:
        """Give a write up. False if it doesn't wait: it is told when it has run."""
        with self._lock:
            job.given_up = True
            waiting = self._waiting.get(job.topic, {})
            if job not in waiting:
                return False
            del waiting[job]
            if not waiting:
                del self._waiting[job.topic]
            return True

    def end(self) -> list[Job]:
        """Every write, and none waits from now on."""
        with self._lock:
            self._ended = True
        return self.take_all()


class Waiting(Generic[R]):
    """A write that waits, as its caller has it. Lives on the caller's event loop."""

    def __init__(self, job: Job, standing: Standing) -> None:
        self._job = job
        self._standing = standing

    async def result(self, seconds: float) -> R | None:
        """What the change gave, once it is committed; None when so many seconds have passed, and when it was given up.

        Raises what the change raised.
        """
        timer = self._job.loop.call_later(seconds, self.give_up)
        try:
            result: R | None = await self._job.done
        finally:
            timer.cancel()
            self.give_up()
        return result

    def give_up(self) -> None:
        """Don't wait any longer. If it is running just now, `result` still tells how that went."""
        if self._standing.withdraw(self._job):
            self._job.tell()
