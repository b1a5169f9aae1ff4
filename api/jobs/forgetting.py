"""Forgetting what ended long ago, if the vendor wants that. What is still open stays; the history has its own retention."""

from datetime import timedelta

from sqlalchemy import delete
from sqlmodel import col, select

from api.agents.models import AgentUpdateRow
from api.db.database import Database
from api.db.transaction import Read, Write
from api.deploys.models import DeployRow, StepRow
from api.jobs.models import JobLogRow, JobRow, LogChunkRow
from api.tickets.models import TicketRow

_AT_ONCE = 200


async def forget(db: Database, days: float, *, batches: int) -> int:
    """Forget jobs that ended so many days ago, with logs and tickets. How many were forgotten.

    In small writes, so that nobody waits for it: at most so many batches.
    """
    forgotten = 0
    for _ in range(batches):
        if not await db.read(_old, days):
            break
        forgotten += await db.write("system", _forget_some, days)
    return forgotten


def _old(tx: Read, days: float) -> list[str]:
    open_steps = (
        select(StepRow.id)
        .join(DeployRow, col(DeployRow.id) == col(StepRow.deploy_id))
        .where(col(DeployRow.ended_at).is_(None), StepRow.id == JobRow.step_id)
    )
    ended = select(JobRow.id).where(col(JobRow.ended_at) < tx.now - timedelta(days=days), ~open_steps.exists())
    return tx.all(ended.order_by(col(JobRow.id)).limit(_AT_ONCE))


def _forget_some(tx: Write, days: float) -> int:
    ids = _old(tx, days)
    tx.session.exec(delete(JobLogRow).where(col(JobLogRow.job_id).in_(ids)))
    tx.session.exec(delete(LogChunkRow).where(col(LogChunkRow.job_id).in_(ids)))
    tx.session.exec(delete(TicketRow).where(col(TicketRow.job_id).in_(ids)))
    tx.session.exec(delete(AgentUpdateRow).where(col(AgentUpdateRow.job_id).in_(ids)))
    tx.session.exec(delete(JobRow).where(col(JobRow.id).in_(ids)))
    if ids:
        tx.emit("job.pruned", ids[-1], after={"count": len(ids), "first": ids[0], "last": ids[-1], "days": days})
    return len(ids)
