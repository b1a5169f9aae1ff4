"""`GET /token`: a username and a password become a token (distribution's token authentication specification)."""

import base64
from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api.registry.access import read_scopes
from api.registry.credentials import Credentials, CredentialsRefusedError
from api.registry.errors import QueryInvalidError, UnauthorizedError
from api.registry.tokens import TokenSigner


@dataclass(frozen=True)
class TokenRoute:
    """The handler of the token endpoint."""

    signer: TokenSigner
    credentials: Credentials
    service: str
    admit: Callable[[Request], None] = lambda _: None

    async def get(self, request: Request) -> Response:
        """A token with as much of the asked scopes as the credential allows, be that nothing."""
        service = request.query_params.get("service", self.service)
        if service != self.service:  # before the credential is asked for, which it may consume
            raise QueryInvalidError(f"this endpoint has no tokens for the service {service!r}, only for {self.service!r}")
        self.admit(request)
        username, password = read_basic(request)
        request.state.subject = username
        scopes = read_scopes(request.query_params.getlist("scope"))
        try:
            grant = await self.credentials.grant(username, password, scopes)
        except CredentialsRefusedError as error:
            raise unauthorized(error.reason) from error
        issued = self.signer.issue(grant.narrowed(scopes), service=self.service)
        answer = {
            "token": issued.token,
            "access_token": issued.token,
            "expires_in": issued.expires_in,
            "issued_at": issued.issued_at.isoformat().replace("+00:00", "Z"),
        }
        return JSONResponse(answer, headers={"Cache-Control": "no-store"})


def read_basic(request: Request) -> tuple[str, str]:
    """The user name and the password of a request. Raises UnauthorizedError."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        raise unauthorized("a username and a password are needed (HTTP Basic)")
    try:
        username, password = base64.b64decode(encoded.strip(), validate=True).decode().split(":", 1)
    except ValueError as error:  # not base64, not UTF-8, or without a colon
        raise unauthorized("the Authorization header is not valid HTTP Basic") from error
    return username, password


def unauthorized(reason: str) -> UnauthorizedError:
    """The refusal of a credential."""
    return UnauthorizedError(reason, headers={"WWW-Authenticate": 'Basic realm="Exclave registry"'})
