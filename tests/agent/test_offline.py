"""Hours without the IMS: what is at work ends, nothing is lost, and all is told once when it is back.

Sockets and TCP connections are real; the hours are not: `Clock` moves the event loop's time.
"""

import asyncio
import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from agent_protocol_server import TOKEN, AgentProtocolServer, agent_protocol_server
from starlette.requests import Request
from starlette.responses import Response
from test_worker import APPLY, SYNC, SYNCED, Scripted, succeed

from agent import durable
from agent.backoff import FIRST_CONTACT, Backoff
from agent.failure import JobFailedError
from agent.identity import Home
from agent.job import JobContext
from agent.journal import Journal, JournalEntry
from agent.report import Office
from agent.session import Session
from agent.spool import LogSpool
from agent.worker import Limits, Worker
from api.client import ImsClient
from api.contract.agents import Finish, JobPayload, JobResult, LeaseRequest
from api.contract.base import Failure

pytestmark = pytest.mark.anyio


class Clock(asyncio.SelectorEventLoop):
    """An event loop whose time can be moved forward."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "asyncio", {"loop_factory": Clock}


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
    give_up = time.monotonic() + 60
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
    async def running(self, executor: Scripted) -> AsyncIterator[Worker]:
        office = Office(await self.session(), self.journal, self.folder / "logs")
        worker = Worker(office, executor, Limits(poll=5, stop=0.05, cancel=5, force=5))
        task = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            worker.stop()
            await task


@pytest.fixture
async def ims() -> AsyncIterator[AgentProtocolServer]:
    async with agent_protocol_server(heartbeat_seconds=1) as server:
        yield server


@pytest.fixture
async def calls() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False, timeout=None) as client:
        yield client


@pytest.fixture
async def wire(ims: AgentProtocolServer) -> AsyncIterator[Wire]:
    wire = Wire(int(ims.url.rpartition(":")[2]))
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
    wire.at = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"  # type: ignore[attr-defined]
    try:
        yield wire
    finally:
        server.close()
        await wire.mend()


@pytest.fixture
def agent(ims: AgentProtocolServer, wire: Wire, tmp_path: Path, calls: httpx.AsyncClient) -> Agent:
    return Agent(ims, tmp_path / "agent", calls, wire.at)  # type: ignore[attr-defined]


async def until(condition: Callable[[], bool]) -> None:
    """For what only the disk or the agent knows; the loop's time doesn't count, as it is moved."""
    give_up = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < give_up
        await asyncio.sleep(0.001)


def owes(agent: Agent) -> bool:
    return any(entry.finish for entry in agent.journal.entries())


@pytest.mark.parametrize("payload", [SYNC, APPLY], ids=["sync", "apply"])
async def test_two_minutes_without_a_network_lose_nothing(
    agent: Agent, ims: AgentProtocolServer, wire: Wire, payload: JobPayload
) -> None:
    go_on = asyncio.Event()

    async def work(payload: JobPayload, context: JobContext) -> JobResult:
        context.log("before the cut")
        await go_on.wait()
        context.log("during the cut")
        return SYNCED

    executor = Scripted(work)
    async with agent.running(executor):
        job = await ims.offer(payload)
        await ims.until(lambda: job.heartbeats > 0)
        wire.cut = True
        await pass_time(60)
        go_on.set()
        await until(lambda: owes(agent))
        await pass_time(60)
        assert job.finish is None
        await wire.mend()
        await time_goes_by_until(lambda: job.finish is not None)
        await time_goes_by_until(lambda: agent.journal.entries() == [])
    assert job.log() == "before the cut\nduring the cut\n"
    assert (job.attempt, len(executor.began)) == (1, 1), "nothing is done twice"


async def test_three_hours_away_and_a_restart_in_between(agent: Agent, ims: AgentProtocolServer) -> None:
    lines = 3000

    async def work(payload: JobPayload, context: JobContext) -> JobResult:
        for number in range(lines):
            context.log(f"line {number} of {context.job_id} " + "." * 40)
        ims.down = True
        return SYNCED

    async with agent.running(Scripted(work)):
        job = await ims.offer(APPLY)
        await until(lambda: owes(agent))
        await pass_time(3 * 3600, step=30)
        assert job.finish is None

    nothing_to_do = Scripted(succeed)
    async with agent.running(nothing_to_do):
        await pass_time(3600, step=30)
        assert job.finish is None
        ims.down = False
        await time_goes_by_until(lambda: job.finish is not None)
        await time_goes_by_until(lambda: agent.journal.entries() == [])
    assert job.finish
    assert job.finish.result == SYNCED
    assert job.log() == "".join(f"line {number} of {job.id} " + "." * 40 + "\n" for number in range(lines))
    assert nothing_to_do.began == []
    assert list((agent.folder / "logs").iterdir()) == []


async def test_all_that_waits_goes_on_as_soon_as_one_call_gets_through(
    agent: Agent, ims: AgentProtocolServer, wire: Wire
) -> None:
    session = await agent.session()
    waiting = asyncio.create_task(session.pause(3600))
    await asyncio.sleep(0)
    await session.lease(LeaseRequest(wait_seconds=0))
    async with asyncio.timeout(5):
        await waiting


# Whatever answers in the place of the IMS, its word isn't the IMS's.

PORTAL = b"<html><title>Guest network</title>Please log in</html>"
GARBAGE = {
    "a portal's page": lambda: Response(PORTAL, 200, media_type="text/html"),
    "a redirect to a portal": lambda: Response(b"", 302, {"Location": "http://portal.test"}),
    "a page that isn't found": lambda: Response(PORTAL, 404, media_type="text/html"),
    "gone": lambda: Response(PORTAL, 410, media_type="text/html"),
    "a proxy that refuses": lambda: Response(PORTAL, 403, media_type="text/html"),
    "a proxy that wants a login": lambda: Response(PORTAL, 401, media_type="text/html"),
    "unprocessable": lambda: Response(PORTAL, 422, media_type="text/html"),
    "cut JSON": lambda: Response(b'{"access_token": "x', 200, media_type="application/json"),
    "other JSON": lambda: Response(b"[1, 2]", 200, media_type="application/json"),
    "500": lambda: Response(b"oops", 500, media_type="text/plain"),
    "a problem without its fields": lambda: Response(b"{}", 503, media_type="application/problem+json"),
    "broken compression": lambda: Response(b"not gzip", 200, {"Content-Encoding": "gzip"}),
    "fewer bytes than said": lambda: Response(b"x", 200, {"Content-Length": "10"}),
}


class Garbler:
    """Answers in the place of the IMS while it is `on`; who is let in, the IMS says itself."""

    def __init__(self, ims: AgentProtocolServer, answer: Callable[[], Response]) -> None:
        self.answered: dict[str, int] = {}
        self.on = False
        self._answer = answer
        for name in ("lease", "heartbeat", "put_log", "finish"):
            setattr(ims, name, self._garble(name, getattr(ims, name)))

    def _garble(self, name: str, real: Callable[[Request], object]) -> Callable[[Request], object]:
        async def answer(request: Request) -> object:
            if self.on:
                self.answered[name] = self.answered.get(name, 0) + 1
                return self._answer()
            return await real(request)  # type: ignore[misc]

        return answer


@pytest.mark.parametrize("answer", GARBAGE.values(), ids=GARBAGE.keys())
async def test_garbage_in_the_place_of_the_ims_is_never_taken_for_its_word(
    answer: Callable[[], Response], tmp_path: Path, calls: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    ims = AgentProtocolServer(heartbeat_seconds=1)
    garbler = Garbler(ims, answer)
    async with agent_protocol_server_of(ims):
        agent = Agent(ims, tmp_path / "agent", calls, ims.url)
        begun, done = asyncio.Event(), asyncio.Event()

        async def work(payload: JobPayload, context: JobContext) -> JobResult:
            await begun.wait()
            context.log("said to nobody yet")
            await done.wait()
            return SYNCED

        executor = Scripted(work)
        async with agent.running(executor):
            job = await ims.offer(APPLY)
            await ims.until(lambda: job.heartbeats > 0)
            garbler.on = True
            begun.set()
            await time_goes_by_until(lambda: {"heartbeat", "put_log", "lease"} <= garbler.answered.keys())
            done.set()
            await until(lambda: owes(agent))
            await time_goes_by_until(lambda: garbler.answered.get("finish", 0) >= 3)
            assert owes(agent)
            garbler.on = False
            await time_goes_by_until(lambda: job.finish is not None)
            await time_goes_by_until(lambda: agent.journal.entries() == [])
    assert job.finish
    assert job.finish.outcome == "succeeded"
    assert job.log() == "said to nobody yet\n"
    assert (job.attempt, job.finishes, len(executor.began)) == (1, 1, 1)
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("answer", GARBAGE.values(), ids=GARBAGE.keys())
async def test_garbage_in_answer_to_a_sign_in_keeps_the_agent_waiting(
    answer: Callable[[], Response], tmp_path: Path, calls: httpx.AsyncClient
) -> None:
    ims, garbled = AgentProtocolServer(), []
    real = ims.sign_in

    async def sign_in(request: Request) -> Response:
        if len(garbled) < 3:
            garbled.append(request)
            return answer()
        return await real(request)

    ims.sign_in = sign_in  # type: ignore[method-assign]
    async with agent_protocol_server_of(ims):
        agent = Agent(ims, tmp_path / "agent", calls, ims.url)
        async with agent.running(Scripted(succeed)):
            job = await ims.offer(SYNC)
            await time_goes_by_until(lambda: job.finish is not None)
    assert len(garbled) == 3


@asynccontextmanager
async def agent_protocol_server_of(ims: AgentProtocolServer) -> AsyncIterator[None]:
    """The server of this very state."""
    from registry_server import serve

    async with serve(ims.app()) as url:
        ims.url = url
        yield


@pytest.mark.parametrize("skew", [600, -600, 86400 * 400])
async def test_a_clock_that_is_wrong_keeps_nobody_out(
    skew: float, agent: Agent, ims: AgentProtocolServer, caplog: pytest.LogCaptureFixture
) -> None:
    agent.wall = lambda: time.time() + skew
    async with agent.running(Scripted(succeed)):
        job = await ims.offer(SYNC)
        await ims.until(lambda: job.finish is not None)
        ims.forget_sign_ins()
        second = await ims.offer(SYNC)
        await ims.until(lambda: second.finish is not None)
    said = [record.getMessage() for record in caplog.records if "clock" in record.getMessage()]
    assert len(said) == 1, "once is enough"
    assert "set it" in said[0]


async def test_a_wrong_key_is_not_taken_for_a_wrong_clock(agent: Agent, ims: AgentProtocolServer) -> None:
    session = await agent.session()
    ims.public_key = "A" * 43 + "="
    with pytest.raises(Exception, match="isn't that of the agent's key"):
        await session.sign_in()
    assert ims.sign_ins == 0


def test_the_first_contact_is_tried_quickly_and_a_lost_one_with_care() -> None:
    most = Backoff(lambda low, high: high)
    assert [most.next() for _ in range(8)] == [1, 2, 4, 8, 16, 32, 64, 64]
    first = Backoff(lambda low, high: high, eager=FIRST_CONTACT)
    assert {first.next() for _ in range(FIRST_CONTACT)} == {1}
    assert [first.next() for _ in range(8)] == [1, 2, 4, 8, 16, 32, 64, 64]


async def test_an_agent_that_was_started_before_its_ims_is_there_within_a_second(
    ims: AgentProtocolServer, tmp_path: Path, calls: httpx.AsyncClient
) -> None:
    agent = Agent(ims, tmp_path / "agent", calls, ims.url)
    session = await agent.session()
    waits = session.backoff()
    assert all(waits.next() <= 1 for _ in range(20)), "also after many tries"
    await session.lease(LeaseRequest(wait_seconds=0))
    later = session.backoff()
    assert max(later.next() for _ in range(30)) > 2, "with care, once it was there"


# Room on the disk


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
