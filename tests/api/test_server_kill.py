"""The real server process: killed, stopped, started twice."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from ims_driver import Agent
from server_process import ServerProcess

from api.cli.up import up_command

pytestmark = pytest.mark.anyio


@pytest.fixture
def started(tmp_path: Path) -> Iterator["Starter"]:
    with ExitStack() as stack:
        yield Starter(tmp_path / "data", stack)


class Starter:
    """Starts servers on one data folder, and ends those that are left."""

    def __init__(self, data: Path, stack: ExitStack) -> None:
        self._data = data
        self._stack = stack

    def __call__(self) -> ServerProcess:
        server = ServerProcess(self._data)
        self._stack.callback(server.end, signal.SIGKILL)
        return server


def refusal(*options: str, code: int = 1) -> str:
    """What `exclave up` says when it can't start."""
    umask = os.umask(0)
    try:
        result = CliRunner().invoke(up_command, ["--no-build-agent", "--port", "0", *options])
    finally:
        os.umask(umask)
    assert (result.exit_code, type(result.exception)) == (code, SystemExit)
    return result.stderr


async def create_until_it_dies(http: httpx.AsyncClient, server: ServerProcess, worker: int, acknowledged: list[str]) -> None:
    number = 0
    while True:
        name = f"app-{worker}-{number}"
        try:
            answer = await http.post("/v1/apps", json={"name": name}, headers={"authorization": f"Bearer {server.token}"})
        except httpx.TransportError:
            return
        assert answer.status_code == 201
        acknowledged.append(name)
        number += 1
        if len(acknowledged) == 60:
            server.process.send_signal(signal.SIGKILL)


async def test_what_was_acknowledged_survives_kill_9_in_the_middle_of_a_burst(started: Starter) -> None:
    server = started()
    acknowledged: list[str] = []
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as http:
        workers = [create_until_it_dies(http, server, worker, acknowledged) for worker in range(8)]
        await asyncio.wait_for(asyncio.gather(*workers), 120)
    server.end(signal.SIGKILL)
    assert len(acknowledged) >= 60

    again = started()
    async with httpx.AsyncClient(base_url=again.url, trust_env=False) as http:
        ims = again.client(http)
        names = {app["name"] for app in (await ims.ok("GET", "/v1/apps", params={"limit": 1000}))["items"]}
        assert set(acknowledged) <= names
        assert len(await ims.events("app.created")) == len(names)
        assert await ims.chain_is_whole()


async def long_polls(http: httpx.AsyncClient, server: ServerProcess) -> str:
    """How many requests, and what else the server has, wait for something now."""
    answer = await http.get("/metrics", headers={"authorization": f"Bearer {server.token}"})
    return next(line for line in answer.text.splitlines() if line.startswith("exclave_long_polls "))


async def test_a_stop_ends_quickly_even_while_an_agent_waits_and_no_log_gets_the_token(started: Starter) -> None:
    server = started()
    assert server.token not in server.output
    assert "admin.token" in server.output
    assert (server.data / "admin.token").stat().st_mode & 0o777 == 0o600

    assert f"another process (pid {server.process.pid}) serves {server.data}" in refusal("--data", str(server.data))

    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as http:
        agent = await Agent.enrolled(server.client(http))
        assert await agent.lease() is None
        before = await long_polls(http, server)
        waiting = asyncio.create_task(agent.lease(wait=50))
        async with asyncio.timeout(60):
            while await long_polls(http, server) == before:
                assert not waiting.done()
        seconds = await asyncio.to_thread(server.end, signal.SIGTERM)
        assert await waiting is None
    assert seconds < 30
    assert server.process.returncode == 0
    assert "The IMS has stopped." in server.output
    token = server.token

    again = started()
    assert again.token == token
    async with httpx.AsyncClient(base_url=again.url, trust_env=False) as http:
        assert len((await again.client(http).ok("GET", "/v1/agents"))["items"]) == 1


def test_a_folder_or_an_address_that_can_not_be_used_is_told_in_plain_words(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "Choose another folder with --data." in refusal("--data", str(tmp_path / "file" / "data"))
    assert "can't listen on 192.0.2.1:0" in refusal("--data", str(tmp_path / "data"), "--host", "192.0.2.1")
    assert "--public-url" in refusal("--host", "0.0.0.0", code=2)
    assert "--public-url: 'ims.example.com': not an address" in refusal("--public-url", "ims.example.com")


def test_an_engine_that_can_not_be_used_is_told_before_anything_is_served(tmp_path: Path) -> None:
    said = refusal("--build-agent", "--data", str(tmp_path / "data"), "--engine", "/nope")
    assert "--engine /nope can't be used: no usable Terraform engine: /nope is not a program" in said
    assert not (tmp_path / "data").exists()


def test_what_fails_beside_the_server_ends_it(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    assert "can't write --url-file" in refusal("--data", data, "--url-file", str(tmp_path / "nowhere" / "url"))


def test_a_database_whose_key_is_gone_is_not_served(tmp_path: Path) -> None:
    (tmp_path / "exclave.db").touch()
    assert "secrets.key is gone; restore it from a backup" in refusal("--data", str(tmp_path))
    assert not (tmp_path / "secrets.key").exists()
