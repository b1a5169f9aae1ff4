"""`GET /token/login`: a ticket becomes a login of a registry that takes no tokens of others."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api.contract.agents import RegistryLogin
from api.registry.access import Access, Grant, Scope, read_scopes
from api.registry.credentials import Credentials, CredentialsRefusedError
from api.registry.errors import QueryInvalidError
from api.registry.token_route import read_basic, unauthorized

LOGIN_PATH = "/token/login"


class Logins(Protocol):
    """Whoever makes a registry's logins."""

    def login(self, subject: str, access: Access) -> RegistryLogin:
        """A login with this access alone. Blocks. Raises VendorRegistryError."""
        ...


@dataclass(frozen=True)
class LoginRoute:
    """The handler. A pull ticket is consumed by the one login that it buys, as by a token; with a front, it buys none."""

    credentials: Credentials
    logins: Logins
    admit: Callable[[Request], None] = lambda _: None
    fronted: bool = False

    async def get(self, request: Request) -> Response:
        """A login for the one repository that is asked for. If the registry gives none, the ticket isn't consumed."""
        self.admit(request)
        username, password = read_basic(request)
        request.state.subject = username
        scopes = read_scopes(request.query_params.getlist("scope"))
        if len(scopes) != 1:
            raise QueryInvalidError("a login is for one repository: ask with ?scope=repository:NAME:pull")
        held = await self._grant(username, password, ())
        if self.fronted and not any("push" in access.actions for access in held.access):
            raise unauthorized("install agents pull through the IMS: their tickets buy tokens of its own registry")
        access = _asked(held, scopes)
        login = await asyncio.to_thread(self.logins.login, username, access)
        if _asked(await self._grant(username, password, scopes), scopes) != access:
            raise unauthorized("the ticket is for something else by now")
        return JSONResponse(login.model_dump(mode="json"), headers={"Cache-Control": "no-store"})

    async def _grant(self, username: str, password: str, scopes: tuple[Scope, ...]) -> Grant:
        try:
            return await self.credentials.grant(username, password, scopes)
        except CredentialsRefusedError as error:
            raise unauthorized(error.reason) from error


def _asked(grant: Grant, scopes: tuple[Scope, ...]) -> Access:
    access = grant.narrowed(scopes).access
    if not access:
        raise unauthorized("the credential is for another repository, or no ticket")
    return access[0]
