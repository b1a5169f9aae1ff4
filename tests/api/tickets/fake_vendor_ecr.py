"""A stand-in for STS and Amazon ECR with the few calls that make a login, written from their documentation.

No real AWS can run here. The unmodified boto3 drives it; it keeps to a session's policy as AWS says it does: what that doesn't
allow is refused, whatever the role may.
"""

import base64
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

ACCOUNT = "111122223333"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/exclave-registry"


@dataclass
class Session:
    """An assumed role, as its caller asked for it."""

    name: str
    seconds: int
    policy: dict[str, Any]

    def allows(self, action: str, resource: str) -> bool:
        return any(
            action in _list(each["Action"]) and set(_list(each["Resource"])) & {resource, "*"}
            for each in self.policy["Statement"]
        )

    def actions_on(self, resource: str) -> set[str]:
        found = [each["Action"] for each in self.policy["Statement"] if each["Resource"] == resource]
        return {action for actions in found for action in _list(actions)}


@dataclass
class FakeVendorEcr:
    """The account that has the vendor's registry. `down` makes STS fail."""

    sessions: list[Session] = field(default_factory=list)
    repositories: set[str] = field(default_factory=set)
    down: bool = False

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/", self._call, methods=["POST"])])

    async def _call(self, request: Request) -> Response:
        body = (await request.body()).decode()
        action = request.headers.get("x-amz-target", "").rpartition(".")[2]
        if not action:
            return self._assume({name: values[0] for name, values in parse_qs(body).items()})
        session = self.sessions[int(request.headers["x-amz-security-token"])]
        if action == "CreateRepository":
            name = json.loads(body)["repositoryName"]
            if not session.allows("ecr:CreateRepository", f"arn:aws:ecr:eu-west-1:{ACCOUNT}:repository/{name}"):
                return _error("AccessDeniedException", "no identity-based policy allows the action")
            if name in self.repositories:
                return _error("RepositoryAlreadyExistsException", f"{name} exists")
            self.repositories.add(name)
            return JSONResponse({"repository": {"repositoryName": name}})
        if action != "GetAuthorizationToken" or not session.allows("ecr:GetAuthorizationToken", "*"):
            return _error("AccessDeniedException", "no identity-based policy allows the action")
        token = base64.b64encode(f"AWS:password-{self.sessions.index(session)}".encode()).decode()
        return JSONResponse({"authorizationData": [{"authorizationToken": token}]})

    def _assume(self, form: dict[str, str]) -> Response:
        if self.down or form["RoleArn"] != ROLE:
            text = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>not authorized</Message></Error></ErrorResponse>"
            return Response(text, 403, media_type="text/xml")
        assert len(form["Policy"]) <= 2048
        self.sessions.append(Session(form["RoleSessionName"], int(form["DurationSeconds"]), json.loads(form["Policy"])))
        expires = (datetime.now(UTC) + timedelta(seconds=self.sessions[-1].seconds)).isoformat()
        return Response(
            "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>s"
            f"</SecretAccessKey><SessionToken>{len(self.sessions) - 1}</SessionToken><Expiration>{expires}</Expiration>"
            "</Credentials></AssumeRoleResult></AssumeRoleResponse>",
            media_type="text/xml",
        )


def _list(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def _error(code: str, message: str) -> Response:
    return JSONResponse({"__type": code, "message": message}, 400)
