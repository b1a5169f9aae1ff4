"""Job logs: gzip chunks in the database, read as one text."""

import gzip
import zlib
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import update
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, func, select

from api.agents.service import AgentCaller
from api.contract.agents import LOG_CHUNK_BYTES, JobState
from api.contract.logs import JOB_LOG_BYTES
from api.contract.problems import AttemptClosedError, ChunkConflictError, InvalidError, LogPrunedError, NotFoundError
from api.db.transaction import Read, Write
from api.jobs import queue, view
from api.jobs.models import JobLogRow, LogChunkRow
from api.settings import Intervals

_GRACE_SECONDS = 300
"""The tail of a log may come in so long after its job ended."""
_CHUNKS_A_READ = 64
_FULL = f"[exclave: the log ends here; of one job, {JOB_LOG_BYTES >> 20} MiB are kept]\n".encode()


@dataclass(frozen=True)
class Chunk:
    """A chunk as it came in: `data` is one gzip member, and `text` what is in it."""

    attempt: int
    seq: int
    offset: int
    data: bytes
    text: bytes


@dataclass(frozen=True)
class Piece:
    """A part of one attempt's log. `end` is where to go on; `closed` says that nothing more will come of this attempt.

    `state`, `current` and `message` are the job's own: its state, its newest attempt, and why it failed.
    `watched` says that somebody counts as watching it for a good while yet.
    """

    text: bytes
    attempt: int
    end: int
    closed: bool
    state: JobState
    current: int
    ended: bool
    watched: bool
    message: str


def topic(job_id: str) -> str:
    """What somebody listens to who follows a job's log."""
    return f"job:{job_id}"


def text_of(data: bytes) -> bytes:
    """The text of one gzip chunk. Raises InvalidError for what isn't exactly one, or is too large."""
    stream = zlib.decompressobj(wbits=31)
    try:
        text = stream.decompress(data, LOG_CHUNK_BYTES + 1)
    except zlib.error:
        raise InvalidError("the body isn't gzip") from None
    if len(text) > LOG_CHUNK_BYTES:
        raise InvalidError(f"a log chunk has at most {LOG_CHUNK_BYTES} bytes of text")
    if not stream.eof or stream.unused_data:
        raise InvalidError("the body isn't one whole gzip member")
    return text


def add(tx: Write, agent: AgentCaller, job_id: str, chunk: Chunk) -> bool:
    """Store one chunk; the same chunk again changes nothing. False: the log is full, and now says so in its last line.

    Raises AttemptClosedError when the attempt isn't the agent's, isn't the current one, or ended too long ago, and
    ChunkConflictError when another text has the chunk's number.
    """
    job = view.find(tx, job_id)
    late = job.ended_at is not None and (tx.now - job.ended_at).total_seconds() > _GRACE_SECONDS
    late = late and not queue.given_up(job, agent.id, chunk.attempt)  # its report is still to come
    if job.agent_id != agent.id or job.attempt != chunk.attempt or late:
        raise AttemptClosedError(f"attempt {chunk.attempt} of {job_id} takes no more log", remedy="Stop sending.")
    known = tx.session.get(LogChunkRow, (job_id, chunk.attempt, chunk.seq))
    log = _log(tx, job_id)
    if log.full_attempt == chunk.attempt:
        return False
    if known:
        _same_or_refused(known, chunk)
        return True
    if log.bytes + len(chunk.text) > JOB_LOG_BYTES:
        end = tx.session.exec(
            select(func.max(LogChunkRow.offset + LogChunkRow.size)).where(
                LogChunkRow.job_id == job_id, LogChunkRow.attempt == chunk.attempt
            )
        ).one()
        log.full_attempt = chunk.attempt
        _store(tx, job_id, Chunk(chunk.attempt, chunk.seq, end or 0, gzip.compress(_FULL, mtime=0), _FULL))
        return False
    _store(tx, job_id, chunk)
    return True


def _same_or_refused(known: LogChunkRow, chunk: Chunk) -> None:
    """Two zlibs may pack one text in two ways, so texts are compared. A file that isn't taken over yet is known by its size."""
    same = (known.offset, known.size) == (chunk.offset, len(chunk.text))
    if not same or (known.data not in (None, chunk.data) and gzip.decompress(known.data or b"") != chunk.text):
        raise ChunkConflictError(
            f"chunk {chunk.seq} of attempt {chunk.attempt} of {known.job_id} is there already, with another text",
            remedy="Stop sending: two processes write the log of one attempt.",
        )


