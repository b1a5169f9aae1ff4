"""DNS rebinding: a name that was judged is called where it was then, whatever it stands for a moment later."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from certificates import make_certificates
from prompt_server import PromptServer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from agent import checked_addresses
from agent.checked_addresses import HELD_SECONDS, CheckedAddresses
from agent.oci.errors import AccessRefusedError
from agent.oci.reach import check_reach
from agent.oci.wire import Wire
from agent.outbound import calls_client, outbound_client

pytestmark = pytest.mark.anyio

NAME = "storage.test"
JUDGED, INSIDE = "127.0.0.1", "127.0.0.2"


@dataclass
class Names:
    """A name server of the attacker's: it says of NAME what it likes."""

    says: list[str] = field(default_factory=lambda: [JUDGED])

    def __call__(self, host: Any, port: Any, *more: Any, **fields: Any) -> list[Any]:
        host = host.decode() if isinstance(host, bytes) else host
        places = self.says if host == NAME else [host]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (place, port)) for place in places]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    names = Names()
    monkeypatch.setattr(socket, "getaddrinfo", names)
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy", "SSL_CERT_DIR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(checked_addresses.CHECKED, "_found", {})
    return names


@dataclass
class Servers:
    """One that may be called and one inside, at the same port of two addresses; `called` says who was, by which name."""

    port: int
    called: list[tuple[str, str]]


async def _serve(stack: AsyncExitStack, certificates: Path | None) -> Servers:
    called: list[tuple[str, str]] = []
    sockets = _at_one_port()
    for address, listener in sockets.items():
        stack.callback(listener.close)

        async def answer(request: Request, address: str = address) -> PlainTextResponse:
            called.append((address, request.headers["host"]))
            return PlainTextResponse(address)

        app = Starlette(routes=[Route("/x", answer)])
        tls = {"ssl_certfile": certificates / "server.pem", "ssl_keyfile": certificates / "server.key"} if certificates else {}
        config = uvicorn.Config(app, lifespan="off", log_level="error", ws="none", access_log=False, **tls)  # type: ignore[arg-type]
        server = PromptServer(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        stack.push_async_callback(_stop, server, task)
    return Servers(sockets[JUDGED].getsockname()[1], called)


def _at_one_port() -> dict[str, socket.socket]:
    while True:
        judged = socket.create_server((JUDGED, 0))
        try:
            return {JUDGED: judged, INSIDE: socket.create_server((INSIDE, judged.getsockname()[1]))}
        except OSError:  # somebody else has that port there
            judged.close()


async def _stop(server: PromptServer, task: "asyncio.Task[None]") -> None:
    server.end(force=True)
    await task


@pytest.fixture(params=["http", "https"])
async def servers(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Servers]:
    certificates = None
    if request.param == "https":
        make_certificates(tmp_path / "tls", NAME)
        certificates = tmp_path / "tls"
        monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "ca.pem"))
    async with AsyncExitStack() as stack:
        servers = await _serve(stack, certificates)
        yield servers


def url_of(request: pytest.FixtureRequest, servers: Servers) -> httpx.URL:
    return httpx.URL(f"{request.node.callspec.params['servers']}://{NAME}:{servers.port}/x")


async def test_a_name_that_moves_after_it_was_judged_is_called_where_it_was(
    servers: Servers, names: Names, request: pytest.FixtureRequest
) -> None:
    url = url_of(request, servers)
    await check_reach(httpx.URL(f"{url.scheme}://127.0.0.1:1"), url, "the storage at")
    names.says = [INSIDE]
    async with outbound_client() as http:
        for _ in range(2):
            assert (await http.get(url)).text == JUDGED
    assert (await asyncio.to_thread(by_wire, url)) == JUDGED.encode()
    assert servers.called == [(JUDGED, f"{NAME}:{servers.port}")] * 3


def by_wire(url: httpx.URL) -> bytes:
    wire = Wire()
    try:
        return wire.get(url, {}).read()
    finally:
        wire.close()


async def test_of_several_judged_addresses_one_that_answers_is_called(
    servers: Servers, names: Names, request: pytest.FixtureRequest
) -> None:
    url = url_of(request, servers)
    names.says = ["127.0.0.3", JUDGED]
    await check_reach(httpx.URL(f"{url.scheme}://127.0.0.1:1"), url, "the storage at")
    names.says = [INSIDE]
    async with outbound_client() as http:
        assert (await http.get(url)).text == JUDGED
    assert (await asyncio.to_thread(by_wire, url)) == JUDGED.encode()


async def test_calls_of_the_ims_go_by_the_name(servers: Servers, names: Names, request: pytest.FixtureRequest) -> None:
    """The token endpoint of its registry may have been judged; when the IMS moves, its agents go along."""
    url = url_of(request, servers)
    await check_reach(httpx.URL(f"{url.scheme}://127.0.0.1:1"), url, "the token endpoint")
    names.says = [INSIDE]
    async with calls_client() as http:
        assert (await http.get(url)).text == INSIDE


async def test_what_is_refused_is_not_held(names: Names) -> None:
    names.says = ["10.0.0.1"]
    with pytest.raises(AccessRefusedError):
        await check_reach(httpx.URL("https://8.8.8.8"), httpx.URL(f"https://{NAME}/x"), "the storage at")
    assert checked_addresses.CHECKED.of(NAME) == ()


def test_addresses_are_held_longer_than_a_request_is_tried_and_not_for_ever() -> None:
    now = 0.0
    held = CheckedAddresses(lambda: now)
    held.hold("Storage.test", ("192.0.2.1",))
    now = HELD_SECONDS - 1
    assert held.of("storage.TEST") == ("192.0.2.1",)
    assert held.of("other.test") == ()
    now = HELD_SECONDS
    assert held.of("storage.test") == ()
