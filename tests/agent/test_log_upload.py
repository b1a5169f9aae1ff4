"""The log uploader: it sends as often as the IMS asks, and stops when the IMS takes no more."""

import asyncio
from pathlib import Path

import pytest

from agent.log_upload import LogUploader
from agent.redaction import Redactor
from agent.spool import Chunk, LogSpool
from api.client import ApiError
from api.contract.problems import LogFullError

pytestmark = pytest.mark.anyio


class ScriptedSession:
    """Takes chunks in place of the IMS."""

    def __init__(self, error: ApiError | None = None) -> None:
        self.chunks: list[bytes] = []
        self.error = error
        self.took = asyncio.Event()

    async def put_log(self, job_id: str, attempt: int, chunk: Chunk) -> None:
        self.chunks.append(chunk.data)
        self.took.set()
        if self.error:
            raise self.error


def uploader(session: ScriptedSession, tmp_path: Path) -> LogUploader:
    return LogUploader(session, LogSpool(tmp_path, "job_1", 1), "job_1", 1, Redactor())  # type: ignore[arg-type]


async def test_whoever_begins_to_watch_does_not_wait_for_the_end_of_the_longer_time(tmp_path: Path) -> None:
    session = ScriptedSession()
    upload = uploader(session, tmp_path)
    upload.pace(60)
    running = asyncio.create_task(upload.run())
    upload.line("hello")
    await asyncio.sleep(0)
    assert session.chunks == []
    upload.pace(1)
    async with asyncio.timeout(240):
        await session.took.wait()
    assert session.chunks == [b"hello\n"]
    running.cancel()


async def test_a_full_chunk_waits_for_nobody(tmp_path: Path) -> None:
    session = ScriptedSession()
    upload = uploader(session, tmp_path)
    upload.pace(60)
    running = asyncio.create_task(upload.run())
    upload.line("x" * 70_000)
    async with asyncio.timeout(240):
        await session.took.wait()
    running.cancel()


async def test_a_full_log_stops_the_uploader_and_nothing_else(tmp_path: Path) -> None:
    session = ScriptedSession(ApiError(LogFullError("256 MiB").problem()))
    upload = uploader(session, tmp_path)
    upload.pace(0)
    upload.line("more")
    await asyncio.wait_for(upload.run(), 240)  # ends by itself
    upload.line("and more")
    await asyncio.wait_for(upload.drain(60), 240)
    assert session.chunks == [b"more\n"]
    upload.close()
    assert list(tmp_path.iterdir()) == []
