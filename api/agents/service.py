"""Enrolment and sign-in of agents."""

import base64
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from sqlmodel import col, select

from api.agents import health, standing
from api.agents.models import AgentRow, EnrollmentRow
from api.agents.versions import check_agent_version
from api.apps.models import AppRow
from api.contract import sealed_box
from api.contract.agents import Agent
from api.contract.base import AgentKind, Page
from api.contract.enrollment import (
    Enrollment,
    EnrollmentCreate,
    EnrollmentCreated,
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
    AgentRevokedError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    UnauthorizedError,
)
from api.db.pages import page
from api.db.scope import EVERYTHING
from api.db.transaction import Read, Write
from api.installs import service as installs
from api.installs.models import InstallRow
from api.jobs import queue
from api.settings import Intervals
from api.tokens.secrets import hash_secret, new_secret

_CLOCK_SKEW_SECONDS = 300
_SEEN_STEP = timedelta(seconds=20)


@dataclass(frozen=True)
class AgentCaller:
    """The agent that a request comes from. `access_hash` says in which of its sessions."""

    id: str
    kind: AgentKind
    install_id: str | None
    access_hash: str
    until: datetime


def public(tx: Read, rows: list[AgentRow], intervals: Intervals) -> list[Agent]:
    """Rows as the API shows them: without keys and hashes."""
    hidden = {"public_key", "vendor_key", "sealing_key", "access_hash", "access_until", "nonces", "offline_since", "health_at"}
    loads = health.loads(tx, rows)
    names = {install.id: install.name for install in tx.get_many(InstallRow, (row.install_id for row in rows))}
    found = []
    for row in rows:
        status = health.status(row, tx.now, intervals)
        since = (row.last_seen_at or row.enrolled_at) if status == "offline" else None
        shown = row.model_dump(exclude=hidden) | {"install_name": names.get(row.install_id or "")}
        found.append(Agent(status=status, offline_since=since, load=loads.get(row.id), **shown))
    return found


def get(tx: Read, agent: str, intervals: Intervals) -> Agent:
    """One agent. Raises NotFoundError."""
    return public(tx, [find(tx, agent)], intervals)[0]


def list_agents(
    tx: Read,
    intervals: Intervals,
    *,
    limit: int,
    after: str | None,
    install: str | None,
    kind: AgentKind | None,
    name: str | None,
    version: str | None,
) -> Page[Agent]:
    """One page of agents."""
    # A build agent belongs to the IMS as a whole: only a scope of everything has it.
    app = select(InstallRow.app_id).where(InstallRow.id == AgentRow.install_id).scalar_subquery()
    query = tx.scope.narrow(select(AgentRow), app=app, install=AgentRow.install_id)
    if install:
        query = query.where(AgentRow.install_id == installs.find(tx, install).id)
    if kind:
        query = query.where(AgentRow.kind == kind)
    if name:
        query = query.where(AgentRow.name == name)
    if version:
        query = query.where(AgentRow.version == version)
    found = page(tx, query, col(AgentRow.id), lambda row: row, limit=limit, after=after)
    return Page(items=public(tx, found.items, intervals), after=found.after)


def find(tx: Read, agent: str) -> AgentRow:
    """One agent's row. Raises NotFoundError."""
    row = tx.session.get(AgentRow, agent)
    if row is None or not _visible(tx, row):
        raise NotFoundError(f"there is no agent {agent!r}")
    return row


def _visible(tx: Read, row: AgentRow | EnrollmentRow) -> bool:
    if tx.scope == EVERYTHING:
        return True
    install = tx.session.get(InstallRow, row.install_id) if row.install_id else None
    return install is not None and tx.scope.holds(app_id=install.app_id, install_id=install.id)


def revoke(tx: Write, agent: str) -> None:
    """End an agent's access at once; the install may then enrol another one.

    Its next call is refused: a heartbeat of a job, or the poll that it waits in, which is answered now.
    """
    row = find(tx, agent)
    if row.revoked_at is None:
        row.revoked_at = tx.now
        tx.emit("agent.revoked", row.id, install_id=row.install_id)
        tx.ring(queue.topic(row.kind, row.install_id))


