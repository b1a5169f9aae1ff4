"""`/v1/tokens`."""

from fastapi import APIRouter

from api.access import Admin, State
from api.contract.access import ServiceRole, Token, TokenCreate, TokenCreated
from api.contract.base import Page
from api.http import After, Limit, SecretOnce
from api.tokens import service

router = APIRouter(prefix="/v1/tokens", tags=["tokens"])


@router.post("", status_code=201, dependencies=[SecretOnce])
async def create_token(body: TokenCreate, ims: State, actor: Admin) -> TokenCreated:
    """Make a token. Its secret is shown in this answer only."""
    return await ims.db.write(actor, service.create, body)


@router.get("")
async def list_tokens(
    ims: State, _: Admin, limit: Limit = 100, after: After = None, name: str | None = None, role: ServiceRole | None = None
) -> Page[Token]:
    """Page through the tokens."""
    return await ims.db.read(service.list_tokens, limit=limit, after=after, name=name, role=role)


@router.get("/{token}")
async def get_token(token: str, ims: State, _: Admin) -> Token:
    """One token, by id or name, without its secret."""
    return await ims.db.read(service.get, token)


@router.delete("/{token}", status_code=204)
async def revoke_token(token: str, ims: State, actor: Admin) -> None:
    """End a token at once."""
    await ims.db.write(actor, service.revoke, token)
