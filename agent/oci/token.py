"""Bearer tokens of registries: the challenge, the token endpoint, and tokens kept in memory.

The exchange is that of the distribution project's token specification: a 401 names the endpoint, Basic credentials are turned
into a token there, once for each repository and set of actions. A pull ticket survives exactly one such call, so nothing
here asks twice for what it has, and nothing pings `/v2/`.
"""

import asyncio
import base64
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from agent.oci.answers import reason
from agent.oci.errors import BadAnswerError, TicketRefusedError
from agent.oci.reach import check_reach
from agent.oci.transport import Answer, Transport

Actions = Literal["pull", "pull,push", "pull,push,delete"]

_DEFAULT_EXPIRES_IN = 60
_EARLY_SECONDS = 10.0
"""A token is given up so many seconds before it expires, so that it doesn't expire on its way."""

_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True)
class Credential:
    """A user name and a password or ticket, as Basic authentication takes them."""

    username: str
    password: str = field(repr=False)

    @property
    def basic(self) -> str:
        """The value of an Authorization header (RFC 7617)."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


@dataclass(frozen=True)
class LoginTicket:
    """A ticket that buys a login of the registry at `url`: of one that takes no tokens but its own cloud's (Amazon, Google)."""

    url: str
    ticket: Credential


Renew = Callable[[], Awaitable[Credential | None]]
"""Gets another credential in place of one that has done its service: a new ticket, a new login. None if there is none."""


@dataclass(frozen=True)
class Challenge:
    """What a registry's 401 asks for: a Bearer token from `realm`, or Basic credentials."""

    scheme: Literal["bearer", "basic"]
    realm: str = ""
    service: str = ""
    error: str = ""


@dataclass(frozen=True)
class Scope:
    """What a request needs to be allowed to do, as the token specification writes it."""

    repository: str
    actions: Actions

    def __str__(self) -> str:
        return f"repository:{self.repository}:{self.actions}"


@dataclass(frozen=True)
class _Login:
    credential: Credential
    fresh_until: float


@dataclass(frozen=True)
class _Token:
    authorization: str
    fresh_until: float


class _TokenAnswer(BaseModel):
    """`token` and `access_token` mean the same; the endpoint sends either or both."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    token: str = ""
    access_token: str = ""
    expires_in: float = _DEFAULT_EXPIRES_IN


def parse_challenge(header: str | None) -> Challenge | None:
    """The challenge in a WWW-Authenticate header, or None if it is of a kind that this client doesn't answer."""
    scheme, _, rest = (header or "").strip().partition(" ")
    parameters = {name.lower(): value for name, value in _PARAMETER.findall(rest)}
    if scheme.lower() == "basic":
        return Challenge("basic")
    if scheme.lower() != "bearer" or "realm" not in parameters:
        return None
    return Challenge("bearer", parameters["realm"], parameters.get("service", ""), parameters.get("error", ""))


