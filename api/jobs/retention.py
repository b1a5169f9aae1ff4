"""Removes the logs of jobs that ended long ago, a little at a time. A job that is open keeps its log."""

from datetime import datetime, timedelta

from sqlalchemy import delete
from sqlmodel import col, select

from api.contract.logs import LogsPruned
from api.db.database import Database
from api.db.transaction import Read, Write
from api.jobs.models import JobLogRow, JobRow, LogChunkRow

_JOBS_A_BATCH = 50
_CHUNKS_A_BATCH = 500
_BATCHES_A_CALL = 40


async def prune(db: Database, actor: str, age: timedelta, *, batches: int = _BATCHES_A_CALL) -> LogsPruned:
    """Remove logs older than `age`, in transactions so small that nobody waits for them."""
    before, jobs, chunks, size = await db.read(lambda tx: tx.now - age), 0, 0, 0
    for _ in range(batches):
        if not await db.read(lambda tx: bool(_old(tx, before))):
            return LogsPruned(jobs=jobs, chunks=chunks, bytes=size, ended_before=before)
        done = await db.write(actor, _batch, before)
        jobs, chunks, size = jobs + done.jobs, chunks + done.chunks, size + done.bytes
    return LogsPruned(jobs=jobs, chunks=chunks, bytes=size, ended_before=before, more=True)


def _old(tx: Read, before: datetime) -> list[JobLogRow]:
    return tx.all(
        select(JobLogRow)
        .join(JobRow, col(JobRow.id) == col(JobLogRow.job_id))
        .where(col(JobLogRow.pruned_at).is_(None), col(JobRow.ended_at) < before)
        .order_by(col(JobLogRow.job_id))
        .limit(_JOBS_A_BATCH)
    )


def _batch(tx: Write, before: datetime) -> LogsPruned:
    left = _CHUNKS_A_BATCH
    jobs = chunks = size = 0
    for log in _old(tx, before):
        found = tx.session.exec(
            select(LogChunkRow.attempt, LogChunkRow.seq, LogChunkRow.size)
            .where(LogChunkRow.job_id == log.job_id)
            .order_by(col(LogChunkRow.attempt), col(LogChunkRow.seq))
            .limit(left)
        ).all()
        if found:
            attempt, seq, _ = found[-1]
            up_to = (col(LogChunkRow.attempt) < attempt) | (
                (col(LogChunkRow.attempt) == attempt) & (col(LogChunkRow.seq) <= seq)
            )
            tx.session.execute(delete(LogChunkRow).where(col(LogChunkRow.job_id) == log.job_id, up_to))
        chunks += len(found)
        size += sum(row[2] for row in found)
        left -= len(found)
        if left <= 0:  # the rest of this log is the next batch's
            break
        log.pruned_at = tx.now
        jobs += 1
    done = LogsPruned(jobs=jobs, chunks=chunks, bytes=size, ended_before=before)
    if jobs or chunks:
        tx.emit("logs.pruned", "logs", after=done.model_dump(mode="json", exclude={"more"}))
    return done
