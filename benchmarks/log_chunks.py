"""Log chunks a second into the database, against the same chunks as files beside it, and the room that each takes.

    .venv/bin/python benchmarks/log_chunks.py [--chunks 3000]

SQLite with its own settings (WAL, synchronous=FULL), 64 KiB of Terraform-like text a chunk, each job sends one chunk after
the other, as agents do. The files aren't flushed to the disk, as an earlier version didn't: after a power failure the index
would name files that aren't there.
"""

import argparse
import asyncio
import gzip
import random
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from api.agents.models import AgentRow
from api.agents.service import AgentCaller
from api.contract.agents import LOG_CHUNK_BYTES
from api.db.database import Database
from api.db.doorbell import Doorbell
from api.db.schema import open_database
from api.db.transaction import Write
from api.events.chain import Chain
from api.jobs import logs
from api.jobs.models import JobRow, LogChunkRow
from api.settings import Settings


def text(seed: int) -> bytes:
    """64 KiB that pack about as well as a real log."""
    chosen = random.Random(seed)
    lines = []
    while sum(map(len, lines)) < LOG_CHUNK_BYTES:
        address = f"module.network.aws_subnet.private[{chosen.randrange(64)}]"
        lines.append(f"{address}: Creation complete after {chosen.randrange(90)}s [id=subnet-{chosen.randrange(2**64):016x}]\n")
    return "".join(lines).encode()[:LOG_CHUNK_BYTES]


def as_file(folder: Path) -> Callable[[Write, str, logs.Chunk], None]:
    """What an earlier version did."""

    def add(tx: Write, job: str, chunk: logs.Chunk) -> None:
        tx.session.get(JobRow, job)
        tx.session.get(LogChunkRow, (job, chunk.attempt, chunk.seq))
        path = folder / job / f"{chunk.attempt}-{chunk.seq}.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chunk.data)
        where = {"job_id": job, "attempt": chunk.attempt, "seq": chunk.seq, "offset": chunk.offset}
        tx.session.add(LogChunkRow(**where, size=len(chunk.text), received_at=tx.now))
        tx.ring(f"job:{job}")

    return add


def in_database(tx: Write, job: str, chunk: logs.Chunk) -> None:
    """What the IMS does."""
    logs.add(tx, AgentCaller("agt_1", "install", None, ""), job, chunk)


async def measure(name: str, add: Callable[[Write, str, logs.Chunk], None], folder: Path, chunks: int, jobs: int) -> None:
    """Send all chunks, then read one log back; print what it took."""
    now = datetime.now(UTC)
    settings = Settings(folder, "http://unused")
    db = Database(open_database(settings), clock=lambda: now, doorbell=Doorbell(), history=Chain())

    def fill(tx: Write) -> None:
        about = {"version": "0", "platform": "x", "enrolled_at": now, "public_key": ""}
        tx.session.add(AgentRow(id="agt_1", name="a", kind="install", **about))
        tx.session.flush()
        for number in range(jobs):
            leased = {"state": "leased", "attempt": 1, "agent_id": "agt_1", "created_at": now}
            tx.session.add(JobRow(id=f"job_{number:04}", kind="apply", agent_kind="install", **leased))

    await db.write("bench", fill)
    packed = [(one, gzip.compress(one)) for one in map(text, range(16))]

    async def send(job: str) -> None:
        for seq in range(chunks // jobs):
            plain, data = packed[seq % len(packed)]
            await db.write("bench", add, job, logs.Chunk(1, seq, seq * LOG_CHUNK_BYTES, data, plain))

    begun = time.perf_counter()
    await asyncio.gather(*(send(f"job_{number:04}") for number in range(jobs)))
    took = time.perf_counter() - begun
    sent = chunks // jobs * jobs
    await db.close()
    disk = sum(file.stat().st_blocks * 512 for file in folder.rglob("*") if file.is_file())
    payload = sum(len(packed[seq % len(packed)][1]) for seq in range(chunks // jobs)) * jobs
    print(f"{name:12} {jobs:4} jobs: {sent / took:8,.0f} chunks/s   {disk / payload:5.2f} x the gzip bytes on the disk")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=3000)
    arguments = parser.parse_args()
    for jobs in (1, 64):
        for name in ("files", "database", "files", "database"):
            with tempfile.TemporaryDirectory() as folder:
                add = as_file(Path(folder) / "logs") if name == "files" else in_database
                asyncio.run(measure(name, add, Path(folder), arguments.chunks // (1 if jobs > 1 else 4), jobs))


if __name__ == "__main__":
    main()
