"""Where names were found when they were judged, so that a connection goes there and nowhere else.

A name may stand for a public address when it is looked up to be judged, and for one inside the customer's network a moment
later, when it is looked up to be called (DNS rebinding). So what `check_reach` has found is what calls of registries use.
"""

import threading
import time
from collections.abc import Callable

HELD_SECONDS = 600.0
"""Longer than all tries of a request take; each new request of this kind is judged anew."""


class CheckedAddresses:
    """The addresses of names, as they were judged last. For several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._found: dict[str, tuple[float, tuple[str, ...]]] = {}

    def hold(self, host: str, addresses: tuple[str, ...]) -> None:
        """A name was judged by these addresses."""
        now = self._clock()
        with self._lock:
            self._found = {name: held for name, held in self._found.items() if now - held[0] < HELD_SECONDS}
            self._found[host.lower()] = now, addresses

    def of(self, host: str) -> tuple[str, ...]:
        """The addresses to call a name by; none if nobody has judged it lately, and any will do."""
        with self._lock:
            since, addresses = self._found.get(host.lower(), (0.0, ()))
        return addresses if addresses and self._clock() - since < HELD_SECONDS else ()


CHECKED = CheckedAddresses()
"""Of this process."""
