"""Stand-ins for the few calls of AWS and Google with which a private registry is opened, written from their documentation.

No real cloud can run here. They are driven by the unmodified boto3 and google-auth, check what the real ones check as far as a
test needs it (who asks, for which role, with which external id or audience), and issue the password of `private_registry`.
A signature of AWS is read for who signed, not verified.
"""

import base64
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, unquote

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

OWNER_ROLE = "arn:aws:iam::222222222222:role/exclave-ecr-access"
OWNER_ACCOUNT = "puller@owner.iam.gserviceaccount.com"
PROVIDER = "projects/1/locations/global/workloadIdentityPools/exclave-aws/providers/aws-111111111111"
AGENT_ACCESS_KEY = "AKIAAGENT"
AGENT_ACCOUNT = "agent@vendor.iam.gserviceaccount.com"

_LATER = timedelta(hours=1)


@dataclass
class FakeAws:
    """STS (query protocol) and ECR (JSON 1.1) of the account that owns the images."""

    external_id: str | None = "acme-42"
    google_key: RSAPublicKey | None = None
    calls: list[str] = field(default_factory=list)

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/", self._call, methods=["POST"])])

    async def _call(self, request: Request) -> Response:
        body = await request.body()
        if request.headers.get("x-amz-target", "").endswith("GetAuthorizationToken"):
            return self._ecr(request)
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        self.calls.append(form["Action"])
        if form["Action"] == "AssumeRole":
            refused = f"Credential={AGENT_ACCESS_KEY}/" not in request.headers.get("authorization", "")
            refused |= form.get("ExternalId") != self.external_id
        else:
            refused = not self._is_agent_of_google(form["WebIdentityToken"])
        if refused or form["RoleArn"] != OWNER_ROLE:
            return _xml(
                f"<ErrorResponse><Error><Code>AccessDenied</Code><Message>not authorized to perform: sts:{form['Action']}"
                "</Message></Error></ErrorResponse>",
                403,
            )
        expires = (datetime.now(UTC) + _LATER).isoformat()
        return _xml(
            f"<{form['Action']}Response><{form['Action']}Result><Credentials><AccessKeyId>ASIAOWNER</AccessKeyId>"
            f"<SecretAccessKey>s</SecretAccessKey><SessionToken>session</SessionToken><Expiration>{expires}</Expiration>"
            f"</Credentials></{form['Action']}Result></{form['Action']}Response>"
        )

    def _ecr(self, request: Request) -> Response:
        self.calls.append("GetAuthorizationToken")
        signed_by_role = "Credential=ASIAOWNER/" in request.headers.get("authorization", "")
        if not signed_by_role or request.headers.get("x-amz-security-token") != "session":
            return JSONResponse({"__type": "AccessDeniedException", "message": "not authorized"}, 400)
        token = base64.b64encode(b"AWS:secret").decode()
        return JSONResponse({"authorizationData": [{"authorizationToken": token, "proxyEndpoint": "https://ecr.example"}]})

    def _is_agent_of_google(self, token: str) -> bool:
        assert self.google_key is not None
        claims = jwt.decode(token, self.google_key, ["RS256"], audience="sts.amazonaws.com")
        return bool(claims["email"] == AGENT_ACCOUNT)


@dataclass
class FakeGoogle:
    """OAuth (for a service account's key), STS and IAM Credentials. `key` is the agent's key in PEM, with which it signs."""

    key: str
    public: RSAPublicKey
    members: set[str] = field(default_factory=lambda: {AGENT_ACCOUNT, AGENT_ACCESS_KEY})
    calls: list[str] = field(default_factory=list)

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/oauth", self._oauth, methods=["POST"]),
                Route("/sts", self._sts, methods=["POST"]),
                Route("/v1/projects/-/serviceAccounts/{method}", self._impersonate, methods=["POST"]),
            ]
        )

    async def _oauth(self, request: Request) -> Response:
        form = parse_qs((await request.body()).decode())
        claims = jwt.decode(form["assertion"][0], self.public, ["RS256"], options={"verify_aud": False})
        if audience := claims.get("target_audience"):
            self.calls.append("id_token")
            expires = datetime.now(UTC) + _LATER
            identity = {"aud": audience, "email": claims["iss"], "exp": expires, "iat": datetime.now(UTC)}
            return JSONResponse({"id_token": jwt.encode(identity, self.key, "RS256")})
        self.calls.append("access_token")
        return JSONResponse({"access_token": f"own:{claims['iss']}", "expires_in": 3600, "token_type": "Bearer"})

    async def _sts(self, request: Request) -> Response:
        self.calls.append("exchange")
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        signed: dict[str, Any] = json.loads(unquote(form["subject_token"]))
        headers = {header["key"].lower(): header["value"] for header in signed["headers"]}
        good = form["audience"] == f"//iam.googleapis.com/{PROVIDER}" == headers["x-goog-cloud-target-resource"]
        good &= form["subject_token_type"] == "urn:ietf:params:aws:token-type:aws4_request"
        good &= "Action=GetCallerIdentity" in signed["url"] and signed["url"].startswith("https://sts.")
        who = headers["authorization"].partition("Credential=")[2].partition("/")[0]
        if not good:
            return JSONResponse({"error": "invalid_grant", "error_description": "the subject token is wrong"}, 400)
        return JSONResponse(
            {
                "access_token": f"own:{who}",
                "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
                "token_type": "Bearer",
                "expires_in": 3600,
            }
        )

    async def _impersonate(self, request: Request) -> Response:
        self.calls.append("impersonate")
        email, _, method = request.path_params["method"].partition(":")
        who = request.headers["authorization"].removeprefix("Bearer own:")
        if (email, method) != (OWNER_ACCOUNT, "generateAccessToken") or who not in self.members:
            return JSONResponse(
                {"error": {"code": 403, "message": "Permission iam.serviceAccounts.getAccessToken denied"}}, 403
            )
        expires = (datetime.now(UTC) + _LATER).strftime("%Y-%m-%dT%H:%M:%SZ")
        return JSONResponse({"accessToken": "secret", "expireTime": expires})


def _xml(text: str, status: int = 200) -> Response:
    return Response(text, status, media_type="text/xml")
