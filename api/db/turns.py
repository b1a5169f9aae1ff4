"""Which writes come next, and which of them share a commit.

Urgent writes are the agents' calls: small, many, and somebody waits for each. They come first, all that wait in one commit.
After each such commit whoever else waits gets as much time as that one took: neither keeps the other from getting on, and an
agent's call never waits for a long row of large changes.
"""

import asyncio
import contextlib
import queue
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from api.db.transaction import Write

_URGENT_AT_ONCE = 256
_OTHERS_TOGETHER = 8
"""So many writes of a kind share a savepoint, and with it what they look up."""
_LEAST_SECONDS = 0.005
_MOST_SECONDS = 0.05
"""What others get at least and at most, before urgent writes come again."""


@dataclass(eq=False)
class Job:
    """One write that waits for its turn.

    One with a `topic` that gives None has found nothing to do: it waits for the topic (`standing`), and runs with the arguments
    `later` from then on.
    """

    change: Callable[..., Any]
    actor: str
    done: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    load: Callable[[Write, list[Any]], None] | None = None
    arguments: tuple[Any, ...] = ()
    urgent: bool = False
    topic: str = ""
    later: tuple[Any, ...] = ()
    given_up: bool = False
    topics: set[str] = field(default_factory=set)
    result: Any = None
    error: BaseException | None = None

    def run(self, tx: Write) -> Any:
        """What the change returns."""
        return self.change(tx, *self.arguments)

    @property
    def found_nothing(self) -> bool:
        """Whether it has run, and is to run again when its topic is rung."""
        return bool(self.topic) and self.result is None and self.error is None

    def tell(self) -> None:
        """Tell the caller, on the caller's loop. A caller that gave up meanwhile isn't told."""
        if self.done.done():
            return
        if self.error is not None:
            self.done.set_exception(self.error)
        else:
            self.done.set_result(self.result)


class Turns:
    """The writes that wait. `put` and `end` are for any thread, `commits` is for the writer's."""

    def __init__(self) -> None:
        self._arriving: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._urgent: deque[Job] = deque()
        self._others: deque[Job] = deque()
        self._ended = False

    def __len__(self) -> int:
        return self._arriving.qsize() + len(self._urgent) + len(self._others)

    def put(self, job: Job) -> None:
        """Have a write wait for its turn."""
        self._arriving.put(job)

    def end(self) -> None:
        """No more writes will come: `commits` ends after those that wait."""
        self._arriving.put(None)

    def commits(self) -> Iterator[Iterator[list[Job]]]:
        """Commit after commit, each as groups of writes that share a savepoint, at least one: the writer takes them all."""
        while self._wait():
            seconds = 0.0
            if self._urgent:
                begun = time.perf_counter()
                yield iter(groups_of([self._urgent.popleft() for _ in range(min(len(self._urgent), _URGENT_AT_ONCE))]))
                seconds = time.perf_counter() - begun
            self._take_in()
            if self._others:
                yield self._for(min(max(seconds, _LEAST_SECONDS), _MOST_SECONDS))

    def _for(self, seconds: float) -> Iterator[list[Job]]:
        """Other writes in the order in which they came, at least one, until so many seconds have passed."""
        until = time.perf_counter() + seconds
        while True:
            group = [self._others.popleft()]
            while self._others and group[0].load and self._others[0].load is group[0].load and len(group) < _OTHERS_TOGETHER:
                group.append(self._others.popleft())
            yield group
            if not self._others or time.perf_counter() > until:
                return

    def _wait(self) -> bool:
        """Wait for a write; False if none will come."""
        self._take_in()
        while not (self._urgent or self._others or self._ended):
            self._keep(self._arriving.get())
            self._take_in()
        return bool(self._urgent or self._others)

    def _take_in(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._keep(self._arriving.get_nowait())

    def _keep(self, job: Job | None) -> None:
        if job is None:
            self._ended = True
        else:
            (self._urgent if job.urgent else self._others).append(job)


def groups_of(batch: list[Job]) -> list[list[Job]]:
    """The jobs of a batch in order; those that are loaded together stand at the place of the first."""
    groups: dict[object, list[Job]] = {}
    for at, job in enumerate(batch):
        groups.setdefault(job.load or at, []).append(job)
    return list(groups.values())
