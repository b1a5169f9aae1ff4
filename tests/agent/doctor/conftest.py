"""A machine without settings of its owner's, and a scripted IMS."""

import os
from collections.abc import AsyncIterator, Iterator

import pytest
from agent_protocol_server import AgentProtocolServer, agent_protocol_server


@pytest.fixture(autouse=True)
def _environment() -> Iterator[None]:
    before = dict(os.environ)
    for name in [
        name for name in os.environ if name.lower().endswith("_proxy") or name.startswith(("AWS_", "GOOGLE_", "KUBE"))
    ]:
        del os.environ[name]
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "EXCLAVE_ENGINE"):
        os.environ.pop(name, None)
    os.environ["HOME"] = "/nonexistent"
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
async def ims() -> AsyncIterator[AgentProtocolServer]:
    async with agent_protocol_server() as server:
        yield server
