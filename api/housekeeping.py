"""What a running IMS does beside the sweep, without hurry: notices agents that are gone, removes what is kept no longer."""

import asyncio
import logging
from datetime import datetime, timedelta

from api.agents import health
from api.db import idempotency
from api.db.database import Database
from api.events import pruning
from api.jobs import forgetting, retention
from api.logins import service as logins
from api.settings import Settings
from api.webhooks import deliveries

_log = logging.getLogger(__name__)

_PRESENCE_SECONDS = 5.0
_PRUNE_EVERY = timedelta(minutes=1)
_PRUNE_BATCHES = 5
"""At most so many small transactions a minute, so that the first pass over an old database disturbs nobody."""


async def run(db: Database, settings: Settings) -> None:
    """Until cancelled."""
    started = last_prune = None
    while True:
        try:
            now = await db.read(lambda tx: tx.now)
            if started is None or last_prune is None:
                started = last_prune = now
            await notice_offline(db, settings, started, now)
            if now - last_prune >= _PRUNE_EVERY:
                last_prune = now
                await prune(db, settings)
        except Exception:  # one bad pass must not be the last: the next one tries again
            _log.exception("housekeeping failed")
        await asyncio.sleep(_PRESENCE_SECONDS)


async def notice_offline(db: Database, settings: Settings, started: datetime, now: datetime) -> None:
    """Tell the history of agents that are gone. Not before each had the time to come back to a server that was away."""
    intervals = settings.intervals
    if (now - started).total_seconds() > intervals.offline and await db.read(health.overdue, intervals):
        await db.write("system", health.sweep, intervals)


async def prune(db: Database, settings: Settings) -> None:
    """Remove some of what is older than the settings allow."""
    if await db.read(idempotency.old):
        await db.write("system", idempotency.forget)
    if await db.read(logins.ended_long_ago):
        await db.write("system", logins.forget)
    if settings.retention_logs_days:
        await retention.prune(db, "system", timedelta(days=settings.retention_logs_days), batches=_PRUNE_BATCHES)
    if settings.retention_events_days:
        folder = settings.data / pruning.FOLDER if settings.retention_events_export else None
        await pruning.prune(db, settings.retention_events_days, folder, batches=_PRUNE_BATCHES)
    if settings.retention_jobs_days:
        await forgetting.forget(db, settings.retention_jobs_days, batches=_PRUNE_BATCHES)
    if settings.retention_webhooks_days:
        for _ in range(_PRUNE_BATCHES):
            if not await db.write("system", deliveries.forget, settings.retention_webhooks_days):
                break
    if settings.retention_health_days:
        await db.write("system", health.prune, settings.retention_health_days)
