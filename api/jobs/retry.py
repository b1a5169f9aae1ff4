"""When a failed attempt is worth another one. Pure."""

from datetime import timedelta

from api.contract.agents import JobKind
from api.contract.base import Failure

MAX_ATTEMPTS = 4
RUNS_ONCE: tuple[JobKind, ...] = ("apply", "destroy")
"""Jobs that change the customer's account: never offered again by themselves, because the first attempt may have acted."""

AGENT_LOST = "agent_lost"
"""Why an attempt failed whose agent was not heard of again for too long."""


def delay(kind: JobKind, attempt: int, failure: Failure) -> timedelta | None:
    """How long to wait before attempt n+1, or None if there shall be none.

    2, 4, 8 seconds: long enough for a registry or a network to come back, short enough for somebody who watches.
    """
    if kind in RUNS_ONCE or not failure.retryable or attempt >= MAX_ATTEMPTS:
        return None
    return timedelta(seconds=2**attempt)
