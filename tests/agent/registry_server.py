"""Registries for the agents' tests: the built-in one with tickets that count, and Debian's docker-registry."""

import asyncio
import hashlib
import json
import re
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from prompt_server import PromptServer

from agent.oci.client import RegistryClient
from agent.oci.retry import RetryPolicy
from agent.oci.token import Credential
from api.registry.access import Access, Grant, Scope
from api.registry.app import create_registry
from api.registry.credentials import CredentialsRefusedError
from api.registry.storage import RegistryStorage
from api.registry.tokens import TokenSigner


async def no_wait(seconds: float) -> None:
    """Stands in for sleeping between tries."""


IMPATIENT = RetryPolicy(sleep=no_wait)
WRITER = Credential("writer", "secret")


@dataclass
class Tickets:
    """`Credentials` for tests: `writer` may do everything; a ticket is for pulls, as often as it has uses left."""

    uses: dict[str, int] = field(default_factory=dict)
    digests: dict[str, frozenset[str]] = field(default_factory=dict)
    asked: list[tuple[str, tuple[Scope, ...]]] = field(default_factory=list)

    async def grant(self, username: str, password: str, scopes: tuple[Scope, ...]) -> Grant:
        self.asked.append((username, scopes))
        if username == "writer":
            return Grant(username, tuple(Access(scope.repository, frozenset({"pull", "push"})) for scope in scopes))
        if self.uses.get(password, 0) < 1:
            raise CredentialsRefusedError("the ticket was used already")
        self.uses[password] -= 1
        pull = frozenset({"pull"})
        return Grant(username, tuple(Access(scope.repository, pull, self.digests.get(password)) for scope in scopes))


@dataclass(frozen=True)
class RegistryServer:
    """A registry that runs. `blobs` is where the content of a digest lies on its disk."""

    url: str
    http: httpx.AsyncClient
    folder: Path
    tickets: Tickets = field(default_factory=Tickets)

    def client(self, credential: Credential | None = WRITER) -> RegistryClient:
        return RegistryClient(self.url, credential, self.http, retry=IMPATIENT)

    def ticket(self, password: str = "once", *, uses: int = 1, digests: frozenset[str] | None = None) -> Credential:
        self.tickets.uses[password] = uses
        if digests is not None:
            self.tickets.digests[password] = digests
        return Credential("ticket", password)

    def tamper(self, digest: str) -> None:
        """Change one byte of a blob behind the registry's back."""
        hexes = digest.removeprefix("sha256:")
        found = [path for path in self.folder.rglob(f"*{hexes}*") if path.is_file()]
        found += [path for path in self.folder.rglob(f"*{hexes}*/data") if path.is_file()]
        assert found, f"{digest} isn't stored in {self.folder}"
        for path in {path.stat().st_ino: path for path in found if path.stat().st_size}.values():
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 1
            path.chmod(0o600)
            path.write_bytes(content)


@asynccontextmanager
async def built_in_registry(
    folder: Path, http: httpx.AsyncClient, certificates: Path | None = None
) -> AsyncIterator[RegistryServer]:
    """The registry of `api.registry`, on a port of its own."""
    with RegistryStorage.open(folder / "registry") as storage:
        tickets = Tickets()
        signer = TokenSigner.open(folder / "key.pem", issuer="test")
        async with serve(create_registry(storage, signer, tickets, service="test"), certificates) as url:
            yield RegistryServer(url, http, folder / "registry", tickets)


@asynccontextmanager
async def serve(app: Any, certificates: Path | None = None) -> AsyncIterator[str]:
    """An ASGI app on a port of its own, with TLS if there is a folder with a certificate; gives its URL."""
    # With the protocol named, asyncio sets TCP_NODELAY on what it accepts; without it, each answer waits 40 ms for an ACK.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()  # whoever connects before the server runs waits, and isn't refused
        tls = {"ssl_certfile": certificates / "server.pem", "ssl_keyfile": certificates / "server.key"} if certificates else {}
        config = uvicorn.Config(app, lifespan="off", log_level="error", ws="none", access_log=False, **tls)  # type: ignore[arg-type]
        server = PromptServer(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"{'https' if tls else 'http'}://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.end(force=True)
            await task


@asynccontextmanager
async def debian_registry(folder: Path, http: httpx.AsyncClient) -> AsyncIterator[RegistryServer]:
    """Debian's docker-registry, without authentication and without the referrers API."""
    program = shutil.which("docker-registry")
    assert program
    config = {
        "version": 0.1,
        "log": {"level": "info", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": {"addr": "127.0.0.1:0", "secret": "test"},
    }
    (folder / "config.yml").write_text(json.dumps(config))
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(program, "serve", str(folder / "config.yml"), stdout=log, stderr=log)
    try:
        yield RegistryServer(f"http://{await _address(folder / 'log')}", http, folder / "data")
    finally:
        process.terminate()
        await process.wait()


async def _address(log: Path) -> str:
    async with asyncio.timeout(240):
        while True:
            found = re.search(r"listening on ([0-9.]+:[0-9]+)", log.read_text())
            if found:
                return found[1]
            await asyncio.sleep(0.02)


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()
