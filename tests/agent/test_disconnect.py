"""`exclave agent disconnect`: the key is gone on both sides, and what stays is named."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from agent_protocol_server import TOKEN, AgentProtocolServer, agent_protocol_server
from click.testing import CliRunner, Result

from agent.cli import agent_command
from agent.identity import Home
from agent.journal import Journal, JournalEntry
from agent.ledger.verify import entries, verify
from api.client import ImsClient

pytestmark = pytest.mark.anyio
KEYS = ("identity.json", "agent.key", "sealing.key")


@pytest.fixture
async def ims() -> AsyncIterator[AgentProtocolServer]:
    async with agent_protocol_server() as server:
        yield server


@pytest.fixture
async def home(ims: AgentProtocolServer, tmp_path: Path) -> Path:
    """An agent that is stopped, with a component deployed."""
    folder = tmp_path / "home"
    async with httpx.AsyncClient(trust_env=False) as http:
        await Home(folder).enroll(ImsClient(ims.url, None, http), TOKEN, "agent", None)
    network = folder / "components" / "network"
    network.mkdir(parents=True)
    (network / "outputs.json").write_text("{}")
    (folder / "state.keys").write_text("kept")
    return folder


async def disconnect(ims: AgentProtocolServer, home: Path, *more: str) -> Result:
    arguments = ["disconnect", "--url", ims.url, "--home", str(home), *more]
    return await asyncio.to_thread(CliRunner().invoke, agent_command, arguments)


async def test_the_key_is_gone_on_both_sides_and_what_stays_is_named(ims: AgentProtocolServer, home: Path) -> None:
    left = await disconnect(ims, home)
    assert "Left as it is" in left.output or left.exit_code == 1
    assert not ims.revoked
    done = await disconnect(ims, home, "--yes")
    assert done.exit_code == 0, done.output
    assert "managed by nobody from now on: network" in done.output
    assert f"states in {home}/states" in done.output
    assert ims.revoked
    assert [name for name in KEYS if (home / name).exists()] == []
    assert (home / "state.keys").exists()
    files = sorted((home / "ledger").glob("*"))
    assert verify(files).broken is None
    (last,) = [each for each in entries(files) if each.event == "agent.disconnected"]
    assert last.data["stays"] == ["network"]
    again = await disconnect(ims, home, "--yes")
    assert (again.exit_code, "has enrolled" in again.output) == (1, True)


async def test_an_end_that_was_cut_off_is_taken_up(ims: AgentProtocolServer, home: Path) -> None:
    ims.lose_disconnect = True
    lost = await disconnect(ims, home, "--yes")
    assert lost.exit_code == 1
    assert (home / "agent.key").exists()
    ims.lose_disconnect = False
    assert (await disconnect(ims, home, "--yes")).exit_code == 0
    assert not (home / "agent.key").exists()


async def test_an_agent_that_runs_or_owes_reports_is_left_alone(ims: AgentProtocolServer, home: Path) -> None:
    with Home(home).occupied():
        runs = await disconnect(ims, home, "--yes")
    assert (runs.exit_code, "Stop it first" in runs.output) == (1, True)
    Journal(home / "journal").record(JournalEntry(job_id="job_1", attempt=1))
    owes = await disconnect(ims, home, "--yes")
    assert (owes.exit_code, "--once" in owes.output) == (1, True)
    assert not ims.revoked
    assert (home / "agent.key").exists()
