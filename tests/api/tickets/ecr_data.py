"""A stand-in for the `/v2` of Amazon ECR and for the storage behind it; a real docker-registry has the data.

Written from ECR's documentation: a challenge for Basic; a password that reads what its session's policy allows, repository by
repository; and for a blob a redirect to a presigned address in S3, which refuses whoever shows a credential there.
"""

import base64
import secrets
from dataclasses import dataclass, field

import httpx
from fake_vendor_ecr import ACCOUNT, FakeVendorEcr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


@dataclass
class EcrData:
    """The registry of an account. `fails` is a status that it answers everything with; `storage` is where S3 is."""

    ecr: FakeVendorEcr
    behind: str
    http: httpx.AsyncClient
    storage: str = ""
    fails: int = 0
    asked: list[tuple[str, str]] = field(default_factory=list)
    shown: set[str] = field(default_factory=set)
    fetched: list[dict[str, str]] = field(default_factory=list)
    """The headers of each request to S3."""
    _presigned: dict[str, str] = field(default_factory=dict)

    def registry(self) -> Starlette:
        return Starlette(routes=[Route("/v2/{path:path}", self._answer, methods=["GET", "HEAD"])])

    def s3(self) -> Starlette:
        return Starlette(routes=[Route("/bucket/{key}", self._fetch)])

    async def _answer(self, request: Request) -> Response:
        path = request.path_params["path"]
        self.asked.append((request.method, path))
        if self.fails:
            return JSONResponse({"errors": [{"code": "UNKNOWN", "message": "an error of ours"}]}, self.fails)
        shown = request.headers.get("authorization", "")
        if not shown:
            return Response(status_code=401, headers={"WWW-Authenticate": 'Basic realm="ecr",service="ecr.amazonaws.com"'})
        self.shown.add(shown)
        repository = path.rsplit("/", 2)[0]
        if not self._may_read(shown, repository):
            return JSONResponse({"errors": [{"code": "DENIED", "message": "not authorized"}]}, 403)
        if request.method == "GET" and "/blobs/" in path:
            key = secrets.token_hex(8)
            self._presigned[key] = path
            return Response(status_code=307, headers={"Location": f"{self.storage}/bucket/{key}?X-Amz-Signature=abc"})
        headers = {"Accept": request.headers.get("accept", "*/*")}
        answer = await self.http.request(request.method, f"{self.behind}/v2/{path}", headers=headers)
        kept = {name: value for name, value in answer.headers.items() if name in ("content-type", "content-length")}
        return Response(answer.content, answer.status_code, kept)

    def _may_read(self, shown: str, repository: str) -> bool:
        user, _, password = base64.b64decode(shown.removeprefix("Basic ")).decode().partition(":")
        session = self.ecr.sessions[int(password.removeprefix("password-"))]
        arn = f"arn:aws:ecr:eu-west-1:{ACCOUNT}:repository/{repository}"
        return user == "AWS" and session.allows("ecr:BatchGetImage", arn)

    async def _fetch(self, request: Request) -> Response:
        self.fetched.append(dict(request.headers))
        if "authorization" in request.headers:
            return Response("Only one auth mechanism allowed", 400)
        wanted = {"Range": request.headers["range"]} if "range" in request.headers else {}
        answer = await self.http.get(f"{self.behind}/v2/{self._presigned[request.path_params['key']]}", headers=wanted)
        kept = {name: value for name, value in answer.headers.items() if name in ("content-range", "content-length")}
        return Response(answer.content, answer.status_code, kept)
