"""Sessions of people, and the device flow by which a program gets one."""

import secrets
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete
from sqlmodel import col, select
from sqlmodel.sql.expression import SelectOfScalar

from api.contract.access import DeviceLogin, Session, TokenRole
from api.contract.base import Page
from api.contract.problems import (
    AccessDeniedError,
    AuthorizationPendingError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    UnauthorizedError,
)
from api.db.pages import page
from api.db.scope import Scope
from api.db.transaction import Read, Write
from api.logins.models import DeviceLoginRow, SessionRow
from api.tokens import service as tokens
from api.tokens.secrets import hash_secret, new_secret

PREFIX = "excs_"

_DEVICE_SECONDS = 600
_POLL_SECONDS = 5
_KEPT_DAYS = 7
_BATCH = 500
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
"""No vowels, so that no code is a word (RFC 8628, section 6.1): 20^8 codes, ten minutes each, behind a rate limit."""


@dataclass(frozen=True)
class Person:
    """Whom the OpenID provider says that it is, and what the settings give to such a person."""

    subject: str
    name: str
    role: TokenRole
    scope: str


def open_session(tx: Write, person: Person, *, seconds: float) -> tuple[SessionRow, str]:
    """A new session and its secret. Raises ForbiddenError if the app or the install of the rule doesn't exist."""
    try:
        scope, scope_name = tokens.scope_of(tx, person.scope, field="scope")
    except InvalidError as error:
        raise ForbiddenError(
            f"the settings give {person.name} the scope {person.scope}, which doesn't exist", remedy="Tell the IMS's operator."
        ) from error
    until = timedelta(seconds=seconds)
    row = SessionRow(
        id=tx.new_id("ses"),
        subject=person.subject,
        name=person.name,
        role=person.role,
        app_id=scope.app_id,
        install_id=scope.install_id,
        scope_name=scope_name,
        secret_hash="",
        created_at=tx.now,
        expires_at=tx.now + until,
    )
    return _opened(tx, row)


def _opened(tx: Write, row: SessionRow) -> tuple[SessionRow, str]:
    secret = new_secret("excs")
    row.secret_hash = hash_secret(secret)
    tx.session.add(row)
    tx.session.flush()
    scope = str(Scope(row.app_id, row.install_id))
    tx.emit("session.opened", row.id, after={"name": row.name, "subject": row.subject, "role": row.role, "scope": scope})
    return row, secret


def authenticate(tx: Read, secret: str) -> SessionRow:
    """The session that has this secret. Raises UnauthorizedError."""
    row = tx.first(select(SessionRow).where(SessionRow.secret_hash == hash_secret(secret)))
    if row is None or row.revoked_at is not None or row.expires_at <= tx.now:
        raise UnauthorizedError("the login has ended", remedy="Log in again: `exclave login`.")
    return row


def close_session(tx: Write, session_id: str) -> None:
    """Log out."""
    row = tx.session.get(SessionRow, session_id)
    if row and row.revoked_at is None:
        row.revoked_at = tx.now
        tx.emit("session.closed", row.id)


def _open(tx: Read) -> SelectOfScalar[SessionRow]:
    return select(SessionRow).where(col(SessionRow.revoked_at).is_(None), SessionRow.expires_at > tx.now)


def public(row: SessionRow) -> Session:
    """A row as the API shows it."""
    hidden = {"subject", "app_id", "install_id", "secret_hash", "revoked_at"}
    return Session(scope=str(Scope(row.app_id, row.install_id)), **row.model_dump(exclude=hidden))


def list_sessions(tx: Read, *, limit: int, after: str | None) -> Page[Session]:
    """One page of the sessions that haven't ended."""
    return page(tx, _open(tx), col(SessionRow.id), public, limit=limit, after=after)


def revoke(tx: Write, session: str) -> None:
    """End a session by its id, or all of a person by their name. Raises NotFoundError."""
    rows = tx.all(_open(tx).where((col(SessionRow.id) == session) | (col(SessionRow.name) == session)))
    if not rows:
        raise NotFoundError(f"there is no login {session!r}", remedy="See them: `exclave sessions list`.")
    for row in rows:
        close_session(tx, row.id)


def ended_long_ago(tx: Read) -> list[SessionRow]:
    """Some of the sessions whose end is days ago; the history keeps who they were."""
    return tx.all(select(SessionRow).where(SessionRow.expires_at < tx.now - timedelta(days=_KEPT_DAYS)).limit(_BATCH))


def forget(tx: Write) -> None:
    """Remove some of them, and the programs that they once confirmed."""
    ids = [row.id for row in ended_long_ago(tx)]
    tx.session.execute(delete(DeviceLoginRow).where(col(DeviceLoginRow.session_id).in_(ids)))
    tx.session.execute(delete(SessionRow).where(col(SessionRow.id).in_(ids)))


def begin_device(tx: Write, public_url: str) -> DeviceLogin:
    """Let a program wait for a person. Those that nobody answered in time go away here."""
    tx.session.execute(delete(DeviceLoginRow).where(col(DeviceLoginRow.expires_at) < tx.now))
    device, letters = new_secret("excd"), "".join(secrets.choice(_LETTERS) for _ in range(8))
    tx.session.add(
        DeviceLoginRow(
            id=tx.new_id("dev"),
            device_hash=hash_secret(device),
            user_hash=hash_secret(letters),
            expires_at=tx.now + timedelta(seconds=_DEVICE_SECONDS),
        )
    )
    code, page = f"{letters[:4]}-{letters[4:]}", f"{public_url}/login/device"
    return DeviceLogin(
        device_code=device,
        user_code=code,
        verification_uri=page,
        verification_uri_complete=f"{page}?user_code={code}",
        expires_in=_DEVICE_SECONDS,
        interval=_POLL_SECONDS,
    )


def answer_device(tx: Write, user_code: str, session_id: str, *, confirmed: bool) -> bool:
    """A person's answer; False if no program waits with this code."""
    letters = "".join(letter for letter in user_code.upper() if letter in _LETTERS)
    row = tx.first(select(DeviceLoginRow).where(DeviceLoginRow.user_hash == hash_secret(letters)))
    if row is None or row.expires_at <= tx.now or row.denied or row.session_id is not None:
        return False
    row.denied = not confirmed
    row.session_id = session_id if confirmed else None
    tx.emit("device_login.confirmed" if confirmed else "device_login.denied", row.id, after={"session": session_id})
    return True


def poll_device(tx: Write, device_code: str) -> tuple[SessionRow, str]:
    """The program's session, once: as good as that of the person who confirmed, and until the same time.

    Raises what RFC 8628, section 3.5 names.
    """
    row = tx.first(select(DeviceLoginRow).where(DeviceLoginRow.device_hash == hash_secret(device_code)))
    if row is None or row.expires_at <= tx.now:
        raise UnauthorizedError("the login was not confirmed in time", remedy="Begin again: `exclave login`.")
    if row.denied:
        raise AccessDeniedError("the login was denied in the browser")
    if row.session_id is None:
        raise AuthorizationPendingError("nobody has confirmed the login yet")
    person = tx.session.get(SessionRow, row.session_id)
    if person is None or person.revoked_at is not None or person.expires_at <= tx.now:
        raise AccessDeniedError("whoever confirmed the login has logged out")
    tx.session.delete(row)
    given = person.model_dump(exclude={"id", "secret_hash", "created_at"})
    return _opened(tx, SessionRow(id=tx.new_id("ses"), secret_hash="", created_at=tx.now, **given))
