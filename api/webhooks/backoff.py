"""When a delivery that failed is tried again."""

from datetime import timedelta

STEPS = (5, 30, 120, 600, 3600, 6 * 3600, 12 * 3600, 24 * 3600, 24 * 3600)
"""Seconds after each failed attempt: 10 attempts in about 2 days and 19 hours, then the delivery has failed."""

_JITTER = 0.2
GIVE_UP = timedelta(days=5)
"""A webhook to which nothing was delivered for so long is switched off."""


def delay(tries: int, *, random: float, retry_after: float | None = None) -> timedelta | None:
    """How long to wait after so many failed attempts, or None to give up. `random` is between 0 and 1.

    The jitter keeps what failed together from coming back together. A receiver may ask for more time, up to an hour.
    """
    if tries > len(STEPS):
        return None
    seconds = STEPS[tries - 1] * (1 - _JITTER + 2 * _JITTER * random)
    return timedelta(seconds=max(seconds, min(retry_after or 0, 3600)))
