"""Takes over the logs of an IMS that kept them as files beside the database (before migration 0007)."""

import contextlib
from pathlib import Path

from sqlmodel import col, select

from api.db.database import Database
from api.db.transaction import Write
from api.jobs.models import LogChunkRow

_BATCH = 200


async def take_over(db: Database, folder: Path) -> None:
    """Bring every file into the database. When the server starts, before it answers; a kill in between loses nothing."""
    if not folder.is_dir():
        return
    while taken := await db.write("system", _batch, folder):
        for path in taken:  # only now: the commit has happened
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # another attempt's files are still in it
                path.parent.rmdir()
    with contextlib.suppress(OSError):  # it has files that aren't ours
        folder.rmdir()


def _batch(tx: Write, folder: Path) -> list[Path]:
    taken = []
    for row in tx.all(select(LogChunkRow).where(col(LogChunkRow.data).is_(None)).limit(_BATCH)):
        path = folder / row.job_id / f"{row.attempt}-{row.seq}.gz"
        try:
            row.data = path.read_bytes()
        except FileNotFoundError:
            tx.session.delete(row)  # a gap that readers see is better than an error
        taken.append(path)
    return taken
