"""When to try again, and how long to wait before it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

RETRY_STATUSES = frozenset({429, 502, 503, 504})
"""The answers that say: not now, perhaps later."""

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True)
class RetryPolicy:
    """Up to `tries` tries, with waits of `first_wait`, twice that, and so on, at most `longest_wait` (seconds).

    The default waits 0.5 + 1 + 2 + 4 s = 7.5 s in all, unless the server asks for more with Retry-After.
    """

    tries: int = 5
    first_wait: float = 0.5
    longest_wait: float = 60.0
    sleep: Sleep = asyncio.sleep

    def wait_before(self, next_try: int, retry_after: float | None = None) -> float | None:
        """Seconds before try number `next_try` (the first is 1), or None when there are no tries left."""
        if next_try > self.tries:
            return None
        wait: float = self.first_wait * 2 ** max(next_try - 2, 0)
        return min(max(wait, retry_after or 0.0), self.longest_wait)

    async def pause(self, next_try: int, retry_after: float | None = None) -> bool:
        """Wait before try number `next_try`; False, at once, when there are no tries left."""
        wait = self.wait_before(next_try, retry_after)
        if wait is None:
            return False
        await self.sleep(wait)
        return True


def retry_after_seconds(header: str | None, now: datetime) -> float | None:
    """The value of a Retry-After header (RFC 9110, section 10.2.3) in seconds: a number, or a date."""
    if header is None:
        return None
    if header.strip().isdigit():
        return float(header)
    try:
        date = parsedate_to_datetime(header)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max((date - now).total_seconds(), 0.0)
