"""Ids: a prefix that says what it is, then a ULID, so that ids sort by the time they were made."""

import random
import secrets
import threading
from datetime import datetime

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32, in lower case
_PAIRS = [first + second for first in ALPHABET for second in ALPHABET]


class IdMaker:
    """Makes ids that grow, also within one millisecond (ULID's monotonic rule). Safe to share between threads."""

    def __init__(self) -> None:
        self._last = 0
        self._random = random.Random(secrets.randbits(128))  # noqa: S311 - an id is no secret; the system's would cost more
        self._lock = threading.Lock()

    def new(self, prefix: str, now: datetime) -> str:
        """`prefix_` and 26 characters: 48 bits of Unix milliseconds, 80 bits that are random or one more than the last."""
        fresh = (int(now.timestamp() * 1000) << 80) | self._random.getrandbits(80)
        with self._lock:
            if fresh <= self._last:
                fresh = self._last + 1
            self._last = fresh
        return f"{prefix}_" + "".join([_PAIRS[(fresh >> shift) & 1023] for shift in range(120, -1, -10)])
