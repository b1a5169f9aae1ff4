"""Which applies are under way in this process, so that one that is in another's way can wait for it.

Without an `exclave_deployment` between them, a destroy removes a release and the install that runs it at the same time. The
IMS refuses the one until the other is torn down.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_TRY_SECONDS = 0.5
_QUIET_SECONDS = 3.0
"""Terraform begins what depends on a finished step at once; after so long without any work, nothing more will come."""


class Activity:
    """Counts the creates, updates and deletes that are under way."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._working = 0
        self._last = clock()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """One apply is under way inside the block."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def wait_for_others(self, stop: threading.Event) -> bool:
        """Step aside for a moment, inside `at_work`. Whether trying again can help.

        It can't once nobody else has worked for a while, or when the user has stopped Terraform.
        """
        with self._lock:
            self._working -= 1
        try:
            stopped = stop.wait(_TRY_SECONDS)
            with self._lock:
                return not stopped and (self._working > 0 or self._clock() - self._last < _QUIET_SECONDS)
        finally:
            with self._lock:
                self._working += 1

    def _count(self, change: int) -> None:
        with self._lock:
            self._working += change
            self._last = self._clock()
