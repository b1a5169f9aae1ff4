"""The heartbeat loop: renews one job's lease, and hears whether the job is to stop."""

import asyncio
import logging
from collections.abc import Callable

from agent.cancellation import Cancellation
from agent.session import Session
from api.client import ApiError, UnreachableError
from api.contract.agents import Lease

log = logging.getLogger(__name__)

_LOST = {404, 409, 410}
_FASTEST_RETRY = 1.0


async def heartbeat_loop(
    session: Session, lease: Lease, cancellation: Cancellation, pace_log: Callable[[float], None] = lambda seconds: None
) -> None:
    """Renew `lease` until it is lost; returns then, and ends otherwise only by being cancelled.

    `pace_log` hears how long log lines may wait.

    While the IMS can't be reached the job goes on: its attempt stays the current one until the IMS gives out another.
    """
    interval = lease.heartbeat_seconds
    wait = interval
    while True:
        await asyncio.sleep(wait)
        try:
            answer = await session.heartbeat(lease.job_id, lease.attempt, timeout=max(interval, 5.0))
        except UnreachableError as error:
            wait = _sooner(interval)
            log.warning("heartbeat of %s: %s", lease.job_id, error)
        except ApiError as error:
            if error.of_ims and error.status in _LOST:
                log.warning("heartbeat of %s: attempt %d is lost: %s", lease.job_id, lease.attempt, error)
                return
            wait = max(error.retry_after or 0.0, _sooner(interval))
            log.warning("heartbeat of %s: %s", lease.job_id, error)
        else:
            wait = interval = answer.heartbeat_seconds
            pace_log(answer.log_seconds)
            if answer.cancel != "none":
                log.info("heartbeat of %s: asked to stop (%s)", lease.job_id, answer.cancel)
                cancellation.request(answer.cancel)


def _sooner(interval: float) -> float:
    """A third of the interval: two more tries before the lease can have run out."""
    return max(_FASTEST_RETRY, interval / 3)
