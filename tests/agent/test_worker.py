"""The worker against a scripted IMS: jobs, leases (`fencing`), kills and stops."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from agent_protocol_server import TOKEN, AgentProtocolServer, agent_protocol_server

from agent import backoff
from agent.cancellation import JobCancelledError
from agent.failure import JobFailedError
from agent.identity import Home
from agent.job import JobContext
from agent.journal import Journal, JournalEntry
from agent.report import Office
from agent.session import Session
from agent.worker import Limits, RevokedError, Worker
from api.client import ImsClient
from api.contract.agents import (
    ApplyResult,
    DeployJob,
    Finish,
    JobPayload,
    JobResult,
    RegistryAccess,
    SyncJob,
    SyncResult,
    UpdateJob,
    UpdateResult,
)
from api.contract.base import Failure
from api.contract.components import PathSource, Source, TerraformModuleConfig

pytestmark = pytest.mark.anyio

ZERO = "sha256:" + "0" * 64
SYNC = SyncJob(
    deploy_id="dep_1",
    component="network",
    digest=ZERO,
    registry=RegistryAccess(url="http://unused", repository="r", username="u", password="p"),
)
APPLY = DeployJob(
    kind="apply",
    deploy_id="dep_1",
    component="network",
    digest=ZERO,
    repository="r",
    config=TerraformModuleConfig(source=Source(path=PathSource(path="x"))),
    install_id="ins_1",
    install_name="acme",
    inputs={},
)
SYNCED = SyncResult(copied_bytes=1, skipped_bytes=2)
Work = Callable[[JobPayload, JobContext], Awaitable[JobResult]]


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "LONGEST_SECONDS", 0.05)


@pytest.fixture
async def ims() -> AsyncIterator[AgentProtocolServer]:
    async with agent_protocol_server() as server:
        yield server


@dataclass
class Scripted:
    """An executor that does what a test says, and counts."""

    work: Work
    began: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    async def run(self, payload: JobPayload, context: JobContext) -> JobResult:
        self.began.append(context.job_id)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await self.work(payload, context)
        finally:
            self.at_once -= 1


async def succeed(payload: JobPayload, context: JobContext) -> JobResult:
    context.log("worked")
    return SYNCED


async def until_cancelled(payload: JobPayload, context: JobContext) -> JobResult:
    await context.cancellation.wait()
    raise JobCancelledError


async def for_ever(payload: JobPayload, context: JobContext) -> JobResult:
    await asyncio.Event().wait()
    return SYNCED


@dataclass
class Running:
    worker: Worker
    task: "asyncio.Task[None]"
    executor: Scripted

    async def stop(self) -> None:
        self.worker.stop()
        await self.task

    async def kill(self) -> None:
        """End as `kill -9` does, for all that the disk and the IMS can tell: nothing more is written or sent."""
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            if task.get_name().split()[0] in {"work", "heartbeat", "log", "job", "report", "lease"}:
                task.cancel()
        self.task.cancel()
        await asyncio.wait([self.task])


@dataclass
class Agent:
    """An agent's home, in which processes come and go."""

    ims: AgentProtocolServer
    folder: Path
    http: httpx.AsyncClient

    @property
    def journal(self) -> Journal:
        return Journal(self.folder / "journal")

    async def start(self, work: Work = succeed, *, limits: Limits = Limits(poll=5, stop=0.05, cancel=60, force=60)) -> Running:  # noqa: B008
        home = Home(self.folder)
        identity = home.identity() or await home.enroll(ImsClient(self.ims.url, None, self.http), TOKEN, "agent", None)
        office = Office(Session(self.ims.url, identity, self.http), self.journal, self.folder / "logs")
        executor = Scripted(work)
        worker = Worker(office, executor, limits)
        return Running(worker, asyncio.create_task(worker.run()), executor)

    @asynccontextmanager
    async def running(self, work: Work = succeed, **settings: Limits) -> AsyncIterator[Running]:
        running = await self.start(work, **settings)
        try:
            yield running
        finally:
            await running.stop()


@pytest.fixture
def agent(ims: AgentProtocolServer, tmp_path: Path, http: httpx.AsyncClient) -> Agent:
    return Agent(ims, tmp_path / "agent", http)


async def test_a_job_is_leased_done_and_reported(agent: Agent, ims: AgentProtocolServer) -> None:
    async with agent.running():
        job = await ims.offer(SYNC)
        await ims.until(lambda: job.finish is not None)
    assert job.finish
    assert (job.finish.outcome, job.finish.result, job.finish.attempt) == ("succeeded", SYNCED, 1)
    assert job.log() == "worked\n"
    assert agent.journal.entries() == []
    assert list((agent.folder / "logs").iterdir()) == []


