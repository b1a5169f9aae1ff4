"""Making, checking and revoking tokens."""

from datetime import timedelta

from sqlalchemy import String, bindparam
from sqlmodel import col, select

from api.apps import service as apps
from api.contract.access import ServiceRole, Token, TokenCreate, TokenCreated
from api.contract.base import Page
from api.contract.problems import ConflictError, InvalidError, NameTakenError, NotFoundError, UnauthorizedError
from api.db.pages import page
from api.db.scope import EVERYTHING, Scope
from api.db.statements import Query
from api.db.transaction import Read, Write
from api.installs import service as installs
from api.tokens.models import TokenRow
from api.tokens.secrets import hash_secret, is_whole, new_secret

_USED_STEP = timedelta(minutes=1)
_BY_HASH = Query(select(TokenRow).where(TokenRow.secret_hash == bindparam("hash", None, String)))


def public(row: TokenRow) -> Token:
    """A row as the API shows it: without its hash."""
    scope = str(Scope(row.app_id, row.install_id))
    return Token(scope=scope, **row.model_dump(exclude={"secret_hash", "app_id", "install_id"}))


def scope_of(tx: Read, text: str, *, field: str) -> tuple[Scope, str | None]:
    """The scope that a text of the contract means, and the name of its object. Raises InvalidError on `field`."""
    kind, _, name = text.partition(":")
    if kind == "app":
        app = apps.find(tx, name, field=field)
        return Scope(app.id), app.name
    if kind == "install":
        install = installs.find(tx, name, field=field)
        return Scope(install.app_id, install.id), install.name
    return EVERYTHING, None


def create(tx: Write, body: TokenCreate) -> TokenCreated:
    """A new token; its secret is in the answer and nowhere else.

    Only a caller that administers everything gets here, so that no token can grant more than its maker has.
    """
    if tx.first(select(TokenRow).where(TokenRow.name == body.name)):
        raise NameTakenError(
            f"there is a token named {body.name!r} already",
            remedy="Choose another name.",
            errors=InvalidError.at("name", "taken").errors,
        )
    scope, scope_name = scope_of(tx, body.scope, field="scope")
    if body.role == "agent:build" and scope != EVERYTHING:
        raise InvalidError.at("scope", "a build agent serves every app", "Leave `scope` out, or use the role agent:install.")
    secret = new_secret("excl")
    row = TokenRow(
        id=tx.new_id("tok"),
        name=body.name,
        role=body.role,
        app_id=scope.app_id,
        install_id=scope.install_id,
        scope_name=scope_name,
        secret_hash=hash_secret(secret),
        created_at=tx.now,
        expires_at=tx.now + timedelta(seconds=body.expires_in) if body.expires_in else None,
    )
    tx.session.add(row)
    expires_at = row.expires_at.isoformat() if row.expires_at else None
    tx.emit("token.created", row.id, after={"name": row.name, "role": row.role, "scope": str(scope), "expires_at": expires_at})
    return TokenCreated(**public(row).model_dump(), secret=secret)


def first_admin(tx: Write) -> TokenCreated | None:
    """The token of a new IMS's operator, or None if there are tokens already."""
    if tx.first(select(TokenRow)):
        return None
    return create(tx, TokenCreate(name="admin"))


def authenticate(tx: Read, secret: str) -> TokenRow:
    """The token that has this secret. Raises UnauthorizedError."""
    row = next(iter(tx.all(_BY_HASH, hash=hash_secret(secret))), None)
    if row is None and not is_whole(secret):
        raise UnauthorizedError("the bearer token isn't whole: its checksum doesn't fit", remedy="Copy all of it, and only it.")
    if row is None or row.revoked_at is not None:
        raise UnauthorizedError(
            "the bearer token isn't known or was revoked", remedy="Use a token of this IMS; the first one is in admin.token."
        )
    if row.expires_at is not None and row.expires_at <= tx.now:
        raise UnauthorizedError(
            f"the token {row.name!r} has expired", remedy="Ask an admin for another: `exclave tokens create`."
        )
    return row


def used_lately(row: TokenRow, tx: Read) -> bool:
    """Whether `last_used_at` is recent enough to be left alone."""
    return row.last_used_at is not None and tx.now - row.last_used_at < _USED_STEP


def touch(tx: Write, token_id: str) -> None:
    """Note that a token was used."""
    row = tx.session.get(TokenRow, token_id)
    if row:
        row.last_used_at = tx.now


def list_tokens(tx: Read, *, limit: int, after: str | None, name: str | None, role: ServiceRole | None) -> Page[Token]:
    """One page of tokens."""
    query = select(TokenRow).where(TokenRow.name == name) if name else select(TokenRow)
    query = query.where(TokenRow.role == role) if role else query
    return page(tx, query, col(TokenRow.id), public, limit=limit, after=after)


def find(tx: Read, token: str) -> TokenRow:
    """The token with this id or name, also one that was revoked. Raises NotFoundError."""
    row = tx.first(select(TokenRow).where((col(TokenRow.id) == token) | (col(TokenRow.name) == token)))
    if row is None:
        raise NotFoundError(f"there is no token {token!r}")
    return row


def get(tx: Read, token: str) -> Token:
    """One token, by id or name."""
    return public(find(tx, token))


def revoke(tx: Write, token: str) -> Token:
    """End a token at once, by id or name.

    Raises NotFoundError, or ConflictError for the last one that can make others and never expires: nobody could get in.
    """
    row = find(tx, token)
    if row.revoked_at is not None:
        return public(row)
    lasting = select(TokenRow).where(
        TokenRow.role == "admin",
        col(TokenRow.app_id).is_(None),
        col(TokenRow.expires_at).is_(None),
        col(TokenRow.revoked_at).is_(None),
    )
    if {one.id for one in tx.all(lasting)} == {row.id}:
        raise ConflictError(
            f"{row.name!r} is the last admin token that doesn't expire",
            remedy="Make another one first: `exclave tokens create`.",
        )
    row.revoked_at = tx.now
    tx.emit("token.revoked", row.id, before={"name": row.name, "role": row.role})
    return public(row)
