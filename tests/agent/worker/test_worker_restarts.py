"""The worker against a scripted IMS: kills and stops."""

import asyncio

import pytest
from agent_protocol_server import AgentProtocolServer
from scripted_worker import APPLY, SYNC, SYNCED, Agent, for_ever, until_cancelled

from agent.job import JobContext
from agent.journal import JournalEntry
from agent.worker import Limits
from api.contract.agents import (
    Finish,
    JobPayload,
    JobResult,
)

pytestmark = pytest.mark.anyio


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
