"""An IMS as agents see it: `/v1/agent` on the contract's models, with a queue that tests fill and a memory that they read."""

import asyncio
import base64
import gzip
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from registry_server import serve
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from api.contract.agents import Cancel, Finish, Heartbeat, HeartbeatAnswer, JobPayload, Lease, LeaseRequest
from api.contract.base import AgentKind
from api.contract.enrollment import (
    EnrollRequest,
    EnrollResponse,
    RotateKeyRequest,
    SignInRequest,
    SignInResponse,
    rotate_key_message,
    sign_in_message,
)
from api.contract.health import Health
from api.contract.problems import (
    PROBLEM_MEDIA_TYPE,
    AgentRevokedError,
    AttemptClosedError,
    InvalidError,
    ProblemError,
    StaleAttemptError,
    UnauthorizedError,
)
from api.contract.resources import ServerInfo

TOKEN = "exce_once"


class _BusyError(ProblemError):
    status, code, title, retryable = 503, "unavailable", "Not now", True


@dataclass
class FakeJob:
    """A job, and what its agent said about it. `attempt` is the current one; `newer` are fields that no agent knows yet."""

    id: str
    payload: JobPayload
    attempt: int = 0
    cancel: Cancel = "none"
    held: bool = False
    newer: dict[str, Any] = field(default_factory=dict)
    heartbeats: int = 0
    finish: Finish | None = None
    finishes: int = 0
    chunks: dict[tuple[int, int], tuple[int, bytes]] = field(default_factory=dict)

    def log(self) -> str:
        """The log of the current attempt. Fails if chunks are missing, overlap, or came in another order."""
        text = b""
        mine = {seq: chunk for (attempt, seq), chunk in self.chunks.items() if attempt == self.attempt}
        for seq, (offset, data) in sorted(mine.items()):
            assert offset == len(text), f"chunk {seq} begins at {offset}, and not at {len(text)}"
            text += data
        assert sorted(mine) == list(range(len(mine)))
        return text.decode()


