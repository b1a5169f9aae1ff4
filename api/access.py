"""Who calls, and whether it may: the dependencies that every route declares.

Each route takes one of the names at the end of this file. It is the route's declaration: OpenAPI shows it (`security`), and
`tests/api/access/test_every_route.py` walks all routes and fails for one without.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Concatenate, ParamSpec, TypeVar, TypeVarTuple

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.agents import service as agents
from api.agents.service import AgentCaller
from api.contract.access import PERMISSIONS, Permission, Reach, ServiceRole, Whoami
from api.contract.problems import ForbiddenError, UnauthorizedError
from api.db.database import Database
from api.db.scope import Scope
from api.db.transaction import Read, Write
from api.http import idempotency_key
from api.ims import Ims, get_ims
from api.logins import service as logins
from api.logins.cookies import check_same_origin, cookie
from api.monitoring.log import note
from api.sse import Permit
from api.tokens import service as tokens
from api.tokens.secrets import hash_secret

P = ParamSpec("P")
R = TypeVar("R")
Ts = TypeVarTuple("Ts")

_bearer = HTTPBearer(auto_error=False, description="A token of this IMS, or an agent's access token.")
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
_WIDTH: dict[Reach, int] = {"install": 0, "app": 1, "all": 2}


@dataclass(frozen=True)
class Identity:
    """Whom a secret belongs to: a service token, or a person who logged in."""

    id: str
    name: str
    role: ServiceRole
    scope: Scope
    scope_name: str | None
    expires_at: datetime | None


@dataclass(frozen=True)
class Caller:
    """Whoever sent the request, and the database as it may see it: every transaction carries its name and its scope."""

    identity: Identity
    db: Database

    @property
    def name(self) -> str:
        """As the history shows it."""
        return self.identity.name

    async def read(self, query: Callable[Concatenate[Read, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """See `Database.read`."""
        return await self.db.read(self._bound(query), *args, **kwargs)

    async def write(self, change: Callable[Concatenate[Write, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """See `Database.write`."""
        return await self.db.write(self.name, self._bound(change), *args, **kwargs)

    async def write_together(
        self, load: Callable[[Write, list[tuple[*Ts]]], None], change: Callable[[Write, *Ts], R], *args: *Ts
    ) -> R:
        """See `Database.write_together`. What is loaded is loaded for all callers: `change` sees to the scope."""

        def within(tx: Write, *given: *Ts) -> R:
            tx.scope = self.identity.scope
            return change(tx, *given)

        return await self.db.write_together(load, self.name, within, *args)

    async def rehearse(self, change: Callable[Concatenate[Write, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """See `Database.rehearse`."""
        return await self.db.rehearse(self.name, self._bound(change), *args, **kwargs)

    def must(self, permission: Permission, reach: Reach = "install") -> None:
        """For what only a part of a route's calls need beyond its declaration. Raises ForbiddenError."""
        Needs(permission, reach).check(self.identity)

    def _bound(self, run: Callable[..., R]) -> Callable[..., R]:
        def within(tx: Read, *args: Any, **kwargs: Any) -> R:
            tx.scope = self.identity.scope
            return run(tx, *args, **kwargs)

        return within


def whoami(one: Identity) -> Whoami:
    """What somebody may do, in the contract's words."""
    return Whoami(
        name=one.name,
        role=one.role,
        permissions=[permission for permission, roles in PERMISSIONS.items() if one.role in roles],
        scope=str(one.scope),
        scope_name=one.scope_name,
        expires_at=one.expires_at,
    )


def identify(tx: Read, secret: str) -> tuple[Identity, bool]:
    """Whom a secret belongs to, and whether its use was noted lately. Raises UnauthorizedError."""
    if secret.startswith(logins.PREFIX):
        session = logins.authenticate(tx, secret)
        scope, name = Scope(session.app_id, session.install_id), f"person:{session.name}"
        return Identity(session.id, name, session.role, scope, session.scope_name, session.expires_at), True
    row = tokens.authenticate(tx, secret)
    scope = Scope(row.app_id, row.install_id)
    return Identity(row.id, f"token:{row.name}", row.role, scope, row.scope_name, row.expires_at), tokens.used_lately(row, tx)


