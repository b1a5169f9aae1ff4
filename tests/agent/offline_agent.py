"""An agent of the tests whose network can be cut and whose time can be moved. Sockets are real, the hours are not."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from agent_protocol_server import TOKEN, AgentProtocolServer

from agent.identity import Home
from agent.job import Executor
from agent.journal import Journal
from agent.report import Office
from agent.session import Session
from agent.worker import Limits, Worker
from api.client import ImsClient


class Clock(asyncio.SelectorEventLoop):
    """An event loop whose time can be moved forward."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


async def pass_time(seconds: float, step: float = 5.0) -> None:
    """Let hours go by, in steps: timers that become due fire, and what is on its way has a moment to arrive.

    A step must be shorter than the timeouts of calls that are to succeed meanwhile.
    """
    loop = asyncio.get_running_loop()
    assert isinstance(loop, Clock)
    for _ in range(max(1, round(seconds / step))):
        loop.ahead += step
        await asyncio.sleep(0.001)


async def time_goes_by_until(condition: Callable[[], bool]) -> None:
    """For what takes its time, such as a retry that backs off for up to a minute."""
    give_up = time.monotonic() + 240
    while not condition():
        assert time.monotonic() < give_up
        await pass_time(1, step=1)
        await asyncio.sleep(0.01)


@dataclass
class Wire:
    """A TCP connection to the IMS that can be cut: what was connected hangs, and what connects now hears nothing."""

    port: int = 0
    cut: bool = False
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def mend(self) -> None:
        """Connections that hung are dead, as they are after a real cut; new ones are good."""
        self.cut = False
        self._changed.set()
        self._changed = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, onward = await asyncio.open_connection("127.0.0.1", self.port)
        pumps = {asyncio.create_task(self._pump(reader, onward)), asyncio.create_task(self._pump(there, writer))}
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        await asyncio.wait(pumps)
        for end in (onward, writer):
            end.close()
            with contextlib.suppress(ConnectionError):
                await end.wait_closed()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                if self.cut:
                    await self._changed.wait()
                    return
                writer.write(data)
                await writer.drain()


@dataclass
class Agent:
    ims: AgentProtocolServer
    folder: Path
    http: httpx.AsyncClient
    url: str
    wall: Callable[[], float] = time.time

    @property
    def journal(self) -> Journal:
        return Journal(self.folder / "journal")

    async def session(self) -> Session:
        home = Home(self.folder)
        identity = home.identity() or await home.enroll(ImsClient(self.ims.url, None, self.http), TOKEN, "agent", None)
        clock = asyncio.get_running_loop().time
        return Session(self.url, identity, self.http, wall=self.wall, clock=clock)

    @asynccontextmanager
    async def running(self, executor: Executor, *, patience: float = 60) -> AsyncIterator[Worker]:
        """An agent at work; at the end, jobs have `patience` seconds to end and to be reported."""
        office = Office(await self.session(), self.journal, self.folder / "logs")
        worker = Worker(office, executor, Limits(poll=5, stop=0.05, cancel=patience, force=patience))
        task = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            worker.stop()
            await task


async def until(condition: Callable[[], bool]) -> None:
    """For what only the disk or the agent knows; the loop's time doesn't count, as it is moved."""
    give_up = time.monotonic() + 240
    while not condition():
        assert time.monotonic() < give_up
        await asyncio.sleep(0.001)


def owes(agent: Agent) -> bool:
    return any(entry.finish for entry in agent.journal.entries())
