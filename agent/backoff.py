"""How long to wait before the next try."""

import random
from collections.abc import Callable

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 64.0
FIRST_CONTACT = 60
"""So many tries, which take half a minute, are made quickly before an agent has ever had an answer."""


class Backoff:
    """Full jitter: a wait is uniform in a window of 1, 2, 4, … 64 s.

    Agents that lost the IMS together so don't return together. With `eager`, the first so many tries stay in the shortest
    window: for a first contact, in which an agent and its IMS may have been started together. `uniform` is `random.uniform` or
    a test's own.
    """

    def __init__(self, uniform: Callable[[float, float], float] = random.uniform, *, eager: int = 0) -> None:
        self._uniform = uniform
        self._eager = eager
        self._tries = 0

    def next(self, at_least: float | None = None) -> float:
        """Seconds to wait after one more failure; never less than `at_least`, the server's `Retry-After`."""
        window = min(LONGEST_SECONDS, FIRST_SECONDS * 2 ** max(0, self._tries - self._eager))
        self._tries = min(self._tries + 1, self._eager + 16)
        return max(at_least or 0.0, self._uniform(0, window))

    def reset(self) -> None:
        """Begin again with the shortest window, after a success."""
        self._tries = 0
