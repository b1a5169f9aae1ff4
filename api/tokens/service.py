"""Making, checking and revoking tokens."""

from datetime import timedelta

from sqlmodel import col, select

from api.contract.base import Page
from api.contract.problems import ConflictError, InvalidError, NameTakenError, NotFoundError, UnauthorizedError
from api.contract.resources import Token, TokenCreate, TokenCreated
from api.db.pages import page
from api.db.transaction import Read, Write
from api.tokens.models import TokenRow
from api.tokens.secrets import hash_secret, new_secret

_USED_STEP = timedelta(minutes=1)


def public(row: TokenRow) -> Token:
    """A row as the API shows it: without its hash."""
    return Token.model_validate(row.model_dump(exclude={"secret_hash"}))


def create(tx: Write, body: TokenCreate) -> TokenCreated:
    """A new token; its secret is in the answer and nowhere else."""
    if tx.first(select(TokenRow).where(TokenRow.name == body.name)):
        raise NameTakenError(
            f"there is a token named {body.name!r} already",
            remedy="Choose another name.",
            errors=InvalidError.at("name", "taken").errors,
        )
    secret = new_secret("excl")
    row = TokenRow(id=tx.new_id("tok"), name=body.name, role=body.role, secret_hash=hash_secret(secret), created_at=tx.now)
    tx.session.add(row)
    tx.emit("token.created", row.id, after={"name": row.name, "role": row.role})
    return TokenCreated(**public(row).model_dump(), secret=secret)


def first_admin(tx: Write) -> TokenCreated | None:
    """The token of a new IMS's operator, or None if there are tokens already."""
    if tx.first(select(TokenRow)):
        return None
    return create(tx, TokenCreate(name="admin"))


def authenticate(tx: Read, secret: str) -> TokenRow:
    """The token that has this secret. Raises UnauthorizedError."""
    row = tx.first(select(TokenRow).where(TokenRow.secret_hash == hash_secret(secret)))
    if row is None or row.revoked_at is not None:
        raise UnauthorizedError(
            "the bearer token isn't known or was revoked", remedy="Use a token of this IMS; the first one is in admin.token."
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


def list_tokens(tx: Read, *, limit: int, after: str | None) -> Page[Token]:
    """One page of tokens."""
    return page(tx, select(TokenRow), col(TokenRow.id), public, limit=limit, after=after)


def revoke(tx: Write, token_id: str) -> None:
    """End a token at once. Raises NotFoundError, or ConflictError for the last one: nobody could make another."""
    row = tx.session.get(TokenRow, token_id)
    if row is None:
        raise NotFoundError(f"there is no token {token_id!r}")
    if row.revoked_at is not None:
        return
    if not tx.first(select(TokenRow).where(TokenRow.id != row.id, col(TokenRow.revoked_at).is_(None))):
        raise ConflictError(f"{row.name!r} is the last token that works", remedy="Make another one first.")
    row.revoked_at = tx.now
    tx.emit("token.revoked", row.id)