@dataclass
class AgentProtocolServer:
    """The server's state. `bodies` has every byte that agents sent, unzipped."""

    kind: AgentKind = "install"
    heartbeat_seconds: float = 0.05
    log_seconds: float = 1.0
    health: list[Health] = field(default_factory=list)
    vendor_keys: list[str] = field(default_factory=list)
    jobs: dict[str, FakeJob] = field(default_factory=dict)
    bodies: list[bytes] = field(default_factory=list)
    sign_ins: int = 0
    leases: int = 0
    down: bool = False
    revoked: bool = False
    lose_disconnect: bool = False
    lose_rotation: str = ""
    """`request` or `answer`: what of a key rotation gets lost."""
    refuse_results: bool = False
    public_key: str | None = None
    url: str = ""

    def __post_init__(self) -> None:
        self._moved = asyncio.Condition()
        self._numbers = itertools.count(1)
        self._access_token: str | None = None
        self._nonces: set[str] = set()

    async def offer(self, payload: JobPayload, **newer: Any) -> FakeJob:
        """Queue a job."""
        job = FakeJob(f"job_{next(self._numbers)}", payload, newer=newer)
        async with self._moved:
            self.jobs[job.id] = job
            self._moved.notify_all()
        return job

    async def offer_again(self, job: FakeJob) -> None:
        """Take a job away from its agent, and queue it for another attempt."""
        async with self._moved:
            job.held = False
            self._moved.notify_all()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something that an agent does makes `condition` true."""
        async with asyncio.timeout(240), self._moved:
            await self._moved.wait_for(condition)

    def revoke(self) -> None:
        """End the agent's access, as the IMS does: its next call is refused."""
        self.revoked = True
        self._access_token = None

    def forget_sign_ins(self) -> None:
        """Let all access tokens expire."""
        self._access_token = None

    def sent(self, text: str) -> bool:
        """Whether any agent ever sent this text."""
        return any(text.encode() in body for body in self.bodies)

    # what agents call

    async def info(self, request: Request) -> Response:
        return _json(ServerInfo(version="0.1.0", time=datetime.now(UTC)))

    async def enroll(self, request: Request) -> Response:
        body = EnrollRequest.model_validate_json(await request.body())
        if body.token != TOKEN:
            raise UnauthorizedError("the enrolment token isn't known", remedy="Ask for a new one.")
        if self.public_key not in (None, body.public_key):
            raise UnauthorizedError("the token was used already, by an agent with another key")
        self.public_key = body.public_key
        install = "ins_1" if self.kind == "install" else None
        return _json(
            EnrollResponse(
                agent_id="agt_1",
                kind=self.kind,
                install_id=install,
                install_name=install and "acme",
                app_name=install and "shop",
                vendor_keys=self.vendor_keys,
            )
        )

    async def sign_in(self, request: Request) -> Response:
        body = SignInRequest.model_validate_json(await request.body())
        if self.revoked:
            raise AgentRevokedError("the agent was revoked")
        assert self.public_key
        if abs(time.time() - body.timestamp) > 300:
            raise UnauthorizedError(
                "the agent's clock differs from the server's by more than 5 minutes", remedy="Set the clock."
            )
        assert body.nonce not in self._nonces
        self._nonces.add(body.nonce)
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(self.public_key))
        try:
            key.verify(
                base64.b64decode(body.signature), sign_in_message(body.agent_id, body.timestamp, body.nonce, body.sealing_key)
            )
        except InvalidSignature:
            raise UnauthorizedError("the signature isn't that of the agent's key") from None
        self.sign_ins += 1
        self._access_token = f"exca_{self.sign_ins}"
        return _json(SignInResponse(access_token=self._access_token, expires_in=900))

    async def rotate_key(self, request: Request) -> Response:
        body = RotateKeyRequest.model_validate_json(await request.body())
        assert self.public_key
        message = rotate_key_message("agt_1", body.public_key, body.timestamp, body.nonce)
        for public, signature in ((self.public_key, body.old_signature), (body.public_key, body.new_signature)):
            Ed25519PublicKey.from_public_bytes(base64.b64decode(public)).verify(base64.b64decode(signature), message)
        if self.lose_rotation != "request":
            self.public_key = body.public_key
        if self.lose_rotation:
            raise _BusyError("lost for the test")
        return Response(status_code=204)

    async def disconnect(self, request: Request) -> Response:
        self.revoked = True
        if self.lose_disconnect:
            raise _BusyError("lost for the test")
        return Response(status_code=204)

    async def lease(self, request: Request) -> Response:
        body = LeaseRequest.model_validate_json(await request.body())
        async with self._moved:
            self.leases += 1
            self.health += [body.health] if body.health else []
            self._moved.notify_all()
        if body.resume:
            return _json(self._lease(self._current(body.resume.job_id, body.resume.attempt), resumed=True))
        async with self._moved:
            try:
                async with asyncio.timeout(body.wait_seconds):
                    await self._moved.wait_for(lambda: self._next() is not None)
            except TimeoutError:
                return Response(status_code=204, headers={"Retry-After": "0"})
            job = self._next()
            if job is None or await request.is_disconnected():
                return Response(status_code=204)  # nobody is there any more to take it
            job.held, job.attempt, job.cancel = True, job.attempt + 1, "none"
            self._moved.notify_all()
            lease = self._lease(job, resumed=False).model_dump(mode="json")
            return JSONResponse(lease | {"hint": "newer"} | {"payload": lease["payload"] | job.newer})

    async def heartbeat(self, request: Request) -> Response:
        body = Heartbeat.model_validate_json(await request.body())
        job = self._current(request.path_params["job"], body.attempt)
        async with self._moved:
            job.heartbeats += 1
            self._moved.notify_all()
        self.health += [body.health] if body.health else []
        return _json(
            HeartbeatAnswer(
                cancel=job.cancel,
                lease_seconds=60,
                heartbeat_seconds=self.heartbeat_seconds,
                log_seconds=self.log_seconds,
            )
        )

    async def put_log(self, request: Request) -> Response:
        job = self.jobs[request.path_params["job"]]
        attempt, offset = int(request.query_params["attempt"]), int(request.query_params["offset"])
        data = gzip.decompress(await request.body())
        self.bodies.append(data)
        if attempt != job.attempt:
            raise AttemptClosedError("this attempt takes no more log")
        async with self._moved:
            had = job.chunks.setdefault((attempt, request.path_params["seq"]), (offset, data))
            assert had == (offset, data), "the same chunk came again with other bytes"
            self._moved.notify_all()
        return Response(status_code=204)

    async def finish(self, request: Request) -> Response:
        body = Finish.model_validate_json(await request.body())
        job = self.jobs[request.path_params["job"]]
        if job.finish is None or job.finish.attempt != body.attempt:
            self._current(job.id, body.attempt)
        if self.refuse_results and body.result:
            raise InvalidError("result: not understood")
        async with self._moved:
            job.finish = body
            job.finishes += 1
            self._moved.notify_all()
        return Response(status_code=204)

    def _next(self) -> FakeJob | None:
        return next((job for job in self.jobs.values() if not job.held and not job.finish), None)

    def _lease(self, job: FakeJob, *, resumed: bool) -> Lease:
        return Lease(
            job_id=job.id,
            attempt=job.attempt,
            resumed=resumed,
            lease_seconds=60,
            heartbeat_seconds=self.heartbeat_seconds,
            log_seconds=self.log_seconds,
            payload=job.payload,
        )

    def _current(self, job_id: str, attempt: int) -> FakeJob:
        job = self.jobs[job_id]
        if job.attempt != attempt or not job.held or job.finish:
            raise StaleAttemptError(f"attempt {attempt} of {job_id} isn't the current one")
        return job

    def app(self) -> Starlette:
        def guarded(handler: Callable[[Request], Awaitable[Response]], *, signed_in: bool = True):  # type: ignore[no-untyped-def]
            async def answer(request: Request) -> Response:
                self.bodies.append(await request.body())
                try:
                    if self.down:
                        raise _BusyError("down for the test")
                    if signed_in and request.headers.get("authorization") != f"Bearer {self._access_token}":
                        raise UnauthorizedError("sign in again")
                    return await handler(request)
                except ProblemError as error:
                    return Response(error.problem().model_dump_json(), error.status, media_type=PROBLEM_MEDIA_TYPE)

            return answer

        return Starlette(
            routes=[
                Route("/v1", guarded(self.info, signed_in=False)),
                Route("/v1/agent/enroll", guarded(self.enroll, signed_in=False), methods=["POST"]),
                Route("/v1/agent/session", guarded(self.sign_in, signed_in=False), methods=["POST"]),
                Route("/v1/agent/rotate-key", guarded(self.rotate_key), methods=["POST"]),
                Route("/v1/agent/disconnect", guarded(self.disconnect), methods=["POST"]),
                Route("/v1/agent/lease", guarded(self.lease), methods=["POST"]),
                Route("/v1/agent/jobs/{job}/heartbeat", guarded(self.heartbeat), methods=["POST"]),
                Route("/v1/agent/jobs/{job}/logs/{seq:int}", guarded(self.put_log), methods=["PUT"]),
                Route("/v1/agent/jobs/{job}/finish", guarded(self.finish), methods=["POST"]),
            ]
        )


def _json(model) -> Response:  # type: ignore[no-untyped-def]
    return Response(model.model_dump_json(), media_type="application/json")


@asynccontextmanager
async def agent_protocol_server(certificates: Path | None = None, **settings: object) -> AsyncIterator[AgentProtocolServer]:
    """The server on a port of its own; `certificates` as in `serve`."""
    state = AgentProtocolServer(**settings)  # type: ignore[arg-type]
    async with serve(state.app(), certificates) as url:
        state.url = url
        yield state
