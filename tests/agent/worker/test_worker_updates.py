"""The worker against a scripted IMS: how it makes way for an update."""

import asyncio

import pytest
from agent_protocol_server import AgentProtocolServer
from scripted_worker import APPLY, SYNC, SYNCED, ZERO, Agent, succeed, until_cancelled

from agent.job import JobContext
from agent.worker import Limits
from api.contract.agents import (
    ApplyResult,
    JobPayload,
    JobResult,
    UpdateJob,
    UpdateResult,
)

pytestmark = pytest.mark.anyio


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