def create_enrollment(tx: Write, body: EnrollmentCreate, *, seconds: float) -> EnrollmentCreated:
    """A one-time token with which one agent can enrol."""
    if (body.kind == "install") != (body.install_id is not None):
        need = "needs the install's id or name" if body.kind == "install" else "has no install"
        raise InvalidError.at("install_id", f"an enrolment of a {body.kind} agent {need}")
    if body.kind == "build" and tx.scope != EVERYTHING:
        raise ForbiddenError(
            "a build agent serves every app, and the token's scope is narrower",
            remedy="Use an admin token with the scope `all`.",
        )
    install = installs.find(tx, body.install_id, field="install_id") if body.install_id else None
    secret = new_secret("exce")
    row = EnrollmentRow(
        id=tx.new_id("enr"),
        kind=body.kind,
        install_id=install.id if install else None,
        secret_hash=hash_secret(secret),
        expires_at=tx.now + timedelta(seconds=seconds),
        created_at=tx.now,
    )
    tx.session.add(row)
    after = {"kind": row.kind, "install": install.name if install else None}
    tx.emit("enrollment.created", row.id, after=after, install_id=row.install_id)
    return EnrollmentCreated(id=row.id, kind=row.kind, install_id=row.install_id, secret=secret, expires_at=row.expires_at)


def get_enrollment(tx: Read, enrollment: str) -> Enrollment:
    """One enrolment token, without its secret. Raises NotFoundError."""
    return Enrollment(**_enrollment(tx, enrollment).model_dump(exclude={"secret_hash"}))


def delete_enrollment(tx: Write, enrollment: str) -> None:
    """End a token that nobody has used. One that was used is done anyway: its agent stays."""
    row = _enrollment(tx, enrollment)
    if row.agent_id is None:
        tx.session.delete(row)
        tx.emit("enrollment.deleted", row.id, before={"kind": row.kind}, install_id=row.install_id)


def _enrollment(tx: Read, enrollment: str) -> EnrollmentRow:
    row = tx.session.get(EnrollmentRow, enrollment)
    if row is None or not _visible(tx, row):
        raise NotFoundError(f"there is no enrolment {enrollment!r}")
    return row


def vendor_keys(tx: Read) -> list[str]:
    """The public keys with which this vendor's build agents sign."""
    query = select(AgentRow).where(col(AgentRow.vendor_key).is_not(None), col(AgentRow.revoked_at).is_(None))
    return sorted({row.vendor_key for row in tx.all(query) if row.vendor_key})


def enroll(tx: Write, body: EnrollRequest) -> EnrollResponse:
    """Make the caller an agent. The same key with the same token gets the same answer, however often it asks."""
    check_agent_version(body.version)
    enrollment = (
        standing.enrollment(tx, body)
        if body.token.startswith(standing.PREFIX)
        else tx.first(select(EnrollmentRow).where(EnrollmentRow.secret_hash == hash_secret(body.token)))
    )
    if enrollment is None:
        raise UnauthorizedError("the enrolment token isn't known", remedy="Ask the vendor for a new one.")
    known = tx.session.get(AgentRow, enrollment.agent_id) if enrollment.agent_id else None
    if known:
        if known.public_key != body.public_key:
            tx.note_refusal("enrollment.refused", enrollment.id, {"reason": "used already, with another key"})
            raise UnauthorizedError(
                "the enrolment token was used already, by an agent with another key",
                remedy="Ask for a new token. If nobody of yours used it, revoke that agent.",
            )
        return _answer(tx, known)
    if enrollment.expires_at < tx.now:
        tx.note_refusal("enrollment.refused", enrollment.id, {"reason": "expired"})
        raise UnauthorizedError("the enrolment token has expired", remedy="Ask for a new one.")
    _check_keys(tx, enrollment, body)
    row = AgentRow(
        id=tx.new_id("agt"),
        name=body.name,
        kind=enrollment.kind,
        install_id=enrollment.install_id,
        public_key=body.public_key,
        vendor_key=body.vendor_key,
        sealing_key=body.sealing_key,
        version=body.version,
        platform=body.platform,
        enrolled_at=tx.now,
        last_seen_at=tx.now,
    )
    tx.session.add(row)
    tx.session.flush()
    enrollment.agent_id = row.id
    after = {"name": row.name, "kind": row.kind, "install_id": row.install_id}
    tx.emit("agent.enrolled", row.id, after=after, install_id=row.install_id)
    return _answer(tx, row)


