"""An agent's home, and the scripted IMS that it was enrolled at."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from agent_protocol_server import AgentProtocolServer, agent_protocol_server
from scripted_worker import Agent

from agent import backoff


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "LONGEST_SECONDS", 0.05)


@pytest.fixture
async def ims() -> AsyncIterator[AgentProtocolServer]:
    async with agent_protocol_server() as server:
        yield server


@pytest.fixture
def agent(ims: AgentProtocolServer, tmp_path: Path, http: httpx.AsyncClient) -> Agent:
    return Agent(ims, tmp_path / "agent", http)