async def test_as_many_jobs_run_at_once_as_there_are_slots(agent: Agent, ims: AgentProtocolServer) -> None:
    jobs = [await ims.offer(SYNC) for _ in range(5)]
    release = asyncio.Event()

    async def wait(payload: JobPayload, context: JobContext) -> JobResult:
        await release.wait()
        return SYNCED

    async with agent.running(wait, limits=Limits(slots=3, poll=5, stop=5)) as running:
        await ims.until(lambda: sum(job.heartbeats > 0 for job in jobs) == 3)
        release.set()
        await ims.until(lambda: all(job.finish for job in jobs))
    assert running.executor.most_at_once == 3


@pytest.mark.service
async def test_fifty_jobs_run_side_by_side_if_there_are_fifty_slots(agent: Agent, ims: AgentProtocolServer) -> None:
    jobs = [await ims.offer(SYNC) for _ in range(50)]
    together = asyncio.Barrier(50)

    async def meet(payload: JobPayload, context: JobContext) -> JobResult:
        await together.wait()
        return SYNCED

    async with agent.running(meet, limits=Limits(slots=50, poll=5, stop=5)) as running:
        await ims.until(lambda: all(job.finish for job in jobs))
    assert running.executor.most_at_once == 50


async def test_a_failure_is_reported_in_words(agent: Agent, ims: AgentProtocolServer) -> None:
    failure = Failure(code="plan_failed", message="no such thing", remedy="Make one.", retryable=True)

    async def fail(payload: JobPayload, context: JobContext) -> JobResult:
        raise JobFailedError(failure)

    async with agent.running(fail):
        job = await ims.offer(SYNC)
        await ims.until(lambda: job.finish is not None)
    assert job.finish
    assert (job.finish.outcome, job.finish.failure) == ("failed", failure)
    assert "no such thing" in job.log()


async def test_a_fault_of_the_agent_itself_still_ends_the_job(agent: Agent, ims: AgentProtocolServer) -> None:
    async def crash(payload: JobPayload, context: JobContext) -> JobResult:
        raise RuntimeError("unforeseen")

    async with agent.running(crash):
        job = await ims.offer(SYNC)
        await ims.until(lambda: job.finish is not None)
    assert job.finish
    assert job.finish.failure
    assert job.finish.failure.code == "agent_error"
    assert "unforeseen" in job.finish.failure.message


async def test_a_cancelled_job_stops_and_says_so(agent: Agent, ims: AgentProtocolServer) -> None:
    async with agent.running(until_cancelled):
        job = await ims.offer(SYNC)
        await ims.until(lambda: job.heartbeats > 0)
        job.cancel = "graceful"
        await ims.until(lambda: job.finish is not None)
    assert job.finish
    assert job.finish.outcome == "cancelled"


async def test_a_job_whose_lease_was_lost_is_abandoned_at_once(agent: Agent, ims: AgentProtocolServer) -> None:
    async with agent.running(for_ever) as running:
        job = await ims.offer(SYNC)
        await ims.until(lambda: job.heartbeats > 0)
        running.executor.work = succeed
        await ims.offer_again(job)
        await ims.until(lambda: job.finish is not None)
    assert job.finish
    assert job.finish.attempt == 2
    assert job.finishes == 1
    assert running.executor.most_at_once == 1
    assert agent.journal.entries() == []


async def test_an_expired_token_is_renewed_by_signing_in_again(agent: Agent, ims: AgentProtocolServer) -> None:
    async with agent.running():
        first = await ims.offer(SYNC)
        await ims.until(lambda: first.finish is not None)
        ims.forget_sign_ins()
        second = await ims.offer(SYNC)
        await ims.until(lambda: second.finish is not None)
    assert ims.sign_ins >= 2


async def test_a_revoked_agent_stops_its_jobs_at_the_next_heartbeat_and_ends(agent: Agent, ims: AgentProtocolServer) -> None:
    running = await agent.start(until_cancelled, limits=Limits(poll=5, stop=600))
    job = await ims.offer(APPLY)
    await ims.until(lambda: job.heartbeats > 0)
    ims.revoke()
    async with asyncio.timeout(240):
        with pytest.raises(RevokedError):
            await running.task
    assert running.executor.at_once == 0
    assert job.finish is None, "nobody would take the report"


async def test_a_report_waits_until_the_ims_is_back(agent: Agent, ims: AgentProtocolServer) -> None:
    async def go_down(payload: JobPayload, context: JobContext) -> JobResult:
        ims.down = True
        context.log("said while the IMS was away")
        return SYNCED

    async with agent.running(go_down):
        job = await ims.offer(SYNC)
        while not (entries := agent.journal.entries()) or entries[0].finish is None:  # noqa: ASYNC110 - on the disk
            await asyncio.sleep(0.01)
        assert job.finish is None
        ims.down = False
        await ims.until(lambda: job.finish is not None)
    assert job.log() == "said while the IMS was away\n"
    assert agent.journal.entries() == []


