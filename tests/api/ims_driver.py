"""Drives an IMS over HTTP, in process: what people send, and a scripted agent that speaks the agent protocol."""

import asyncio
import base64
import contextlib
import gzip
import itertools
import sqlite3
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
from as_documented import assert_as_documented
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import FastAPI
from sqlalchemy import Connection, event, inspect, text

import api.ims
from api import housekeeping
from api.agents import health
from api.app import create_app
from api.contract.enrollment import sign_in_message
from api.db import schema
from api.db.doorbell import Doorbell, Listener
from api.db.driver import Driver
from api.db.schema import driver_of
from api.db.standing import Standing
from api.db.turns import Job
from api.deploys import due
from api.jobs import outcomes
from api.settings import Intervals, Settings
from api.tokens import service as tokens

Body = dict[str, Any]
PUBLIC_URL = "http://ims.test"
INTERVALS = Intervals(sweep=3600, webhooks=3600)  # tests sweep, and send to webhooks, by themselves
housekeeping._PRESENCE_SECONDS = 3600.0  # and keep house: the server's clock is the test's, but this is the machine's
_numbers = itertools.count(1)
_compiled: dict[tuple[str, str], tuple[Any, Any]] = {}


class Clock:
    """A clock that stands still until the test moves it."""

    def __init__(self, now: datetime = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class WatchedStanding(Standing):
    """Tells which topics writes wait for."""

    def __init__(self, told: asyncio.Queue[tuple[str, ...]]) -> None:
        super().__init__()
        self._told = told

    def keep(self, job: Job) -> bool:
        """See `Standing.keep`."""
        kept = super().keep(job)
        if kept:
            job.loop.call_soon_threadsafe(self._told.put_nowait, (job.topic,))
        return kept


class WatchedDoorbell(Doorbell):
    """A doorbell that lets a test know when a request listens."""

    def __init__(self) -> None:
        super().__init__()
        self._listens: asyncio.Queue[tuple[str, ...]] = asyncio.Queue()
        self.standing = WatchedStanding(self._listens)

    def listen(self, *topics: str) -> Listener:
        """See `Doorbell.listen`."""
        self._listens.put_nowait(topics)
        return super().listen(*topics)

    @property
    def requests(self) -> set[str]:
        """The topics that requests listen to; the server itself listens to some, too."""
        return {*self._waiters, *self.standing._waiting} - {"webhooks", "deploys:pending"}

    async def somebody_listens(self, topic: str) -> None:
        """Wait until one more request listens to a topic."""
        async with asyncio.timeout(60):
            while topic not in await self._listens.get():
                continue


@dataclass(frozen=True)
class Ims:
    """A running IMS. Every call is signed in with the admin token unless it says otherwise."""

    app: FastAPI
    http: httpx.AsyncClient
    clock: Clock
    doorbell: WatchedDoorbell
    token: str
    data: Path
    answers: list[httpx.Response] = field(default_factory=list)

    @property
    def state(self) -> api.ims.Ims:
        found: api.ims.Ims = self.app.state.ims
        return found

    async def send(
        self, method: str, path: str, body: Any = None, *, token: str | None = "admin", **more: Any
    ) -> httpx.Response:
        """One request; the answer is kept in `answers`, whatever it is."""
        secret = self.token if token == "admin" else token
        headers = {**({"authorization": f"Bearer {secret}"} if secret else {}), **more.pop("headers", {})}
        answer = await self.http.request(method, path, json=body, headers=headers, **more)
        self.answers.append(answer)
        if self.app is not None:
            assert_as_documented(self.app, answer)
        return answer

    async def ok(self, method: str, path: str, body: Any = None, **more: Any) -> Body:
        """One request that must succeed; its body."""
        answer = await self.send(method, path, body, **more)
        assert answer.status_code < 300, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else {}

    async def refused(self, status: int, method: str, path: str, body: Any = None, **more: Any) -> Body:
        """One request that must be refused with this status; the problem."""
        answer = await self.send(method, path, body, **more)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        assert answer.headers["content-type"] == "application/problem+json"
        return answer.json()

    async def sweep(self) -> None:
        """What the running server does every second."""
        await self.state.db.write("system", outcomes.sweep, INTERVALS)
        await self.state.db.write("system", health.sweep, INTERVALS)
        if await self.state.db.read(due.overdue):
            await self.state.db.write("system", due.sweep, self.state.vault)

    async def pass_time(self, seconds: float) -> None:
        """Let the clock move, and the server notice."""
        self.clock.forward(seconds)
        await self.sweep()

    async def events(self, action: str, **params: str) -> list[Body]:
        """The history's lines of one action."""
        return (await self.ok("GET", "/v1/events", params={"action": action, "limit": 1000, **params}))["items"]

    async def chain_is_whole(self) -> bool:
        """Whether the history verifies."""
        return (await self.ok("GET", "/v1/events/verify"))["whole"]

    @contextlib.contextmanager
    def database(self) -> Iterator[Connection]:
        """The database, past the IMS, which may have stopped; what is done there is committed at the end."""
        driver = driver_of(self.state.settings)
        try:
            with driver.writer.begin() as connection:
                yield connection
        finally:
            driver.close()

    def stored(self) -> bytes:
        """Every value in every table, as it is kept."""
        with self.database() as connection:
            tables = inspect(connection).get_table_names()
            rows = [row for table in tables for row in connection.execute(text(f"SELECT * FROM {table}"))]
        return b"\n".join(value if isinstance(value, bytes) else str(value).encode() for row in rows for value in row)


@contextlib.asynccontextmanager
async def running_ims(
    data: Path, clock: Clock | None = None, token: str = "", *, database_url: str | None = None, **more: Any
) -> AsyncIterator[Ims]:
    """An IMS on a data folder and its database; give the `token` of an earlier one to go on with its data. `more` settings."""
    clock = clock or Clock()
    doorbell = WatchedDoorbell()
    settings = Settings(
        data, PUBLIC_URL, INTERVALS, database=database_url or "sqlite", webhooks_allow_private=("127.0.0.0/8",), **more
    )
    with patch.object(schema, "driver_of", _driver_of):
        app = create_app(settings, clock=clock, doorbell=doorbell)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL) as http:
        made = await app.state.ims.db.write("system", tokens.first_admin)
        yield Ims(app, http, clock, doorbell, made.secret if made else token, data)


