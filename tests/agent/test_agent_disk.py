"""Room on the agent's disk: what happens without, what is kept for state and reports, and what is swept."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from agent_protocol_server import AgentProtocolServer, agent_protocol_server
from offline_agent import Agent
from scripted_worker import APPLY, SYNC, SYNCED, Scripted, succeed

from agent import durable
from agent.failure import JobFailedError
from agent.job import JobContext
from agent.journal import Journal, JournalEntry
from agent.report import Office
from agent.spool import LogSpool
from api.contract.agents import Finish, JobPayload, JobResult
from api.contract.base import Failure

pytestmark = pytest.mark.anyio


@pytest.fixture
async def ims() -> AsyncIterator[AgentProtocolServer]:
    async with agent_protocol_server() as server:
        yield server


@pytest.fixture
async def calls() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False, timeout=None) as client:
        yield client


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file system of one MiB, of which a tenth is for state and reports."""
    monkeypatch.setattr(durable, "RESERVED_BYTES", 100 << 10)
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip("mounting a tmpfs needs root")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(disk: Path) -> Path:
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    assert shutil.disk_usage(disk).free == 0
    return ballast


async def test_a_full_disk_ends_jobs_with_a_word_of_what_to_do_and_room_heals_it(
    small_disk: Path, ims: AgentProtocolServer, calls: httpx.AsyncClient
) -> None:
    agent = Agent(ims, small_disk / "agent", calls, ims.url)
    await agent.session()
    ballast = fill(small_disk)
    executor = Scripted(succeed)
    async with agent.running(executor):
        refused = await ims.offer(APPLY)
        await ims.until(lambda: refused.finish is not None)
        assert refused.finish
        assert refused.finish.failure
        assert refused.finish.failure.code == "disk_full"
        assert "Make room" in refused.finish.failure.remedy
        assert executor.began == [], "nothing begins that no journal knows"
        ballast.unlink()
        good = await ims.offer(SYNC)
        await ims.until(lambda: good.finish is not None)
        assert good.finish
        assert good.finish.outcome == "succeeded"
    assert agent.journal.entries() == []


async def test_a_disk_that_fills_up_during_a_job_loses_no_report(
    small_disk: Path, ims: AgentProtocolServer, calls: httpx.AsyncClient
) -> None:
    agent = Agent(ims, small_disk / "agent", calls, ims.url)

    async def work(payload: JobPayload, context: JobContext) -> JobResult:
        fill(small_disk)
        context.log("nobody keeps this")
        return SYNCED

    async def fails(payload: JobPayload, context: JobContext) -> JobResult:
        (small_disk / "more").write_bytes(b"x" * 100_000)
        return SYNCED

    executor = Scripted(work)
    async with agent.running(executor):
        job = await ims.offer(APPLY)
        await ims.until(lambda: job.finish is not None)
        os.truncate(small_disk / "ballast", (small_disk / "ballast").stat().st_size - 65536)
        executor.work = fails
        other = await ims.offer(SYNC)
        await ims.until(lambda: other.finish is not None)
    assert job.finish
    assert job.finish.outcome == "succeeded"
    assert other.finish
    assert other.finish.failure
    assert other.finish.failure.code == "disk_full"


async def test_no_apply_begins_without_room_for_its_state(
    small_disk: Path, ims: AgentProtocolServer, calls: httpx.AsyncClient
) -> None:
    agent = Agent(ims, small_disk / "agent", calls, ims.url)
    await agent.session()
    ballast = fill(small_disk)
    os.truncate(ballast, ballast.stat().st_size - (80 << 10))
    executor = Scripted(succeed)
    async with agent.running(executor):
        job = await ims.offer(APPLY)
        await ims.until(lambda: job.finish is not None)
    assert job.finish
    assert job.finish.failure
    assert job.finish.failure.code == "disk_full"
    assert executor.began == []


async def test_an_engine_that_could_write_nothing_is_told_from_one_that_failed(
    small_disk: Path, ims: AgentProtocolServer, calls: httpx.AsyncClient
) -> None:
    agent = Agent(ims, small_disk / "agent", calls, ims.url)

    async def nameless(payload: JobPayload, context: JobContext) -> JobResult:
        fill(small_disk)
        raise JobFailedError(Failure(code="engine_failed", message="The engine named no error."))

    async with agent.running(Scripted(nameless)):
        job = await ims.offer(APPLY)
        await ims.until(lambda: job.finish is not None)
    assert job.finish
    assert job.finish.failure
    assert job.finish.failure.code == "disk_full"
    assert "named no error. The agent's disk is full." in job.finish.failure.message


def test_a_log_leaves_the_end_of_the_disk_to_state_and_reports(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable, "RESERVED_BYTES", 512 << 10)
    log = LogSpool(small_disk, "job_1", 1)
    for _ in range(64):
        log.append("x" * 16384)
    assert log.lost_bytes > 0
    assert shutil.disk_usage(small_disk).free >= (512 << 10) - 32768


def test_logs_that_no_journal_knows_are_swept(tmp_path: Path) -> None:
    for job, attempt in (("job_1", 1), ("job_1", 2), ("a/b", 1)):
        log = LogSpool(tmp_path, job, attempt)
        log.append("x")
        log.next()
    kept = JournalEntry(job_id="job_1", attempt=2, finish=Finish(attempt=2, outcome="cancelled"))
    Office(None, None, tmp_path).sweep([kept, JournalEntry(job_id="a/b", attempt=1)])  # type: ignore[arg-type]
    assert {path.stem for path in tmp_path.iterdir()} == {"job_1.2", "a%2Fb.1"}


def test_a_journal_entry_that_cannot_be_read_is_put_aside(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    (tmp_path / "job_1.json").write_text('{"job_id": "job_1", "attempt": 1, "of a newer version": true}')
    journal.record(JournalEntry(job_id="job_2", attempt=1))
    assert [entry.job_id for entry in journal.entries()] == ["job_2"]
    assert (tmp_path / "job_1.unreadable").exists()
