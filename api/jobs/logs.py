"""Job logs: gzip chunks as files, an index in the database."""

import gzip
import zlib
from pathlib import Path

from sqlmodel import col, select

from api.agents.service import AgentCaller
from api.contract.agents import LOG_CHUNK_BYTES
from api.contract.problems import AttemptClosedError, InvalidError, NotFoundError
from api.db.transaction import Read, Write
from api.jobs import view
from api.jobs.models import JobRow, LogChunkRow

_GRACE_SECONDS = 300
"""The tail of a log may come in so long after its job ended."""


def text_of(chunk: bytes) -> bytes:
    """The text of one gzip chunk. Raises InvalidError for what isn't exactly one, or is too large."""
    stream = zlib.decompressobj(wbits=31)
    try:
        text = stream.decompress(chunk, LOG_CHUNK_BYTES + 1)
    except zlib.error:
        raise InvalidError("the body isn't gzip") from None
    if len(text) > LOG_CHUNK_BYTES:
        raise InvalidError(f"a log chunk has at most {LOG_CHUNK_BYTES} bytes of text")
    if not stream.eof or stream.unused_data:
        raise InvalidError("the body isn't one whole gzip member")
    return text


def file_of(folder: Path, job_id: str, attempt: int, seq: int) -> Path:
    """Where a chunk's file is."""
    return folder / job_id / f"{attempt}-{seq}.gz"


def add(tx: Write, folder: Path, agent: AgentCaller, job_id: str, attempt: int, seq: int, offset: int, chunk: bytes) -> None:
    """Store one chunk. The same chunk again changes nothing.

    Raises AttemptClosedError when the attempt isn't the agent's, isn't the current one, or ended too long ago.
    """
    job = tx.session.get(JobRow, job_id)
    if job is None:
        raise NotFoundError(f"there is no job {job_id!r}")
    late = job.ended_at is not None and (tx.now - job.ended_at).total_seconds() > _GRACE_SECONDS
    if job.agent_id != agent.id or job.attempt != attempt or late:
        raise AttemptClosedError(f"attempt {attempt} of {job_id} takes no more log", remedy="Stop sending.")
    if tx.session.get(LogChunkRow, (job_id, attempt, seq)):
        return
    size = len(text_of(chunk))
    path = file_of(folder, job_id, attempt, seq)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.write_bytes(chunk)
    row = LogChunkRow(job_id=job_id, attempt=attempt, seq=seq, offset=offset, size=size, received_at=tx.now)
    tx.session.add(row)
    tx.ring(f"job:{job_id}")


def read(tx: Read, folder: Path, job_id: str, attempt: int | None, offset: int) -> tuple[bytes, int]:
    """The log's text from `offset` on, as far as it is there without a gap, and the offset of its end.

    `attempt` None takes the current one. Raises NotFoundError.
    """
    job = view.find(tx, job_id)
    rows = tx.all(
        select(LogChunkRow)
        .where(LogChunkRow.job_id == job_id, LogChunkRow.attempt == (attempt or job.attempt))
        .order_by(col(LogChunkRow.seq))
    )
    parts, end = [], offset
    for row in rows:
        if row.offset <= end < row.offset + row.size:
            text = gzip.decompress(file_of(folder, job_id, row.attempt, row.seq).read_bytes())
            parts.append(text[end - row.offset :])
            end = row.offset + row.size
    return b"".join(parts), end
