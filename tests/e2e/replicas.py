"""Two replicas of the IMS on one PostgreSQL, and a proxy before them that sends each connection to one that answers."""

import asyncio
import contextlib
import itertools
import shutil
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg
from ims_driver import Agent, Body, Ims
from postgresql import PostgresServer, postgres_server
from server_process import ServerProcess
from shop import usual

SETTINGS = """
database = "{database}"
secrets_key = "file:{secrets_key}"
public_url = "http://127.0.0.1:{port}"
webhooks_allow_private = ["127.0.0.0/8"]

[intervals]
lease = {lease:g}
heartbeat = 0.5
sweep = 0.1
offline = 3
unknown_before_requeue = 1
"""
_SHARED = "registry-token.key"


class Proxy:
    """Each connection goes to the next replica that takes it."""

    def __init__(self) -> None:
        self.ports: list[int] = []
        self._turns = itertools.count()
        self._server: asyncio.Server | None = None

    async def open(self) -> int:
        """Begin to listen. Returns the port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        if self._server:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = next(self._turns)
        for at in range(len(self.ports)):
            try:
                there, back = await asyncio.open_connection("127.0.0.1", self.ports[(first + at) % len(self.ports)])
            except OSError:
                continue
            await asyncio.gather(_pipe(reader, back), _pipe(there, writer))
            break
        writer.close()


async def _pipe(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    target.close()


@dataclass
class Replicas:
    """Two replicas; `both` speaks to either through the proxy, `a` and `b` to one of them."""

    folder: Path
    postgres: PostgresServer
    database: str
    port: int
    proxy: Proxy
    servers: dict[str, ServerProcess] = field(default_factory=dict)
    clients: list[httpx.AsyncClient] = field(default_factory=list)
    token: str = ""
    lease: float = 2

    async def start(self, name: str) -> None:
        """Start a replica, again or for the first time, with what all replicas must share."""
        data = self.folder / name / "data"
        data.mkdir(parents=True, exist_ok=True)
        text = SETTINGS.format(
            database=self.database, secrets_key=self.folder / "secrets.key", port=self.port, lease=self.lease
        )
        (data / "exclave.toml").write_text(text)
        others = [path for path in self.folder.glob(f"*/data/{_SHARED}") if path.parent != data]
        if others:
            shutil.copy(others[0], data / _SHARED)
        self.servers[name] = await asyncio.to_thread(_Replica, data)
        self.proxy.ports = [server.port for server in self.servers.values() if isinstance(server, _Replica)]
        self.token = self.token or self.servers[name].token

    def kill(self, name: str) -> None:
        """`kill -9`."""
        self.servers[name].end(signal.SIGKILL)

    def ims(self, name: str | None = None) -> Ims:
        """Calls to one replica, or through the proxy."""
        server = self.servers[name] if name else None
        port = server.port if isinstance(server, _Replica) else self.port
        http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=120)
        self.clients.append(http)
        return Ims(None, http, lambda: datetime.now(UTC), None, self.token, self.folder)  # type: ignore[arg-type]

    def sql(self, statement: str) -> list[Any]:
        """Run a statement at the database."""
        with psycopg.connect(self.database, autocommit=True) as connection:
            return connection.execute(statement).fetchall()


class _Replica(ServerProcess):
    """It says that it is at the proxy's address, and listens on a port of its own."""

    @property
    def port(self) -> int:
        """Where it really listens."""
        for line in Path(f"/proc/{self.process.pid}/net/tcp").read_text().splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            if state == "0A" and rest[5] in self._sockets():
                return int(local.split(":")[1], 16)
        raise LookupError(self.output)

    def _sockets(self) -> set[str]:
        links = []
        for descriptor in Path(f"/proc/{self.process.pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                links.append(str(descriptor.readlink()))
        return {link.removeprefix("socket:[").rstrip("]") for link in links if link.startswith("socket:")}


@contextlib.asynccontextmanager
async def two_replicas(folder: Path, *, lease: float = 2) -> AsyncIterator[Replicas]:
    """Both started, on a server of their own that keeps its commits. `lease`: seconds that one lasts."""
    with postgres_server(durable=True) as postgres:
        proxy = Proxy()
        replicas = Replicas(folder, postgres, postgres.new_database(), await proxy.open(), proxy, lease=lease)
        try:
            await replicas.start("a")
            await replicas.start("b")
            yield replicas
        finally:
            for http in replicas.clients:
                await http.aclose()
            for server in replicas.servers.values():
                server.end(signal.SIGKILL)
            await proxy.close()


async def persistent(ims: Ims, method: str, path: str, body: Any = None, **more: Any) -> httpx.Response:
    """Send until there is an answer that isn't "try again"."""
    give_up = time.monotonic() + 240
    while time.monotonic() < give_up:
        with contextlib.suppress(httpx.TransportError):
            answer = await ims.send(method, path, body, **more)
            assert answer.status_code != 500, answer.text
            if answer.status_code != 503:
                return answer
        await asyncio.sleep(0.05)
    raise TimeoutError(path)


async def work(agent: Agent) -> None:
    """What an agent does until it is cancelled: every job, reported until the report is acknowledged."""
    while True:
        answer = await persistent(agent.ims, "POST", "/v1/agent/lease", {"wait_seconds": 5, "holding": []}, token=agent.token)
        lease: Body | None = answer.json() if answer.content else None
        if lease:
            body = {"attempt": lease["attempt"], "outcome": "succeeded", "result": usual(lease["payload"])}
            await persistent(agent.ims, "POST", f"/v1/agent/jobs/{lease['job_id']}/finish", body, token=agent.token)