async def test_a_result_that_the_ims_refuses_ends_the_job_as_failed(agent: Agent, ims: AgentProtocolServer) -> None:
    ims.refuse_results = True
    async with agent.running():
        job = await ims.offer(SYNC)
        await ims.until(lambda: job.finish is not None)
    assert job.finish
    assert job.finish.failure
    assert job.finish.failure.code == "report_refused"


@pytest.mark.service
async def test_a_killed_agent_goes_on_with_its_attempt(agent: Agent, ims: AgentProtocolServer) -> None:
    async def begin(payload: JobPayload, context: JobContext) -> JobResult:
        context.log("before")
        return await for_ever(payload, context)

    running = await agent.start(begin)
    job = await ims.offer(SYNC)
    await ims.until(lambda: bool(job.chunks))
    await running.kill()
    assert [(entry.job_id, entry.attempt) for entry in agent.journal.entries()] == [(job.id, 1)]

    async with agent.running():
        await ims.until(lambda: job.finish is not None)

    assert job.attempt == 1
    assert job.log() == "before\nworked\n"
    assert agent.journal.entries() == []


async def test_a_killed_agent_sends_the_report_that_it_owes(agent: Agent, ims: AgentProtocolServer) -> None:
    running = await agent.start(for_ever)
    job = await ims.offer(SYNC)
    await ims.until(lambda: job.heartbeats > 0)
    await running.kill()
    owed = Finish(attempt=1, outcome="succeeded", result=SYNCED)
    agent.journal.record(JournalEntry(job_id=job.id, attempt=1, finish=owed))

    async with agent.running() as later:
        await ims.until(lambda: job.finish is not None)

    assert job.finish == owed
    assert later.executor.began == []


async def test_a_job_that_went_to_another_attempt_meanwhile_is_dropped(agent: Agent, ims: AgentProtocolServer) -> None:
    running = await agent.start(for_ever)
    job = await ims.offer(SYNC)
    await ims.until(lambda: job.heartbeats > 0)
    await running.kill()
    job.attempt = 2
    asked = ims.leases

    async with agent.running() as later:
        await ims.until(lambda: ims.leases == asked + 2)  # once for what the journal has, once for anything new
        marker = await ims.offer(SYNC)
        await ims.until(lambda: marker.finish is not None)

    assert later.executor.began == [marker.id]
    assert agent.journal.entries() == []


async def test_a_stopped_agent_leaves_what_can_be_repeated_to_the_next(agent: Agent, ims: AgentProtocolServer) -> None:
    async with agent.running(until_cancelled):
        job = await ims.offer(SYNC)
        await ims.until(lambda: job.heartbeats > 0)
    assert job.finish is None

    async with agent.running():
        await ims.until(lambda: job.finish is not None)
    assert job.finish
    assert (job.finish.outcome, job.finish.attempt) == ("succeeded", 1)


async def test_a_stopped_agent_reports_an_apply_that_it_cut_off(agent: Agent, ims: AgentProtocolServer) -> None:
    async with agent.running(until_cancelled):
        job = await ims.offer(APPLY)
        await ims.until(lambda: job.heartbeats > 0)
    assert job.finish
    assert job.finish.failure
    assert (job.finish.failure.code, job.finish.failure.retryable) == ("agent_stopped", True)


async def test_a_stopping_agent_lets_jobs_end_first(agent: Agent, ims: AgentProtocolServer) -> None:
    release = asyncio.Event()

    async def wait(payload: JobPayload, context: JobContext) -> JobResult:
        await release.wait()
        return SYNCED

    running = await agent.start(wait, limits=Limits(poll=5, stop=60))
    job = await ims.offer(APPLY)
    await ims.until(lambda: job.heartbeats > 0)
    running.worker.stop()
    release.set()
    await running.task
    assert job.finish
    assert job.finish.outcome == "succeeded"


