"""A stand-in for Google's OAuth and IAM Credentials, and for a registry that takes their tokens, from their documentation.

No real Google can run here. The unmodified google-auth drives it. Who may have a token of an account, and what an account may
do with a repository, is judged as Google says it does: by bindings of an account and of a repository, never of an image in it,
and for uploads by the token's scope as well. The registry behind it is the built-in one, whose challenge is a Bearer one as
Google's is.
"""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from api.registry.access import Access, Action, Grant, Scope
from api.registry.credentials import CredentialsRefusedError

PROJECT = "shop-artifacts"
IMS = f"ims@{PROJECT}.iam.gserviceaccount.com"
WRITER = f"builds@{PROJECT}.iam.gserviceaccount.com"
_CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"


def reader(app: str) -> str:
    return f"exclave-{app}@{PROJECT}.iam.gserviceaccount.com"


@dataclass(frozen=True)
class Token:
    """An access token of a service account, as its caller asked for it."""

    account: str
    scopes: tuple[str, ...]
    lifetime: str


@dataclass
class FakeVendorGoogle:
    """The project that has the vendor's registry. `down` makes IAM Credentials refuse everything."""

    key: RSAPrivateKey
    tokens: dict[str, Token] = field(default_factory=dict)
    readers: dict[str, str] = field(default_factory=lambda: {reader("shop"): "shop", reader("other"): "other"})
    """What each reader reads: a repository. The writer writes them all."""
    down: bool = False

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/oauth", self._oauth, methods=["POST"]),
                Route("/v1/projects/-/serviceAccounts/{method}", self._generate, methods=["POST"]),
            ]
        )

    def write_key(self, path: Path, url: str) -> None:
        """The key file of the IMS's own service account, as application default credentials are named."""
        pem = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        document = {"type": "service_account", "client_email": IMS, "private_key": pem, "token_uri": f"{url}/oauth"}
        path.write_text(json.dumps({**document, "project_id": PROJECT, "private_key_id": "1"}))

    async def grant(self, username: str, password: str, scopes: tuple[Scope, ...]) -> Grant:
        """What the registry says to a login: see `api.registry.credentials.Credentials`."""
        token = self.tokens.get(password)
        if username != "oauth2accesstoken" or token is None:
            raise CredentialsRefusedError("invalid authentication credentials")
        access = [Access(scope.repository, self._allowed(token, scope.repository) & scope.actions) for scope in scopes]
        return Grant(token.account, tuple(each for each in access if each.actions))

    def _allowed(self, token: Token, path: str) -> frozenset[Action]:
        project, repository, *_ = path.split("/")
        if project != PROJECT:
            return frozenset()
        if token.account == WRITER:
            return frozenset({"pull", "push"}) if _CLOUD_PLATFORM in token.scopes else frozenset({"pull"})
        return frozenset({"pull"}) if self.readers.get(token.account) == repository else frozenset()

    async def _oauth(self, request: Request) -> Response:
        form = parse_qs((await request.body()).decode())
        claims = jwt.decode(form["assertion"][0], self.key.public_key(), ["RS256"], options={"verify_aud": False})
        return JSONResponse({"access_token": f"own:{claims['iss']}", "expires_in": 3600, "token_type": "Bearer"})

    async def _generate(self, request: Request) -> Response:
        account, _, method = request.path_params["method"].partition(":")
        body = json.loads(await request.body())
        good = request.headers["authorization"] == f"Bearer own:{IMS}" and account in {*self.readers, WRITER}
        if self.down or not good or method != "generateAccessToken":
            error = {
                "code": 403,
                "message": "Permission 'iam.serviceAccounts.getAccessToken' denied",
                "status": "PERMISSION_DENIED",
            }
            return JSONResponse({"error": error}, 403)
        seconds = int(body["lifetime"].removesuffix("s"))
        assert seconds <= 3600
        text = f"ya29.{len(self.tokens)}"
        self.tokens[text] = Token(account, tuple(body["scope"]), body["lifetime"])
        expires = datetime.now(UTC) + timedelta(seconds=seconds)
        return JSONResponse({"accessToken": text, "expireTime": expires.strftime("%Y-%m-%dT%H:%M:%SZ")})