def _store(tx: Write, job_id: str, chunk: Chunk) -> None:
    size = len(chunk.text)
    tx.session.add(
        LogChunkRow(
            job_id=job_id,
            attempt=chunk.attempt,
            seq=chunk.seq,
            offset=chunk.offset,
            size=size,
            received_at=tx.now,
            data=chunk.data,
        )
    )
    kept = col(JobLogRow.job_id) == job_id
    tx.session.execute(update(JobLogRow).where(kept).values(bytes=JobLogRow.bytes + size, pruned_at=None))
    tx.ring(topic(job_id))


def _log(tx: Write, job_id: str) -> JobLogRow:
    """The row of a job's log, made if need be. Another replica may make it at the same moment."""
    row = tx.session.get(JobLogRow, job_id)
    if row is None:
        row = JobLogRow(job_id=job_id)
        try:
            with tx.session.begin_nested():
                tx.session.add(row)
        except IntegrityError:
            row = tx.session.get_one(JobLogRow, job_id)
    return row


def read(tx: Read, job_id: str, attempt: int | None, offset: int) -> Piece:
    """The log's text from `offset` on, as far as it is there; at most 64 chunks of it.

    The text stops at a gap that may still be filled. Once the attempt is closed, a line in brackets stands for what is missing.
    `attempt` None takes the current one. Raises NotFoundError, also for an attempt that isn't there, and LogPrunedError.
    """
    job = view.find(tx, job_id)
    chosen = attempt or job.attempt
    if chosen > job.attempt:
        there = f"its newest is attempt {job.attempt}" if job.attempt else "it hasn't been started yet"
        raise NotFoundError(f"job {job_id} has no attempt {chosen}; {there}", remedy="Leave `attempt` out for the newest.")
    log = tx.session.get(JobLogRow, job_id)
    if log and log.pruned_at:
        raise LogPrunedError(f"the log of {job_id} was removed at {log.pruned_at:%Y-%m-%d %H:%MZ}: logs aren't kept for ever")
    rows = tx.all(
        select(LogChunkRow)
        .where(
            LogChunkRow.job_id == job_id,
            LogChunkRow.attempt == chosen,
            LogChunkRow.offset > offset - LOG_CHUNK_BYTES,  # no chunk is longer: where the index begins to look
            LogChunkRow.offset + LogChunkRow.size > offset,
        )
        .order_by(col(LogChunkRow.offset), col(LogChunkRow.seq))
        .limit(_CHUNKS_A_READ)
    )
    closed = job.ended_at is not None or job.attempt > chosen or job.state == "queued"
    text, end = _joined(rows, offset, closed)
    return Piece(
        text=text,
        attempt=chosen,
        end=end,
        closed=closed and len(rows) < _CHUNKS_A_READ,
        state=job.state,
        current=job.attempt,
        ended=job.ended_at is not None,
        watched=log is not None and log.watched_until is not None and log.watched_until > tx.now + timedelta(seconds=15),
        message=job.failure.message if job.failure else "",
    )


def _joined(rows: list[LogChunkRow], offset: int, closed: bool) -> tuple[bytes, int]:
    """The text from `offset` on, and the offset of its end."""
    parts: list[bytes] = []
    end = offset
    for row in rows:
        if row.offset > end:
            if not closed:
                break
            begin_of_line = b"" if not parts or parts[-1].endswith(b"\n") else b"\n"
            parts.append(begin_of_line + f"[exclave: {row.offset - end} bytes of the log are missing]\n".encode())
            end = row.offset
        if row.offset <= end < row.offset + row.size:
            parts.append(gzip.decompress(row.data or b"")[end - row.offset :])
            end = row.offset + row.size
    return b"".join(parts), end


def watch(tx: Write, job_id: str, intervals: Intervals) -> None:
    """Somebody watches the log now: with its next heartbeat, the agent hears that it shall send at once."""
    job = view.find(tx, job_id)
    if job.ended_at is None:
        _log(tx, job_id).watched_until = tx.now + timedelta(seconds=intervals.watch)


def log_seconds(tx: Read, job_id: str, intervals: Intervals) -> float:
    """How long the agent may let log lines of a job wait."""
    row = tx.get(JobLogRow, job_id)
    watched = row is not None and row.watched_until is not None and row.watched_until > tx.now
    return intervals.log_watched if watched else intervals.log_unwatched
