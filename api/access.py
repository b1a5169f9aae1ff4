"""Who calls: the dependencies that every route declares."""

from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.agents import service as agents
from api.agents.service import AgentCaller
from api.contract.problems import UnauthorizedError
from api.http import idempotency_key
from api.ims import Ims, get_ims
from api.monitoring.log import note
from api.tokens import service as tokens
from api.tokens.secrets import hash_secret

_bearer = HTTPBearer(auto_error=False, description="A token of this IMS, or an agent's access token.")
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


def _secret(credentials: HTTPAuthorizationCredentials | None) -> str:
    if credentials is None:
        raise UnauthorizedError("the request has no bearer token", remedy="Send `Authorization: Bearer <token>`.")
    return credentials.credentials


async def admin(ims: Annotated[Ims, Depends(get_ims)], credentials: Credentials) -> str:
    """The caller's name as the history shows it. Raises UnauthorizedError unless it has an admin token."""
    secret = _secret(credentials)
    row, fresh = await ims.db.read(lambda tx: (row := tokens.authenticate(tx, secret), tokens.used_lately(row, tx)))
    if not fresh:
        await ims.db.write("system", tokens.touch, row.id)
    note(actor=f"token:{row.name}")
    return f"token:{row.name}"


async def agent(ims: Annotated[Ims, Depends(get_ims)], credentials: Credentials) -> AgentCaller:
    """The agent that calls. Raises UnauthorizedError unless it has a current access token."""
    secret = _secret(credentials)
    caller, fresh = await ims.db.read(lambda tx: (caller := agents.authenticate(tx, secret), agents.seen_lately(tx, caller.id)))
    if not fresh:
        await ims.db.write("system", agents.touch, caller.id)
    note(agent_id=caller.id)
    return caller


async def agent_session(ims: Annotated[Ims, Depends(get_ims)], credentials: Credentials) -> AgentCaller:
    """The agent that calls, without a query if it called before: the transaction checks that it is still signed in."""
    known = ims.sessions.find(hash_secret(_secret(credentials)), ims.db.now())
    if known is None:
        known = await agent(ims, credentials)
        ims.sessions.remember(known)
    note(agent_id=known.id)
    return known


Admin = Annotated[str, Depends(admin)]
AgentOf = Annotated[AgentCaller, Depends(agent)]
AgentSession = Annotated[AgentCaller, Depends(agent_session)]
State = Annotated[Ims, Depends(get_ims)]
Key = Annotated[str | None, Depends(idempotency_key)]
