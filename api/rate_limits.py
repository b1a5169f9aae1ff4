"""Rate limits: token buckets for the routes that take a secret from somebody who isn't signed in yet.

In memory, and per process: with several replicas the limits add up, which is enough against guessing and floods.
"""

import math
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from ipaddress import IPv6Address, ip_address
from typing import Literal

from starlette.requests import Request

from api.contract.problems import RateLimitedError
from api.settings import Rate, RateLimits

Door = Literal["enroll", "sign_in", "login", "registry_token"]

_LARGEST = 20_000
"""So many buckets are kept at most: a few megabytes."""


class Limiter:
    """The buckets of one process. They must be used from one thread: that of the event loop.

    A bucket that is full again is forgotten. While no more fit, a newcomer is refused: these doors stay closed in doubt.
    """

    def __init__(self, limits: RateLimits, clock: Callable[[], datetime], *, largest: int = _LARGEST) -> None:
        self._limits = limits
        self._clock = clock
        self._largest = largest
        # By key, the least recently used first: the tokens that were left, and when.
        self._buckets: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def enter(self, door: Door, request: Request, *, agent_id: str | None = None) -> None:
        """Take one token of the caller's. Raises RateLimitedError with the seconds to wait."""
        address = client_address(request)
        rate: Rate = getattr(self._limits, door)
        self._take(door, address, rate)
        if agent_id is not None:
            self._take("agent", f"{address} {agent_id[:64]}", self._limits.sign_in_of_agent)

    def _take(self, kind: str, key: str, rate: Rate) -> None:
        now = self._clock().timestamp()
        left, since = self._buckets.pop((kind, key), (float(rate.burst), now))
        left = min(rate.burst, left + (now - since) * rate.per_minute / 60)
        if left >= 1 and self._has_room(now):
            self._buckets[(kind, key)] = (left - 1, now)
            return
        wait = 60.0 if left >= 1 else (1 - left) * 60 / rate.per_minute
        if left < 1:
            self._buckets[(kind, key)] = (left, now)
        raise RateLimitedError(
            "too many of these calls have come from this address",
            retry_after=max(1, math.ceil(wait)),
            remedy="Wait, then go on.",
        )

    def _has_room(self, now: float) -> bool:
        if len(self._buckets) < self._largest:
            return True
        oldest = next(iter(self._buckets))
        # A minute or more unused: every rate here has given back most of its burst by then.
        if now - self._buckets[oldest][1] < 60:
            return False
        del self._buckets[oldest]
        return True


def client_address(request: Request) -> str:
    """Where a request comes from. An IPv6 client has a whole /64 to choose from, so that counts as one."""
    host = request.client.host if request.client else ""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped.compressed if address.ipv4_mapped else f"{int(address) >> 64:x}::/64"
    return host