@dataclass(frozen=True)
class Needs:
    """The declaration of a route for people and programs: the permission, and the smallest scope that is enough."""

    permission: Permission
    reach: Reach = "install"

    async def __call__(self, request: Request, ims: Annotated[Ims, Depends(get_ims)], credentials: Credentials) -> Caller:
        """The caller. Raises UnauthorizedError, or ForbiddenError if its role or its scope isn't enough."""
        secret = credentials.credentials if credentials else cookie(request, ims.settings, "session")
        if not secret:
            raise UnauthorizedError("the request has no bearer token", remedy="Send `Authorization: Bearer <token>`.")
        if not credentials:
            check_same_origin(request, ims.settings)
        identity, fresh = await ims.db.read(identify, secret)
        self.check(identity)
        note(actor=identity.name)
        if not fresh:
            await ims.db.write("system", tokens.touch, identity.id)
        return Caller(identity, ims.db)

    def check(self, identity: Identity) -> None:
        """Raises ForbiddenError if this isn't enough."""
        roles = PERMISSIONS[self.permission]
        if identity.role not in roles:
            *lower, highest = roles
            enough = f"{', '.join(lower)} or {highest}" if lower else highest
            raise ForbiddenError(
                f"{identity.name} has the role {identity.role}, which may not {self.permission}",
                remedy=f"Use a token with the role {enough}.",
            )
        if _WIDTH[identity.scope.reach] < _WIDTH[self.reach]:
            names = {"all": "`all`", "app": "of the app, or `all`"}
            raise ForbiddenError(
                f"{identity.name} has the scope of one {identity.scope.reach}, which is too narrow for this",
                remedy=f"Use a token with the scope {names[self.reach]}.",
            )


async def agent(ims: Annotated[Ims, Depends(get_ims)], credentials: Credentials) -> AgentCaller:
    """The agent that calls. Raises UnauthorizedError unless it has a current access token."""
    if credentials is None:
        raise UnauthorizedError("the request has no bearer token", remedy="Send `Authorization: Bearer <token>`.")
    secret = credentials.credentials
    caller, fresh = await ims.db.read(lambda tx: (caller := agents.authenticate(tx, secret), agents.seen_lately(tx, caller.id)))
    if not fresh:
        await ims.db.write("system", agents.touch, caller.id)
    note(agent_id=caller.id)
    return caller


async def agent_session(ims: Annotated[Ims, Depends(get_ims)], credentials: Credentials) -> AgentCaller:
    """The agent that calls, without a query if it called before: the transaction checks that it is still signed in."""
    known = await ims.sessions.look_up(ims.db, hash_secret(credentials.credentials)) if credentials else None
    if known is None:
        known = await agent(ims, credentials)
    note(agent_id=known.id)
    return known


async def permit(request: Request, ims: Annotated[Ims, Depends(get_ims)], credentials: Credentials) -> Permit:
    """For streams, which outlive the check of the caller at their beginning: whether its secret is still good."""
    secret = credentials.credentials if credentials else cookie(request, ims.settings, "session")

    async def holds() -> bool:
        try:
            await ims.db.read(identify, secret or "")
        except UnauthorizedError:
            return False
        return True

    return Permit(holds)


_administers = Needs("administer", "all")


async def admin(caller: Annotated[Caller, Depends(_administers)]) -> str:
    """The name of a caller that administers the whole IMS: what it does needs no narrowing."""
    return caller.name


Viewer = Annotated[Caller, Security(Needs("read"), scopes=["read"])]
ViewerOfApp = Annotated[Caller, Security(Needs("read", "app"), scopes=["read", "scope:app"])]
ViewerOfAll = Annotated[Caller, Security(Needs("read", "all"), scopes=["read", "scope:all"])]
Editor = Annotated[Caller, Security(Needs("define"), scopes=["define"])]
EditorOfApp = Annotated[Caller, Security(Needs("define", "app"), scopes=["define", "scope:app"])]
EditorOfAll = Annotated[Caller, Security(Needs("define", "all"), scopes=["define", "scope:all"])]
Deployer = Annotated[Caller, Security(Needs("deploy"), scopes=["deploy"])]
AdminOfInstall = Annotated[Caller, Security(Needs("administer"), scopes=["administer"])]
Enroller = Annotated[Caller, Security(Needs("enroll"), scopes=["enroll"])]
Admin = Annotated[str, Security(admin, scopes=["administer", "scope:all"])]
AgentOf = Annotated[AgentCaller, Security(agent, scopes=["work"])]
AgentSession = Annotated[AgentCaller, Security(agent_session, scopes=["work"])]
PermitOf = Annotated[Permit, Depends(permit)]
State = Annotated[Ims, Depends(get_ims)]
Key = Annotated[str | None, Depends(idempotency_key)]
