"""The tokens of the registry: ES256 JWTs as distribution's token specification writes them.

`aud` is one string (docker-registry 2.8 refuses a list), actions are spelled out (`*` would be every right there), and the
certificate travels in `x5c`, which every version of docker-registry takes. The private claim `exclave_digests` maps a
repository to the only manifests that may be pulled from it; other registries don't know it and ignore it.
"""

import base64
import datetime
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization

from api.registry.access import ACTIONS, Access, Grant
from api.registry.signing_key import SigningKey, load_or_create_key

TOKEN_SECONDS = 300
"""How long a token holds. It is checked when a request begins, so a long transfer outlives it."""

_BACKDATE_SECONDS = 5
_ALGORITHM = "ES256"
_DIGESTS_CLAIM = "exclave_digests"


class TokenInvalidError(Exception):
    """The token doesn't hold; the text says why."""


@dataclass(frozen=True)
class IssuedToken:
    """A new token, and for how many seconds from `issued_at` it holds."""

    token: str
    expires_in: int
    issued_at: datetime.datetime


class TokenSigner:
    """Issues and checks tokens. `issuer` must be the same for all that share a key."""

    def __init__(self, key: SigningKey, *, issuer: str, clock: Callable[[], float] = time.time) -> None:
        self.issuer = issuer
        self.certificate_pem = key.certificate_pem
        self._key = key
        self._clock = clock
        self._x5c = [base64.b64encode(key.certificate.public_bytes(serialization.Encoding.DER)).decode()]

    @classmethod
    def open(cls, path: Path, *, issuer: str) -> "TokenSigner":
        """A signer with the key in this file, which is made on first use. Raises ValueError for a file that isn't one."""
        return cls(load_or_create_key(path), issuer=issuer)

    def issue(self, grant: Grant, *, service: str) -> IssuedToken:
        """A token with this grant, for the registry that calls itself `service`."""
        now = int(self._clock())
        claims: dict[str, object] = {
            "iss": self.issuer,
            "sub": grant.subject,
            "aud": service,
            "iat": now,
            "nbf": now - _BACKDATE_SECONDS,
            "exp": now + TOKEN_SECONDS,
            "jti": secrets.token_hex(16),
            "access": [
                {"type": "repository", "name": access.repository, "actions": sorted(access.actions)} for access in grant.access
            ],
        }
        digests = {access.repository: sorted(access.digests) for access in grant.access if access.digests is not None}
        if digests:
            claims[_DIGESTS_CLAIM] = digests
        token = jwt.encode(claims, self._key.private_key, _ALGORITHM, headers={"x5c": self._x5c})
        return IssuedToken(token, TOKEN_SECONDS, datetime.datetime.fromtimestamp(now, datetime.UTC))

    def verify(self, token: str, *, service: str) -> Grant:
        """The grant in a token of this signer for this service. Raises TokenInvalidError.

        Only the signer's own key counts: the certificate in the token's header is for other registries.
        """
        try:
            claims = jwt.decode(
                token,
                self._key.private_key.public_key(),
                algorithms=[_ALGORITHM],
                audience=service,
                issuer=self.issuer,
                options={"require": ["iss", "sub", "aud", "nbf", "exp"], "strict_aud": True},
            )
            return _read_grant(claims)
        except (jwt.InvalidTokenError, KeyError, TypeError, AttributeError, ValueError) as error:
            raise TokenInvalidError(f"the token doesn't hold: {error}") from error


def _read_grant(claims: dict[str, Any]) -> Grant:
    digests = claims.get(_DIGESTS_CLAIM, {})
    return Grant(
        claims["sub"],
        tuple(
            Access(
                entry["name"],
                frozenset(action for action in ACTIONS if action in entry["actions"]),
                frozenset(digests[entry["name"]]) if entry["name"] in digests else None,
            )
            for entry in claims["access"]
        ),
    )
