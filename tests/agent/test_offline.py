"""Hours without the IMS: what is at work ends, nothing is lost, and all is told once when it is back.

Sockets and TCP connections are real; the hours are not: `Clock` moves the event loop's time.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from agent_protocol_server import AgentProtocolServer, agent_protocol_server
from offline_agent import Agent, Clock, Wire, owes, pass_time, time_goes_by_until, until
from scripted_worker import APPLY, SYNC, SYNCED, Scripted, succeed
from starlette.requests import Request
from starlette.responses import Response

from agent.backoff import FIRST_CONTACT, Backoff
from agent.job import JobContext
from api.contract.agents import JobPayload, JobResult, LeaseRequest

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "asyncio", {"loop_factory": Clock}


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

    async with agent.running(Scripted(work), patience=0.05):  # its report finds nobody
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
    async with asyncio.timeout(240):
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
