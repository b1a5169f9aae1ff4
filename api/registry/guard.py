"""Who may do what on `/v2`: the caller's token, and the challenge that tells a caller without one where to get it."""

import re
from dataclasses import dataclass

from starlette.requests import Request

from api.registry import names
from api.registry.access import Access, Action, Grant
from api.registry.errors import ReadOnlyError, UnauthorizedError
from api.registry.tokens import TokenInvalidError, TokenSigner

_HOST = re.compile(r"[A-Za-z0-9._:\[\]-]+")

# Clients ask for what the challenge says; a push reads as well (HEAD before each blob).
_CHALLENGE_ACTIONS: dict[Action, str] = {"pull": "pull", "push": "pull,push", "delete": "delete"}


@dataclass(frozen=True)
class Guard:
    """Checks the bearer token of each request. `service` is what the registry calls itself.

    In a `read_only` registry nobody may write; who has no right to is told that first.
    """

    signer: TokenSigner
    service: str
    read_only: bool = False

    def identify(self, request: Request) -> Grant:
        """The caller's grant. Raises UnauthorizedError."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise self._challenge(request, "a token is needed; the token endpoint gives one for a username and a password")
        try:
            grant = self.signer.verify(token.strip(), service=self.service)
        except TokenInvalidError as error:
            raise self._challenge(request, str(error), error="invalid_token") from error
        request.state.subject = grant.subject
        return grant

    def enter(self, request: Request, action: Action, *, writes: bool = False) -> Access:
        """The caller's access to the repository in the path. Raises NameInvalidError, UnauthorizedError, ReadOnlyError."""
        repository = names.check_repository(request.path_params["repository"])
        scope = f"repository:{repository}:{_CHALLENGE_ACTIONS[action]}"
        try:
            grant = self.identify(request)
        except UnauthorizedError as error:
            error.headers["WWW-Authenticate"] += f',scope="{scope}"'
            raise
        access = grant.access_to(repository, action)
        if access is None:
            message = f"the token doesn't allow {action} on {repository}"
            raise self._challenge(request, message, scope=scope, error="insufficient_scope")
        if writes and self.read_only:
            raise ReadOnlyError("the registry is read-only at the moment; its operator says when it takes pushes again")
        return access

    def _challenge(self, request: Request, message: str, **parameters: str) -> UnauthorizedError:
        fields = {"realm": _realm(request), "service": self.service, **parameters}
        header = "Bearer " + ",".join(f'{name}="{value}"' for name, value in fields.items())
        return UnauthorizedError(message, headers={"WWW-Authenticate": header})


def _realm(request: Request) -> str:
    """The token endpoint as this caller reaches it: go-containerregistry wants it on the registry's own host and port."""
    host = request.headers.get("host", "")
    if not _HOST.fullmatch(host):
        return "/token"
    return f"{request.url.scheme}://{host}/token"