async def test_no_secret_leaves_in_a_report_or_a_log(agent: Agent, ims: AgentProtocolServer) -> None:
    canary = "canary-4711"

    async def blab(payload: JobPayload, context: JobContext) -> JobResult:
        context.redactor.learn(canary)
        for piece in ("the password is ", canary[:5]):
            context.log(piece)
        context.log(f"it is {canary}!")
        return ApplyResult(outputs={"url": f"https://user:{canary}@host", "list": [canary]})

    async def fail(payload: JobPayload, context: JobContext) -> JobResult:
        context.redactor.learn(canary)
        raise JobFailedError(Failure(code="apply_failed", message=f"can't log in with {canary}"))

    async with agent.running(blab) as running:
        first = await ims.offer(SYNC)
        await ims.until(lambda: first.finish is not None)
        running.executor.work = fail
        second = await ims.offer(SYNC)
        await ims.until(lambda: second.finish is not None)
    assert first.finish
    assert first.finish.result == ApplyResult(outputs={"url": "https://user:(sensitive)@host", "list": ["(sensitive)"]})
    assert "it is (sensitive)!" in first.log()
    assert not ims.sent(canary)
    assert not [path for path in agent.folder.rglob("*") if path.is_file() and canary.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    ("newer", "named"),
    [
        ({"only_region": "eu"}, "payload.sync.only_region"),
        ({"kind": "teleport"}, "payload"),
        ({"registry": {"url": "http://unused", "repository": "r", "username": "u", "password": "p", "proof": "x"}}, "proof"),
        ({"digest": "blake3:00"}, "payload.sync.digest"),
    ],
)
async def test_a_job_that_asks_for_what_the_agent_does_not_know_is_refused(
    agent: Agent, ims: AgentProtocolServer, newer: dict[str, object], named: str
) -> None:
    """It came back for ever, and no other job was done; or what wasn't known was passed over."""
    job, other = await ims.offer(SYNC, **newer), await ims.offer(SYNC)
    async with agent.running() as running:
        await ims.until(lambda: job.finish is not None and other.finish is not None)
    assert running.executor.began == [other.id]
    assert job.finish
    assert job.finish.failure
    assert other.finish
    assert (job.finish.failure.code, job.attempt, other.finish.outcome) == ("job_not_understood", 1, "succeeded")
    assert named in job.finish.failure.message
    assert job.finish.failure.remedy


async def test_a_newer_field_that_says_nothing_does_no_harm(agent: Agent, ims: AgentProtocolServer) -> None:
    job = await ims.offer(SYNC, only_region=None, labels={}, draft=False, note="", parts=[])
    async with agent.running():
        await ims.until(lambda: job.finish is not None)
    assert job.finish
    assert job.finish.outcome == "succeeded"


UPDATE = UpdateJob(version="9.0.0", digest=ZERO, registry=SYNC.registry)


async def test_an_agent_that_drains_ends_what_it_does_takes_nothing_new_and_keeps_its_update(
    agent: Agent, ims: AgentProtocolServer
) -> None:
    update, apply = await ims.offer(UPDATE), await ims.offer(APPLY)
    release, drained = asyncio.Event(), asyncio.Event()

    async def work(payload: JobPayload, context: JobContext) -> JobResult:
        if payload.kind == "update_agent":
            return await until_cancelled(payload, context)
        await release.wait()
        return ApplyResult()

    running = await agent.start(work)
    await ims.until(lambda: update.heartbeats > 0 and apply.heartbeats > 0)
    running.worker.drain(drained.set)
    heartbeats = apply.heartbeats
    await ims.until(lambda: apply.heartbeats > heartbeats + 1)
    late = await ims.offer(SYNC)
    await ims.until(lambda: apply.heartbeats > heartbeats + 3)
    assert not drained.is_set(), "the apply goes on"
    release.set()
    await running.task
    assert drained.is_set()
    assert apply.finish
    assert apply.finish.outcome == "succeeded"
    assert update.finish is None
    assert running.executor.began == [update.id, apply.id]
    assert [(entry.job_id, entry.attempt) for entry in agent.journal.entries()] == [(update.id, 1)]

    async def go_on(payload: JobPayload, context: JobContext) -> JobResult:
        return UpdateResult(version="9.0.0") if payload.kind == "update_agent" else SYNCED

    async with agent.running(go_on):
        await ims.until(lambda: update.finish is not None and late.finish is not None)
    assert update.finish
    assert (update.finish.outcome, update.finish.attempt) == ("succeeded", 1)


async def test_an_update_that_waits_keeps_no_job_from_running_and_no_agent_from_stopping(
    agent: Agent, ims: AgentProtocolServer
) -> None:
    async def work(payload: JobPayload, context: JobContext) -> JobResult:
        return await (until_cancelled if payload.kind == "update_agent" else succeed)(payload, context)

    running = await agent.start(work, limits=Limits(slots=1, poll=5, stop=3600))
    update = await ims.offer(UPDATE)
    await ims.until(lambda: update.heartbeats > 0)
    sync = await ims.offer(SYNC)
    await ims.until(lambda: sync.finish is not None)
    await running.stop()
    assert update.finish is None
    assert [entry.job_id for entry in agent.journal.entries()] == [update.id]
