"""Forgetting what ended long ago, if the vendor wants that. The history is never pruned, nor what is still open."""

import shutil
from datetime import timedelta
from pathlib import Path

from sqlalchemy import delete
from sqlmodel import col, select

from api.db.database import Database
from api.db.transaction import Read, Write
from api.deploys.models import DeployRow, StepRow
from api.jobs.models import JobRow, LogChunkRow
from api.tickets.models import TicketRow

EVERY = 3600.0
"""Seconds between two passes."""
_AT_ONCE = 200


async def prune(db: Database, logs: Path, days: int | None) -> int:
    """Forget jobs that ended so many days ago, with logs and tickets; None keeps them. How many were forgotten.

    In small writes, so that nobody waits for it. The files go last: a kill in between leaves files, never a row without one.
    """
    pruned = 0
    while days is not None and len(await db.read(_old, days)):
        gone = await db.write("system", _prune_jobs, days)
        for job_id in gone:
            shutil.rmtree(logs / job_id, ignore_errors=True)
        pruned += len(gone)
    return pruned


def _old(tx: Read, days: int) -> list[str]:
    open_steps = (
        select(StepRow.id)
        .join(DeployRow, col(DeployRow.id) == col(StepRow.deploy_id))
        .where(col(DeployRow.ended_at).is_(None), StepRow.id == JobRow.step_id)
    )
    ended = select(JobRow.id).where(col(JobRow.ended_at) < tx.now - timedelta(days=days), ~open_steps.exists())
    return tx.all(ended.order_by(col(JobRow.id)).limit(_AT_ONCE))


def _prune_jobs(tx: Write, days: int) -> list[str]:
    ids = _old(tx, days)
    tx.session.exec(delete(LogChunkRow).where(col(LogChunkRow.job_id).in_(ids)))
    tx.session.exec(delete(TicketRow).where(col(TicketRow.job_id).in_(ids)))
    tx.session.exec(delete(JobRow).where(col(JobRow.id).in_(ids)))
    if ids:
        tx.emit("job.pruned", ids[-1], after={"count": len(ids), "first": ids[0], "last": ids[-1], "days": days})
    return ids