def _check_keys(tx: Read, enrollment: EnrollmentRow, body: EnrollRequest) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(base64.b64decode(body.public_key, validate=True))
    except ValueError:
        raise InvalidError.at("public_key", "not an Ed25519 public key (32 bytes in base64)") from None
    _check_sealing_key(body.sealing_key)
    if enrollment.kind == "build":
        try:
            key = load_pem_public_key((body.vendor_key or "").encode())
        except ValueError:
            key = None
        if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
            raise InvalidError.at("vendor_key", "a build agent sends its ECDSA P-256 signing key's public half, as PEM")
        return
    if body.vendor_key is not None:
        raise InvalidError.at("vendor_key", "only a build agent has one")
    installs.find(tx, enrollment.install_id or "", field="token")
    if not vendor_keys(tx):
        raise ConflictError(
            "no build agent has enrolled yet, so there is no vendor key that an install agent could pin",
            remedy="Start a build agent first (`exclave up` does), then enrol again.",
        )
    there = tx.first(select(AgentRow).where(AgentRow.install_id == enrollment.install_id, col(AgentRow.revoked_at).is_(None)))
    if there:
        raise ConflictError(
            f"the install has an agent already: {there.id} ({there.name})",
            remedy=f"Stop it and revoke it first: `exclave agents revoke {there.id}`.",
        )


def _check_sealing_key(text: str | None) -> None:
    try:
        if text is not None:
            sealed_box.public_key(text)
    except ValueError:
        raise InvalidError.at("sealing_key", "not an X25519 public key (32 bytes in base64)") from None


def _answer(tx: Read, row: AgentRow) -> EnrollResponse:
    install = tx.session.get(InstallRow, row.install_id) if row.install_id else None
    app = tx.session.get(AppRow, install.app_id) if install else None
    return EnrollResponse(
        agent_id=row.id,
        kind=row.kind,
        install_id=row.install_id,
        install_name=install.name if install else None,
        app_name=app.name if app else None,
        vendor_keys=vendor_keys(tx),
    )


def sign_in(tx: Write, body: SignInRequest, *, seconds: float) -> SignInResponse:
    """Give an agent that proves its key a fresh access token. An earlier one ends: two copies of one agent can't both work."""
    check_agent_version(body.version)
    row = tx.session.get(AgentRow, body.agent_id)
    if row is None or row.revoked_at is not None:
        raise AgentRevokedError("the agent isn't known or was revoked", remedy="Enrol it anew, with an empty home folder.")
    message = sign_in_message(row.id, body.timestamp, body.nonce, body.sealing_key)
    _check_fresh(tx, row, body.timestamp, body.nonce)
    if not _signed(row.public_key, message, body.signature):
        tx.note_refusal("agent.sign_in_refused", row.id, {"reason": "wrong signature"})
        raise UnauthorizedError("the signature isn't that of the agent's key")
    if body.sealing_key and body.sealing_key != row.sealing_key:
        _check_sealing_key(body.sealing_key)
        row.sealing_key = body.sealing_key
        tx.emit("agent.sealing_key_set", row.id, install_id=row.install_id)
    secret = new_secret("exca")
    row.access_hash = hash_secret(secret)
    row.access_until = tx.now + timedelta(seconds=seconds)
    _use_up(tx, row, body.timestamp, body.nonce)
    row.version = body.version
    health.seen(tx, row)
    return SignInResponse(access_token=secret, expires_in=int(seconds))


