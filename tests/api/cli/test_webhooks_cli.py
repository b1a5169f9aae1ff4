"""`exclave webhooks`, against a server that sends by itself."""

import asyncio
import json
import signal
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from server_process import ServerProcess
from standardwebhooks.webhooks import Webhook
from webhook_receiver import receiving

from api.cli import exclave

pytestmark = pytest.mark.anyio


async def call(server: ServerProcess, *arguments: str) -> Result:
    env = {"EXCLAVE_URL": server.url, "EXCLAVE_TOKEN_FILE": str(server.data / "admin.token")}
    return await asyncio.to_thread(CliRunner().invoke, exclave, ["webhooks", *arguments], env=env)


async def test_a_webhook_from_its_making_to_its_end(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "ims", "--webhooks-allow-private", "127.0.0.0/8")
    secret = tmp_path / "secret"
    try:
        async with receiving() as receiver:
            made = await call(server, "create", "hook", receiver.url, "--event", "webhook.*", "--output", str(secret))
            assert (made.exit_code, secret.stat().st_mode & 0o777) == (0, 0o600), made.output
            assert "whsec_" not in made.output
            await receiver.wait_for(1)  # the first event after its cursor is its own making
            tested = await call(server, "test", "hook")
            assert (tested.exit_code, "took it: 204" in tested.output) == (0, True), tested.output
            await receiver.wait_for(2)
            for got in receiver.got:
                Webhook(secret.read_text().strip()).verify(got.body, got.headers)

            listed = await call(server, "list")
            assert f"hook  {json.loads((await call(server, 'list', '--json')).output)['items'][0]['id']}" in listed.output
            (delivery, *_) = json.loads((await call(server, "deliveries", "hook", "--json")).output)["items"]
            assert (await call(server, "replay", "hook", delivery["id"])).exit_code == 0
            await receiver.wait_for(3)
            assert (await call(server, "replay", "hook", "--after", "0")).exit_code == 0
            assert (await call(server, "replay", "hook")).exit_code == 2
            rotated = await call(server, "rotate", "hook")
            assert "whsec_" in rotated.output
            assert "off" in (await call(server, "disable", "hook")).output
            assert "on" in (await call(server, "enable", "hook")).output
            receiver.status = 500
            assert (await call(server, "test", "hook")).exit_code == 1
            assert (await call(server, "delete", "hook")).exit_code == 0
            assert (await call(server, "test", "hook")).exit_code == 4
            private = await call(server, "create", "other", "https://10.0.0.1/")
            assert (private.exit_code, "isn't public" in private.output, "--webhooks-allow-private" in private.output) == (
                1,
                True,
                True,
            )
        took = await asyncio.to_thread(server.end, signal.SIGTERM)
        assert took < 30
        assert "Traceback" not in server.output
    finally:
        server.end(signal.SIGKILL)


async def test_a_delivery_that_waits_for_its_retry_survives_a_kill(tmp_path: Path) -> None:
    options = ("--webhooks-allow-private", "127.0.0.0/8")
    place = socket.socket()
    place.bind(("127.0.0.1", 0))  # nobody listens there, and nobody else comes to
    server = ServerProcess(tmp_path / "ims", *options)
    try:
        url = f"http://127.0.0.1:{place.getsockname()[1]}/hook"
        await call(server, "create", "hook", url, "--event", "webhook.*")
        while "connect" not in (listed := await call(server, "deliveries", "hook")).output:
            assert listed.exit_code == 0
        server.end(signal.SIGKILL)
        async with receiving(place) as receiver:
            server = ServerProcess(tmp_path / "ims", *options)
            await receiver.wait_for(1)
            assert receiver.types == ["webhook.created"]
    finally:
        server.end(signal.SIGKILL)
        place.close()


async def test_a_network_that_is_none_is_refused() -> None:
    result = CliRunner().invoke(exclave, ["up", "--webhooks-allow-private", "everything"])
    assert (result.exit_code, "--webhooks-allow-private: 'everything'" in result.output) == (1, True)
