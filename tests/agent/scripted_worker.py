"""A worker whose jobs do what a test says, in an agent's home in which processes come and go."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from agent_protocol_server import TOKEN, AgentProtocolServer

from agent.cancellation import JobCancelledError
from agent.identity import Home
from agent.job import JobContext
from agent.journal import Journal
from agent.report import Office
from agent.session import Session
from agent.worker import Limits, Worker
from api.client import ImsClient
from api.contract.agents import (
    DeployJob,
    JobPayload,
    JobResult,
    RegistryAccess,
    SyncJob,
    SyncResult,
)
from api.contract.components import PathSource, Source, TerraformModuleConfig

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
