"""The OpenID provider: authorization code flow with PKCE, state and nonce (OpenID Connect Core 1.0, section 3.1)."""

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import httpx
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.jwk import KeySet

from api.contract.problems import ForbiddenError, ProblemError, UnauthorizedError
from api.logins.service import Person
from api.settings import Oidc

_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "Ed25519"]
_SKEW_SECONDS = 60


class ProviderFailedError(ProblemError):
    """The OpenID provider didn't answer, or not as the specification says."""

    status, code, title, retryable = 502, "login_provider_failed", "The login provider failed", True


@dataclass(frozen=True)
class Attempt:
    """What a browser carries (sealed) from the beginning of a login to its end."""

    state: str
    nonce: str
    verifier: str
    next: str

    @classmethod
    def begin(cls, next_page: str) -> "Attempt":
        """Fresh secrets."""
        return cls(secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(48), next_page)


@dataclass(frozen=True)
class Provider:
    """One OpenID provider, asked anew at each login: logins are rare, and its keys change."""

    oidc: Oidc
    redirect_uri: str
    http: httpx.AsyncClient

    async def authorization_url(self, attempt: Attempt) -> str:
        """Where to send the browser."""
        metadata = await self._metadata()
        parameters = {
            "response_type": "code",
            "client_id": self.oidc.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": " ".join(self.oidc.scopes),
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": create_s256_code_challenge(attempt.verifier),
            "code_challenge_method": "S256",
        }
        endpoint = metadata["authorization_endpoint"]
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(parameters)}"

    async def person(self, code: str, attempt: Attempt, now: datetime) -> Person:
        """Whoever logged in. Raises UnauthorizedError, ForbiddenError or ProviderFailedError."""
        metadata = await self._metadata()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "client_id": self.oidc.client_id,
            "code_verifier": attempt.verifier,
        }
        if secret := await asyncio.to_thread(self._secret):
            form["client_secret"] = secret
        answer = await self._json("POST", metadata["token_endpoint"], data=form)
        keys = await self._json("GET", metadata["jwks_uri"])
        return person_of(self.oidc, self._verified(str(answer.get("id_token", "")), keys, attempt.nonce, now))

    def _secret(self) -> str | None:
        try:
            return self.oidc.secret()
        except (OSError, ValueError) as error:
            file = self.oidc.client_secret_file
            raise ProviderFailedError(f"oidc.client_secret_file {file} can't be read", remedy="Tell the operator.") from error

    def _verified(self, id_token: str, keys: dict[str, Any], nonce: str, now: datetime) -> Mapping[str, Any]:
        """The claims of an ID token that holds (OpenID Connect Core 1.0, section 3.1.3.7)."""
        options = {
            "iss": {"essential": True, "value": self.oidc.issuer},
            "aud": {"essential": True, "value": self.oidc.client_id},
        }
        expected = {"nonce": nonce, "client_id": self.oidc.client_id}
        try:
            token = jwt.decode(id_token, KeySet.import_key_set(keys), algorithms=_ALGORITHMS)  # type: ignore[arg-type]
            claims = CodeIDToken(token.claims, token.header, options, expected)
            claims.validate(now=int(now.timestamp()), leeway=_SKEW_SECONDS)
        except Exception as error:  # the libraries have many errors for what is one thing here: the token isn't good
            raise UnauthorizedError(
                f"the login provider's ID token doesn't hold: {type(error).__name__}", remedy="Log in again."
            ) from error
        return dict(token.claims)

    async def _metadata(self) -> Mapping[str, Any]:
        found = await self._json("GET", f"{self.oidc.issuer.rstrip('/')}/.well-known/openid-configuration")
        if found.get("issuer") != self.oidc.issuer:
            raise ProviderFailedError(f"{self.oidc.issuer} calls itself {found.get('issuer')!r}: the setting must be the same")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            if not isinstance(found.get(name), str):
                raise ProviderFailedError(f"{self.oidc.issuer} names no {name}")
        return found

    async def _json(self, method: str, url: str, **more: Any) -> dict[str, Any]:
        try:
            answer = await self.http.request(method, url, timeout=10, follow_redirects=False, **more)
            body = answer.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise ProviderFailedError(f"no usable answer from {self.oidc.issuer}: {type(error).__name__}") from error
        if answer.status_code in (400, 401) and method == "POST":
            raise UnauthorizedError("the login provider refused the login", remedy="Log in again.")
        if answer.status_code != 200 or not isinstance(body, dict):
            raise ProviderFailedError(f"{self.oidc.issuer} answered with status {answer.status_code}")
        return body


def person_of(oidc: Oidc, claims: Mapping[str, Any]) -> Person:
    """What the settings give to somebody with these claims. Raises ForbiddenError if no rule fits."""
    subject = str(claims["sub"])
    name = str(claims.get(oidc.name_claim) or subject)
    for rule in oidc.rules:
        if rule.claim == "email" and claims.get("email_verified") is not True:
            continue  # anybody can type another person's address
        found = claims.get(rule.claim)
        if rule.value in (found if isinstance(found, list) else [found]):
            return Person(subject, name, rule.role, rule.scope)
    raise ForbiddenError(
        f"{name} is known to the login provider, but no rule of this IMS lets them in",
        remedy="Ask its operator for a rule that fits one of your claims.",
    )
