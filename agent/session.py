"""The agent's calls to the IMS, always signed in."""

import asyncio
import contextlib
import gzip
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.backoff import FIRST_CONTACT, Backoff
from agent.identity import Identity
from agent.spool import Chunk
from agent.understood import NotUnderstood, not_understood
from api.client import ApiError, ImsClient, retry_after
from api.contract.agent_approvals import AgentDecision, PendingApprovals
from api.contract.agents import Finish, Heartbeat, HeartbeatAnswer, Lease, LeaseRequest, RegistryAccess, TicketRequest
from api.contract.enrollment import SignInResponse
from api.contract.health import Health
from api.contract.problems import AgentRevokedError
from api.contract.signed_releases import ReleaseSignature

log = logging.getLogger(__name__)

T = TypeVar("T")

_CALL_SECONDS = 30.0
_SKEW_SECONDS = 60.0
_EARLY = 0.2
"""A token is renewed when this part of its life is left."""


@dataclass(frozen=True)
class Idle:
    """There is no job now. `retry_after`: seconds that the server asks to stay away, if it does."""

    retry_after: float | None


class Session:
    """The agent protocol, `/v1/agent`, as one agent speaks it. Every method raises ApiError or UnreachableError.

    `health` gives what is to be said of the machine with the next call, if anything; `wall` gives Unix seconds, `clock` seconds
    that never jump.
    """

    def __init__(
        self,
        url: str,
        identity: Identity,
        http: httpx.AsyncClient,
        *,
        health: Callable[[], Health | None] = lambda: None,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.identity = identity
        self._health = health
        self._wall = wall
        self._clock = clock
        self._anonymous = ImsClient(url, None, http)
        self._ims = ImsClient(url, self._token, http)
        self._access_token: str | None = None
        self._renew_at = 0.0
        self._ahead = 0.0
        """How far the IMS's clock is ahead of this machine's, where that would keep the agent from signing in."""
        self._signing_in = asyncio.Lock()
        self.heard = asyncio.Event()
        """Set once the IMS has answered a call of this agent, signed in."""
        self._answered = asyncio.Event()
        self.revoked = asyncio.Event()
        """Set once the IMS has said that it will never take a sign-in of this agent again."""

    async def pause(self, seconds: float) -> None:
        """Wait before a call that got no answer is made again; no longer than until another call gets one.

        So all that waits for the IMS goes on at once when it is back: what is known to one is known to all.
        """
        answered = self._answered
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await answered.wait()

    def backoff(self) -> Backoff:
        """For one call: eager before this process has ever had an answer."""
        return Backoff() if self.heard.is_set() else Backoff(eager=FIRST_CONTACT)

    async def lease(self, request: LeaseRequest) -> Lease | Idle:
        """Ask for a job; answers after up to `request.wait_seconds`. A job that isn't understood is refused here."""
        request = request.model_copy(update={"health": self._health()})

        async def ask() -> Lease | NotUnderstood | Idle:
            response = await self._ims.send(
                "POST",
                "/v1/agent/lease",
                content=request.model_dump_json().encode(),
                headers={"Content-Type": "application/json"},
                timeout=request.wait_seconds + _CALL_SECONDS,
            )
            if response.status_code == 204:
                return Idle(retry_after(response))
            return not_understood(response.content) or self._ims.read(response, Lease)

        answer = await self._signed_in(ask)
        if isinstance(answer, NotUnderstood):
            await self.finish(answer.job_id, answer.report())
            return Idle(None)
        return answer

    async def release_of(self, job_id: str) -> str | None:
        """The document with which the release of a job is signed as a whole; None if it isn't, or the IMS knows of none."""
        try:
            found = await self._signed_in(
                lambda: self._ims.call(
                    "GET", f"/v1/agent/jobs/{job_id}/release", answer=ReleaseSignature, timeout=_CALL_SECONDS
                )
            )
        except ApiError as error:
            if error.of_ims and error.status == 404:
                return None
            raise
        return found.envelope

    async def ticket_of(self, job_id: str, attempt: int) -> RegistryAccess | None:
        """Another pull ticket for a job that the agent holds; None if the IMS knows of none, as earlier ones do."""
        try:
            return await self._signed_in(
                lambda: self._ims.call(
                    "POST",
                    f"/v1/agent/jobs/{job_id}/ticket",
                    body=TicketRequest(attempt=attempt),
                    answer=RegistryAccess,
                    timeout=_CALL_SECONDS,
                )
            )
        except ApiError as error:
            if error.of_ims and error.status in (404, 405):
                return None
            raise

    async def heartbeat(self, job_id: str, attempt: int, timeout: float) -> HeartbeatAnswer:
        """Renew a lease."""
        body = Heartbeat(attempt=attempt, health=self._health())
        return await self._signed_in(
            lambda: self._ims.call(
                "POST",
                f"/v1/agent/jobs/{job_id}/heartbeat",
                body=body,
                answer=HeartbeatAnswer,
                timeout=timeout,
            )
        )

    async def put_log(self, job_id: str, attempt: int, chunk: Chunk) -> None:
        """Store a chunk of a job's log. The same chunk again is harmless."""

        async def put() -> None:
            response = await self._ims.send(
                "PUT",
                f"/v1/agent/jobs/{job_id}/logs/{chunk.seq}",
                params={"attempt": attempt, "offset": chunk.offset},
                content=gzip.compress(chunk.data, mtime=0),
                headers={"Content-Type": "application/gzip"},
                timeout=_CALL_SECONDS,
            )
            self._ims.nothing(response)

        await self._signed_in(put)

    async def finish(self, job_id: str, report: Finish) -> None:
        """Report how an attempt ended. The same report again is harmless."""
        await self._signed_in(lambda: self._ims.call("POST", f"/v1/agent/jobs/{job_id}/finish", body=report))

    async def rotate_key(self, new: Ed25519PrivateKey) -> None:
        """Tell the IMS the agent's next key, and use it from then on."""
        body = self.identity.rotation(new, int(self._wall() + self._ahead), secrets.token_urlsafe(24))
        await self._signed_in(lambda: self._ims.call("POST", "/v1/agent/rotate-key", body=body))
        self.use(replace(self.identity, key=new))

    async def disconnect(self) -> None:
        """End this agent's access for good. From then on, every sign-in is refused as revoked."""
        await self._signed_in(lambda: self._ims.call("POST", "/v1/agent/disconnect"))

    def use(self, identity: Identity) -> None:
        """Sign in as this agent from now on."""
        self.identity = identity
        self._access_token = None

    async def sign_in(self) -> None:
        """Check that the IMS takes this agent's key."""
        await self._token()

    async def pending_approvals(self) -> PendingApprovals:
        """What waits for the customer."""
        return await self._signed_in(
            lambda: self._ims.call("GET", "/v1/agent/approvals", answer=PendingApprovals, timeout=_CALL_SECONDS)
        )

    async def decide(self, deploy_id: str, step_id: str, decision: AgentDecision) -> None:
        """Give the customer's answer to a plan. The same answer again is harmless."""
        path = f"/v1/agent/deploys/{deploy_id}/steps/{step_id}/approval"
        await self._signed_in(lambda: self._ims.call("POST", path, body=decision, timeout=_CALL_SECONDS))

    async def _signed_in(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make the call; if the token isn't accepted, sign in anew and make it once more."""
        before = self._access_token
        try:
            answer = await call()
        except ApiError as error:
            if error.status != 401 or not error.of_ims:
                raise
            # Another call may have signed in anew meanwhile: its token is good.
            if self._access_token == before:
                self._access_token = None
            answer = await call()
        self.heard.set()
        self._answered.set()
        self._answered = asyncio.Event()
        return answer

    async def _token(self) -> str:
        async with self._signing_in:
            if self._access_token is None or self._clock() >= self._renew_at:
                try:
                    answer = await self._ask_in()
                except ApiError as error:
                    if error.code == AgentRevokedError.code:
                        self.revoked.set()
                    if error.status != 401 or not self._set_by(error):
                        raise
                    answer = await self._ask_in()
                self._access_token = answer.access_token
                self._renew_at = self._clock() + answer.expires_in * (1 - _EARLY)
            return self._access_token

    async def _ask_in(self) -> SignInResponse:
        body = self.identity.sign_in(int(self._wall() + self._ahead), secrets.token_urlsafe(24))
        return await self._anonymous.call("POST", "/v1/agent/session", body=body, answer=SignInResponse)

    def _set_by(self, refusal: ApiError) -> bool:
        """Take over the IMS's time if this machine's is far from it. Nothing but sign-ins goes by it.

        The IMS takes a signature for 5 minutes; which of its moments that is, it may decide itself.
        """
        if refusal.date is None or abs(self._wall() + self._ahead - refusal.date) <= _SKEW_SECONDS:
            return False
        self._ahead = refusal.date - self._wall()
        behind = "behind" if self._ahead > 0 else "ahead of"
        log.warning(
            "this machine's clock is %.0f s %s the IMS's: set it. The agent signs in by the IMS's", abs(self._ahead), behind
        )
        return True