def _check_fresh(tx: Read, row: AgentRow, timestamp: int, nonce: str) -> None:
    if abs(int(tx.now.timestamp()) - timestamp) > _CLOCK_SKEW_SECONDS:
        raise UnauthorizedError("the agent's clock differs from the server's by more than 5 minutes", remedy="Set the clock.")
    if nonce in row.nonces:
        raise UnauthorizedError("the signature was used already")


def _use_up(tx: Write, row: AgentRow, timestamp: int, nonce: str) -> None:
    fresh = tx.now.timestamp() - _CLOCK_SKEW_SECONDS
    row.nonces = {**{used: at for used, at in row.nonces.items() if at >= fresh}, nonce: timestamp}


def _signed(public_key: str, message: bytes, signature: str) -> bool:
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True))
        key.verify(base64.b64decode(signature), message)
    except (InvalidSignature, ValueError):
        return False
    return True


def rotate_key(tx: Write, caller: AgentCaller, body: RotateKeyRequest) -> None:
    """Replace an agent's key by one that both the old and the new key have signed for. The same again changes nothing.

    The session goes on: it is the caller's own, and ends at its next sign-in, which needs the new key.
    """
    row = still_signed_in(tx, caller)
    if row.public_key == body.public_key:
        return
    _check_fresh(tx, row, body.timestamp, body.nonce)
    message = rotate_key_message(row.id, body.public_key, body.timestamp, body.nonce)
    if not _signed(row.public_key, message, body.old_signature):
        tx.note_refusal("agent.rotation_refused", row.id, {"reason": "wrong signature of the old key"})
        raise UnauthorizedError("the old signature isn't that of the agent's key")
    if not _signed(body.public_key, message, body.new_signature):
        raise InvalidError.at("new_signature", "not made with `public_key`, or that isn't an Ed25519 key (32 bytes in base64)")
    _use_up(tx, row, body.timestamp, body.nonce)
    row.public_key = body.public_key
    tx.emit("agent.key_rotated", row.id, install_id=row.install_id)


def authenticate(tx: Read, secret: str) -> AgentCaller:
    """The agent that has this access token. Raises UnauthorizedError."""
    digest = hash_secret(secret)
    row = tx.first(select(AgentRow).where(AgentRow.access_hash == digest))
    if row is None or row.revoked_at is not None or row.access_until is None or row.access_until < tx.now:
        raise UnauthorizedError("the access token isn't known or has expired", remedy="Sign in again.")
    return AgentCaller(row.id, row.kind, row.install_id, digest, row.access_until)


def still_signed_in(tx: Read, caller: AgentCaller) -> AgentRow:
    """The row of an agent that has waited for a job. Raises UnauthorizedError if it was revoked, or signed in anew, meanwhile.

    A poll outlives the process that sent it: without this, the poll of a killed agent would take the job of the next one.
    """
    row = tx.get(AgentRow, caller.id)
    if row is None or row.revoked_at is not None or row.access_hash != caller.access_hash:
        raise UnauthorizedError("the access token has ended while the request waited", remedy="Sign in again.")
    return row


def record_health(tx: Write, caller: AgentCaller, said: Health) -> None:
    """Keep what an agent said of itself. Raises UnauthorizedError if its session has ended."""
    health.record(tx, still_signed_in(tx, caller).id, said)


def seen_long_ago(tx: Read, row: AgentRow) -> bool:
    """Whether it is time to note that an agent was heard of."""
    return row.last_seen_at is None or tx.now - row.last_seen_at >= _SEEN_STEP


def seen_lately(tx: Read, agent_id: str) -> bool:
    """Whether `last_seen_at` is recent enough to be left alone."""
    row = find(tx, agent_id)
    return row.last_seen_at is not None and tx.now - row.last_seen_at < _SEEN_STEP


def touch(tx: Write, agent_id: str) -> None:
    """Note that an agent was heard of."""
    health.seen(tx, find(tx, agent_id))
