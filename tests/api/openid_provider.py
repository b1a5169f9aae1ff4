"""A fake OpenID provider, over real HTTP with real RS256 keys, written from OpenID Connect Core 1.0 and Discovery 1.0."""

import asyncio
import base64
import hashlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from urllib.parse import parse_qs, urlsplit

import uvicorn
from ims_driver import Body
from joserfc import jwt
from joserfc.jwk import RSAKey
from prompt_server import PromptServer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


@cache
def _usual_key() -> RSAKey:
    """Making one takes longer than most tests; nobody changes it."""
    return RSAKey.generate_key(2048, {"kid": "k1"})


@dataclass
class FakeProvider:
    """An OpenID provider that lets everybody in as the person that the test sets."""

    claims: Body = field(default_factory=lambda: {"sub": "s1", "email": "ann@vendor.example", "email_verified": True})
    spoil: Callable[[Body], Body] = lambda claims: claims
    key: RSAKey = field(default_factory=_usual_key)
    signing_key: RSAKey | None = None
    url: str = ""
    asked: dict[str, str] = field(default_factory=dict)
    now: Callable[[], float] = time.time

    async def discovery(self, _: Request) -> JSONResponse:
        pages = {name: f"{self.url}/{name}" for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")}
        return JSONResponse({"issuer": self.url, **pages})

    async def jwks(self, _: Request) -> JSONResponse:
        return JSONResponse({"keys": [self.key.as_dict(private=False)]})

    async def token(self, request: Request) -> JSONResponse:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).decode().rstrip("=")
        good = (form["code"], challenge, form["client_secret"], form["redirect_uri"])
        if good != ("code-1", self.asked["code_challenge"], "hush", self.asked["redirect_uri"]):
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = int(self.now())
        claims = {"iss": self.url, "aud": "exclave", "iat": now, "exp": now + 300, "nonce": self.asked["nonce"], **self.claims}
        signed = jwt.encode({"alg": "RS256", "kid": "k1"}, self.spoil(claims), self.signing_key or self.key)
        return JSONResponse({"access_token": "unused", "token_type": "Bearer", "id_token": signed})

    def authorize(self, url: str) -> str:
        """What the provider's own page does once the person has signed in: the code and the state to send back."""
        self.asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert self.asked["response_type"] == "code"
        assert self.asked["code_challenge_method"] == "S256"
        return f"/login/callback?code=code-1&state={self.asked['state']}"


@asynccontextmanager
async def openid_provider() -> AsyncIterator[FakeProvider]:
    """One that answers on a port of its own."""
    fake = FakeProvider()
    routes = [
        Route("/.well-known/openid-configuration", fake.discovery),
        Route("/jwks_uri", fake.jwks),
        Route("/token_endpoint", fake.token, methods=["POST"]),
    ]
    server = PromptServer(uvicorn.Config(Starlette(routes=routes), port=0, log_level="warning", lifespan="off"))
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    fake.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield fake
    finally:
        server.end()
        await task