class _LoginAnswer(BaseModel):
    """What a ticket buys: `RegistryLogin` of the contract, whatever else a later one says."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    username: str
    password: str
    expires_in: float


class Authorizer:
    """Gives the Authorization header for requests to one registry, asking the token endpoint when it must.

    A ticket that was redeemed, and a login that the registry takes no more, are replaced by what `renew` gets: a transfer may
    last longer than they. Scopes name repositories as tickets do; `prefix` is what the registry itself has before them.
    """

    def __init__(
        self,
        registry: httpx.URL,
        credential: Credential | LoginTicket | None,
        transport: Transport,
        clock: Callable[[], float],
        prefix: str = "",
        renew: Renew | None = None,
    ) -> None:
        self._registry = registry
        self._prefix = f"{prefix}/" if prefix else ""
        self._login = credential if isinstance(credential, LoginTicket) else None
        self._credential = credential.ticket if isinstance(credential, LoginTicket) else credential
        self._transport = transport
        self._clock = clock
        self._renew = renew
        self._redeemed = False
        self._challenge: Challenge | None = None
        self._tokens: dict[tuple[Scope, ...], _Token] = {}
        self._logins: dict[tuple[Scope, ...], _Login] = {}
        self._lock = asyncio.Lock()

    async def header(self, scopes: tuple[Scope, ...]) -> str | None:
        """What to send with a request; None before the registry has asked for anything."""
        async with self._lock:
            if self._challenge is None:
                return None
            return await self._authorization(self._challenge, scopes)

    async def answer(self, refused: Answer, sent: str | None, scopes: tuple[Scope, ...]) -> str | None:
        """What to send after a 401 to a request that went out with `sent`; None if there is nothing better than that."""
        challenge = parse_challenge(refused.headers.get("www-authenticate"))
        if challenge is None or challenge.error == "insufficient_scope":
            return None
        if challenge.scheme == "bearer":
            challenge = replace(challenge, realm=await self._checked_realm(challenge.realm))
        async with self._lock:
            self._challenge = challenge
            held = self._tokens.get(scopes)
            if held is not None and held.authorization == sent:
                del self._tokens[scopes]
                if challenge.scheme == "basic":
                    self._logins.pop(scopes, None)
            if challenge.scheme == "basic" and self._credential and self._credential.basic == sent:
                await self._another()
            authorization = await self._authorization(challenge, scopes)
        return authorization if authorization != sent else None

    async def _authorization(self, challenge: Challenge, scopes: tuple[Scope, ...]) -> str | None:
        if challenge.scheme == "basic" and self._login is None:
            return self._credential.basic if self._credential else None
        for good in _as_good_as(scopes):
            held = self._tokens.get(good)
            if held is not None and held.fresh_until > self._clock():
                return held.authorization
        if self._login is None:
            token = await self._fetch(challenge, scopes, await self._unspent())
        else:
            login = await self._logged_in(self._login.url, scopes)
            if challenge.scheme == "basic":
                token = _Token(login.credential.basic, login.fresh_until)
            else:
                token = await self._fetch(challenge, scopes, login.credential)
        self._tokens[scopes] = token
        return token.authorization

    async def _fetch(self, challenge: Challenge, scopes: tuple[Scope, ...], credential: Credential | None) -> _Token:
        asked_at = self._clock()
        url = httpx.URL(challenge.realm).copy_merge_params({"service": challenge.service})
        wanted = [f"repository:{self._prefix}{scope.repository}:{scope.actions}" for scope in scopes]
        answer = await self._ask(url, wanted, credential, "the token endpoint")
        try:
            token = _TokenAnswer.model_validate_json(answer.body)
        except ValidationError:
            raise BadAnswerError(f"the token endpoint of {self._registry} gives an answer that isn't a token") from None
        text = token.token or token.access_token
        if not text:
            raise BadAnswerError(f"the token endpoint of {self._registry} gives no token")
        early = min(_EARLY_SECONDS, token.expires_in / 4)
        return _Token(f"Bearer {text}", asked_at + token.expires_in - early)

    async def _logged_in(self, url: str, scopes: tuple[Scope, ...]) -> _Login:
        """The login for these scopes: a pull ticket buys only one, which outlives the registry's own tokens."""
        for good in _as_good_as(scopes):
            held = self._logins.get(good)
            if held is not None and held.fresh_until > self._clock():
                return held
        asked_at = self._clock()
        answer = await self._ask(httpx.URL(url), list(map(str, scopes)), await self._unspent(), "the endpoint for logins")
        try:
            login = _LoginAnswer.model_validate_json(answer.body)
        except ValidationError:
            raise BadAnswerError(f"the IMS gives no login for {self._registry}") from None
        bought = _Login(Credential(login.username, login.password), asked_at + login.expires_in - _EARLY_SECONDS)
        self._logins[scopes] = bought
        return bought

    async def _unspent(self) -> Credential | None:
        """The credential; another one if it was redeemed before."""
        if self._redeemed:
            await self._another()
        self._redeemed = True
        return self._credential

    async def _another(self) -> None:
        if self._renew is not None:
            self._credential = await self._renew() or self._credential

    async def _ask(self, url: httpx.URL, wanted: list[str], credential: Credential | None, whom: str) -> Answer:
        headers = {"Authorization": credential.basic} if credential else {}
        answer = await self._transport.request("GET", url.copy_merge_params({"scope": wanted}), headers)
        if answer.status in (401, 403):
            raise TicketRefusedError(
                f"{whom} of {self._registry} refuses the credential for {' '.join(wanted)}{reason(answer)}"
            )
        if answer.status != 200:
            raise BadAnswerError(f"{whom} of {self._registry} answers {answer.status} for {' '.join(wanted)}")
        return answer

    async def _checked_realm(self, text: str) -> str:
        # The registry says where the credential goes: never out of TLS, nor from the internet into a private network.
        realm = self._registry.join(text)
        await check_reach(self._registry, realm, "the token endpoint")
        return str(realm)


def _as_good_as(scopes: tuple[Scope, ...]) -> tuple[tuple[Scope, ...], ...]:
    """These scopes, and those that hold them: who may push may pull."""
    return scopes, tuple(Scope(scope.repository, "pull,push") for scope in scopes)
