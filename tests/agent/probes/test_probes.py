"""Probes against real servers on the loopback address."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from agent.probes.run import run_probes
from api.contract.component_health import HealthCheck
from api.contract.probes import Probe
from api.contract.references import InvalidReferenceError

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def server(*statuses: int, headers: str = "", silent: bool = False) -> AsyncIterator[tuple[int, list[str]]]:
    """A port that answers each request with the next status, the last one again and again. Gives the port and the requests."""
    left = list(statuses)
    seen: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        if line:
            seen.append(line.decode().split(" HTTP")[0])
            while (await reader.readline()).strip():
                pass
            if silent:
                await reader.read()
            status = left.pop(0) if len(left) > 1 else left[0]
            writer.write(f"HTTP/1.1 {status} X\r\n{headers}content-length: 0\r\nconnection: close\r\n\r\n".encode())
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()[1], seen
    finally:
        listening.close()
        await listening.wait_closed()


class Pauses:
    """Notes every pause and makes none."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


async def look(
    pauses: Pauses | None = None, redact: Callable[[str], str] = str, render: Any = str, **probe: Any
) -> HealthCheck:
    async with httpx.AsyncClient(trust_env=False) as http:
        (found,) = await run_probes({"api": Probe(**probe)}, render, redact, http, pauses or Pauses())
    return found


async def closed_port() -> int:
    async with server(200) as (port, _):
        return port


async def test_an_answer_as_expected_is_healthy() -> None:
    async with server(204) as (port, seen):
        found = await look(http=f"http://127.0.0.1:{port}/health?x=1")
    assert (found.name, found.kind, found.status, found.reason) == ("probe.api", "http", "healthy", "")
    assert seen == ["GET /health?x=1"]


async def test_a_probe_is_tried_until_it_is_well() -> None:
    pauses = Pauses()
    async with server(503, 503, 200) as (port, seen):
        found = await look(pauses, http=f"http://127.0.0.1:{port}/", attempts=5, interval_seconds=7)
    assert (found.status, len(seen), pauses.seconds) == ("healthy", 3, [7, 7])


async def test_after_the_last_attempt_it_is_degraded_with_what_was_answered() -> None:
    async with server(500) as (port, seen):
        found = await look(http=f"http://127.0.0.1:{port}/", attempts=3)
    assert (found.status, found.reason) == ("degraded", "answered 500, expected 200 to 299, 3 times")
    assert len(seen) == 3


@pytest.mark.parametrize(("wanted", "status"), [(403, "healthy"), (200, "degraded")])
async def test_the_status_may_be_another_than_success(wanted: int, status: str) -> None:
    async with server(403) as (port, _):
        assert (await look(http=f"http://127.0.0.1:{port}/", status=wanted, attempts=1)).status == status


async def test_redirects_are_an_answer_and_are_not_followed() -> None:
    async with server(302, headers="location: /elsewhere\r\n") as (port, seen):
        found = await look(http=f"http://127.0.0.1:{port}/", attempts=1)
    assert (found.reason, seen) == ("answered 302, expected 200 to 299", ["GET /"])


@pytest.mark.service
async def test_a_server_that_says_nothing_is_given_up() -> None:
    async with server(200, silent=True) as (port, _):
        found = await look(http=f"http://127.0.0.1:{port}/", attempts=1, timeout_seconds=1)
    assert (found.status, found.reason) == ("degraded", "no answer within 1 s")


async def test_a_port_that_is_open_is_healthy_and_one_that_is_not_degraded() -> None:
    async with server(200) as (port, _):
        assert (await look(tcp=f"127.0.0.1:{port}")).status == "healthy"
    found = await look(tcp=f"127.0.0.1:{port}", attempts=1)
    assert (found.kind, found.status) == ("tcp", "degraded")
    assert "can't be reached" in found.reason
    assert "can't be reached" in (await look(http=f"http://127.0.0.1:{port}/", attempts=1)).reason


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1/", "127.0.0.1", "http://", "http://[", "http://x:port/", "http://x\n/", "file:///etc"]
)
async def test_what_is_no_url_is_told(url: str) -> None:
    found = await look(http=url, attempts=1)
    assert found.status == "degraded"
    assert "no URL" in found.reason or "can't be reached" in found.reason


@pytest.mark.parametrize("address", ["localhost", ":80", "x:", "x:http", "x:70000", "x:²"])
async def test_what_is_no_address_is_told(address: str) -> None:
    assert "HOST:PORT" in (await look(tcp=address, attempts=1)).reason


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "[fd00:ec2::254]", "168.63.129.16"])
async def test_the_metadata_of_a_cloud_is_never_looked_at(host: str) -> None:
    for probe in ({"http": f"http://{host}/latest/meta-data"}, {"tcp": f"{host}:80"}):
        assert "metadata" in (await look(**probe, attempts=1)).reason


async def test_probes_run_side_by_side_and_come_back_by_name() -> None:
    async with server(200) as (port, _), httpx.AsyncClient(trust_env=False) as http:
        url = f"http://127.0.0.1:{port}/"
        probes = {"b": Probe(http=url), "a": Probe(tcp=f"127.0.0.1:{await closed_port()}", attempts=2)}
        found = await run_probes(probes, str, str, http, Pauses())
    assert [(check.name, check.status) for check in found] == [("probe.a", "degraded"), ("probe.b", "healthy")]


async def test_a_reference_without_a_value_is_unknown_and_nothing_is_sent() -> None:
    def render(_: str) -> str:
        raise InvalidReferenceError("component 'web' has no output 'url'")

    found = await look(render=render, http="{{ self.outputs.url }}")
    assert (found.status, found.reason) == ("unknown", "component 'web' has no output 'url'")


async def test_reasons_are_redacted_before_they_are_cut() -> None:
    secret = "s" * 600
    found = await look(
        render=lambda _: f"http://127.0.0.1:{'9' * 600}/", redact=lambda text: text.replace(secret, "*"), http="x"
    )
    assert found.status == "degraded"
    found = await look(render=lambda _: secret, redact=lambda text: text.replace(secret, "*"), tcp="x", attempts=1)
    assert secret[:10] not in found.reason


async def test_a_certificate_that_is_not_trusted_is_degraded() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    listening = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=context)
    port = listening.sockets[0].getsockname()[1]
    found = await look(http=f"https://127.0.0.1:{port}/", attempts=1)
    listening.close()
    await listening.wait_closed()
    assert (found.status, found.reason[:16]) == ("degraded", "can't be reached")


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"http": "http://x", "tcp": "x:1"},
        {"tcp": "x:1", "status": 200},
        {"http": ""},
        {"tcp": "x:1", "attempts": 100, "interval_seconds": 300},
        {"tcp": "x:1", "attempts": 0},
    ],
)
def test_what_cannot_be_a_probe_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"probe|Probe"):
        Probe(**wrong)
