"""An agent changes its key: whatever is lost on the way, it keeps the one that the IMS knows."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from agent_protocol_server import TOKEN, AgentProtocolServer, agent_protocol_server
from click.testing import CliRunner

from agent.cli import agent_command
from agent.identity import Home, Identity, public_half
from agent.key_rotation import rotate, rotation_loop, settle
from agent.session import Session
from api.client import ApiError, ImsClient

pytestmark = pytest.mark.anyio


@pytest.fixture
async def ims() -> AsyncIterator[AgentProtocolServer]:
    async with agent_protocol_server() as server:
        yield server


@dataclass
class Enrolled:
    home: Home
    identity: Identity
    http: httpx.AsyncClient

    def session(self, ims: AgentProtocolServer) -> Session:
        return Session(ims.url, self.identity, self.http)

    def key_file(self) -> bytes:
        return (self.home.folder / "agent.key").read_bytes()


@pytest.fixture
async def agent(ims: AgentProtocolServer, tmp_path: Path, http: httpx.AsyncClient) -> Enrolled:
    home = Home(tmp_path / "home")
    return Enrolled(home, await home.enroll(ImsClient(ims.url, None, http), TOKEN, "agent", None), http)


def known_to(ims: AgentProtocolServer, agent: Enrolled) -> bool:
    """Whether the key on the agent's disk is the one that the IMS has."""
    identity = agent.home.identity()
    assert identity
    return public_half(identity.key) == ims.public_key


async def test_a_rotated_key_is_the_one_that_signs_in_from_then_on(agent: Enrolled, ims: AgentProtocolServer) -> None:
    before, old = ims.public_key, agent.key_file()
    session = agent.session(ims)
    await rotate(agent.home, session)
    assert ims.public_key != before
    assert agent.key_file() != old
    assert known_to(ims, agent)
    ims.forget_sign_ins()
    await session.sign_in()
    assert (agent.home.folder / "agent.key").stat().st_mode & 0o777 == 0o600
    assert not (agent.home.folder / "agent.key.next").exists()


@pytest.mark.parametrize("lost", ["request", "answer"])
async def test_a_rotation_that_was_cut_off_is_settled_at_the_next_start(
    agent: Enrolled, ims: AgentProtocolServer, lost: str
) -> None:
    ims.lose_rotation = lost
    with pytest.raises(ApiError):
        await rotate(agent.home, agent.session(ims))
    assert (agent.home.folder / "agent.key.next").exists()
    settled = await settle(agent.home, agent.identity, ims.url, agent.http)
    assert public_half(settled.key) == ims.public_key
    assert known_to(ims, agent)
    assert not (agent.home.folder / "agent.key.next").exists()


async def test_an_old_key_is_replaced_while_the_agent_runs(agent: Enrolled, ims: AgentProtocolServer) -> None:
    session, before = agent.session(ims), ims.public_key
    made = (agent.home.folder / "agent.key").stat().st_mtime
    for lost in ("answer", ""):
        ims.lose_rotation = lost
        loop = asyncio.create_task(rotation_loop(agent.home, session, ims.url, agent.http, 90, wall=lambda: made + 91 * 86400))
        async with asyncio.timeout(240):
            while ims.public_key == before or not known_to(ims, agent):  # noqa: ASYNC110 - on the disk
                await asyncio.sleep(0.01)
        loop.cancel()
        await asyncio.wait([loop])
        before = ims.public_key
        ims.forget_sign_ins()
        await session.sign_in()


async def test_a_young_key_stays(agent: Enrolled, ims: AgentProtocolServer) -> None:
    before = ims.public_key
    loop = asyncio.create_task(rotation_loop(agent.home, agent.session(ims), ims.url, agent.http, 90))
    await asyncio.sleep(0)
    loop.cancel()
    await asyncio.wait([loop])
    assert ims.public_key == before


async def test_the_command_rotates_the_key_of_a_stopped_agent(
    agent: Enrolled, ims: AgentProtocolServer, tmp_path: Path
) -> None:
    def command(home: Path):  # type: ignore[no-untyped-def]
        return CliRunner().invoke(agent_command, ["rotate-key", "--url", ims.url, "--home", str(home)])

    before = ims.public_key
    result = await asyncio.to_thread(command, agent.home.folder)
    assert (result.exit_code, result.output) == (0, "Agent agt_1 has a new key.\n")
    assert ims.public_key != before
    with agent.home.occupied():
        result = await asyncio.to_thread(command, agent.home.folder)
    assert (result.exit_code, "another agent runs" in result.stderr) == (1, True)
    result = await asyncio.to_thread(command, tmp_path / "nowhere")
    assert (result.exit_code, "has no agent" in result.stderr) == (1, True)
