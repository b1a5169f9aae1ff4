"""The worker against a scripted IMS: jobs and leases (`fencing`)."""

import asyncio

import pytest
from agent_protocol_server import AgentProtocolServer
from scripted_worker import APPLY, SYNC, SYNCED, Agent, for_ever, succeed, until_cancelled

from agent.failure import JobFailedError
from agent.job import JobContext
from agent.worker import Limits, RevokedError
from api.contract.agents import (
    ApplyResult,
    JobPayload,
    JobResult,
)
from api.contract.base import Failure

pytestmark = pytest.mark.anyio


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