def _driver_of(settings: Settings) -> Driver:
    driver = driver_of(settings)
    _share_compiled_statements(driver)
    if settings.database == "sqlite":
        event.listen(driver.writer, "connect", _forget_power_failures)
    return driver


def _share_compiled_statements(driver: Driver) -> None:
    # Each engine has a cache of the statements that it has compiled, by its own dialect. A server fills it once; the IMS of a
    # test would spend a third of its life on that.
    for role in ("writer", "reader"):
        engine: Any = getattr(driver, role)
        of_the_first = _compiled.setdefault((engine.dialect.name, role), (engine.dialect, engine._compiled_cache))
        engine.dialect, engine._compiled_cache = of_the_first


def _forget_power_failures(connection: sqlite3.Connection, _: object) -> None:
    # Flushing each commit to the disk is most of what a test would wait for. The server's own settings are in test_server_kill.
    connection.execute("PRAGMA synchronous=OFF")


def fields(problem: Body) -> list[str]:
    """The fields at fault, as a problem names them."""
    return [error["field"] for error in problem["errors"]]


def vendor_key() -> str:
    """A fresh signing key's public half, as a build agent sends it."""
    key = generate_private_key(SECP256R1()).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@dataclass
class Agent:
    """A scripted agent: says what the test tells it to."""

    ims: Ims
    key: Ed25519PrivateKey
    id: str = ""
    token: str = ""

    @classmethod
    async def enrolled(cls, ims: Ims, install: str | None = None) -> "Agent":
        """A new agent, enrolled and signed in: the build agent, or that of an install."""
        kind = "install" if install else "build"
        made = await ims.ok("POST", "/v1/agents/enrollments", {"kind": kind, "install_id": install})
        agent = cls(ims, Ed25519PrivateKey.generate())
        agent.id = (await ims.ok("POST", "/v1/agent/enroll", agent.enrollment(made), token=None))["agent_id"]
        await agent.sign_in()
        return agent

    def enrollment(self, made: Body) -> Body:
        """The request with which this agent enrols."""
        raw = self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return {
            "token": made["secret"],
            "public_key": base64.b64encode(raw).decode(),
            "name": f"agent-{next(_numbers)}",
            "version": "0.1.0",
            "platform": "linux/amd64",
            "vendor_key": vendor_key() if made["kind"] == "build" else None,
        }

    def signed(self, *, skew: float = 0, nonce: str | None = None) -> Body:
        """A sign-in request."""
        at = int(self.ims.clock().timestamp() + skew)
        nonce = nonce or uuid.uuid4().hex  # a database that the test was given may know those of an earlier process
        signature = base64.b64encode(self.key.sign(sign_in_message(self.id, at, nonce))).decode()
        return {"agent_id": self.id, "timestamp": at, "nonce": nonce, "signature": signature, "version": "0.1.0"}

    async def sign_in(self) -> None:
        """Get an access token."""
        answer = await self.ims.ok("POST", "/v1/agent/session", self.signed(), token=None)
        self.token = answer["access_token"]

    async def lease(self, *, wait: float = 0, resume: Body | None = None) -> Body | None:
        """A job, or None."""
        held = {"job_id": resume["job_id"], "attempt": resume["attempt"]} if resume else None
        return await self.ims.ok("POST", "/v1/agent/lease", {"wait_seconds": wait, "resume": held}, token=self.token) or None

    async def take(self, kind: str, component: str | None = None) -> Body:
        """A job that must be there, of this kind and for this component."""
        lease = await self.lease()
        assert lease, f"no job; expected {kind} of {component}"
        assert lease["payload"]["kind"] == kind, lease["payload"]
        assert component is None or component == lease["payload"]["component"], lease["payload"]
        return lease

    async def heartbeat(self, lease: Body) -> httpx.Response:
        """Prolong a lease."""
        path, body = f"/v1/agent/jobs/{lease['job_id']}/heartbeat", {"attempt": lease["attempt"]}
        return await self.ims.send("POST", path, body, token=self.token)

    async def further_ticket(self, lease: Body, *, attempt: int | None = None) -> httpx.Response:
        """Ask for another pull ticket, as the holder of the job's attempt."""
        path, body = f"/v1/agent/jobs/{lease['job_id']}/ticket", {"attempt": attempt or lease["attempt"]}
        return await self.ims.send("POST", path, body, token=self.token)

    async def log(self, lease: Body, text: str, *, seq: int = 0, offset: int = 0, chunk: bytes | None = None) -> httpx.Response:
        """Send one chunk of the job's log."""
        path = f"/v1/agent/jobs/{lease['job_id']}/logs/{seq}"
        params = {"attempt": lease["attempt"], "offset": offset}
        content = chunk if chunk is not None else gzip.compress(text.encode())
        return await self.ims.send("PUT", path, token=self.token, params=params, content=content)

    async def report(self, lease: Body, outcome: str, **more: Any) -> httpx.Response:
        """Say how an attempt ended."""
        body = {"attempt": lease["attempt"], "outcome": outcome, **more}
        return await self.ims.send("POST", f"/v1/agent/jobs/{lease['job_id']}/finish", body, token=self.token)

    async def succeed(self, lease: Body, result: Body) -> None:
        """Report a success, which must be taken."""
        answer = await self.report(lease, "succeeded", result=result)
        assert answer.status_code == 204, answer.text

    async def fail(self, lease: Body, code: str = "broken", *, retryable: bool = False, field: str | None = None) -> None:
        """Report a failure, which must be taken."""
        failure = {"code": code, "message": f"{code} indeed", "remedy": "Mend it.", "retryable": retryable, "field": field}
        answer = await self.report(lease, "failed", failure=failure)
        assert answer.status_code == 204, answer.text

    async def work(self, result_of: Callable[[Body], Body]) -> list[tuple[str, str]]:
        """Do every job there is, each with the result that `result_of(payload)` gives; what was done, in order."""
        done = []
        while lease := await self.lease():
            payload = lease["payload"]
            done.append((payload["component"], payload["kind"]))
            await self.succeed(lease, result_of(payload))
        return done
