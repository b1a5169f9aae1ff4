"""The client against registries that do one thing in an unusual way."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from registry_server import IMPATIENT, WRITER, RegistryServer, serve, sha256

from agent.oci.client import RegistryClient
from agent.oci.errors import (
    AccessRefusedError,
    BadAnswerError,
    DigestMismatchError,
    NotFoundError,
    RegistryUnavailableError,
    TicketRefusedError,
)
from agent.oci.push import push_bytes
from agent.oci.retry import RetryPolicy

pytestmark = pytest.mark.anyio

BLOB = b"content" * 100
PATH = f"/v2/acme/app/blobs/{sha256(BLOB)}"


@dataclass
class Request:
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes = b""


@dataclass
class Reply:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Script:
    """An ASGI app that asks a function for each answer, and keeps the requests."""

    answer: Callable[[Request], Reply]
    seen: list[Request] = field(default_factory=list)

    async def __call__(
        self,
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[dict[str, Any]]],
        send: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        request = Request(scope["method"], scope["path"], scope["query_string"].decode(), headers)
        while True:
            message = await receive()
            request.body += message.get("body", b"")
            if not message.get("more_body"):
                break
        self.seen.append(request)
        reply = self.answer(request)
        sent = [(name.encode(), value.encode()) for name, value in reply.headers.items()]
        sent.append((b"content-length", str(len(reply.body)).encode()))
        await send({"type": "http.response.start", "status": reply.status, "headers": sent})
        await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else reply.body})


def client(url: str, http: httpx.AsyncClient, **settings: Any) -> RegistryClient:
    return RegistryClient(url, WRITER, http, **({"retry": IMPATIENT} | settings))


async def read(registry: RegistryClient) -> bytes:
    return await registry.read_blob("acme/app", sha256(BLOB), len(BLOB))


async def test_storage_elsewhere_never_sees_the_token(http: httpx.AsyncClient) -> None:
    storage = Script(lambda request: Reply(200, BLOB))
    async with serve(storage) as elsewhere:

        def answer(request: Request) -> Reply:
            if request.path == "/token":
                return Reply(200, b'{"token": "t"}')
            if request.headers.get("authorization") != "Bearer t":
                return Reply(401, headers={"WWW-Authenticate": 'Bearer realm="/token",service="s"'})
            return Reply(307, headers={"Location": f"{elsewhere}/bucket?X-Amz-Signature=abc"})

        async with serve(Script(answer)) as url:
            assert await read(client(url, http)) == BLOB
    assert [(request.path, request.query) for request in storage.seen] == [("/bucket", "X-Amz-Signature=abc")]
    assert "authorization" not in storage.seen[0].headers


async def test_too_many_redirects_end(http: httpx.AsyncClient) -> None:
    async with serve(Script(lambda request: Reply(307, headers={"Location": request.path}))) as url:
        with pytest.raises(BadAnswerError, match="redirects"):
            await read(client(url, http))


async def test_the_upload_address_keeps_its_query_and_may_be_relative(http: httpx.AsyncClient) -> None:
    def answer(request: Request) -> Reply:
        if request.method == "POST":
            return Reply(202, headers={"Location": "../elsewhere/1?_state=a%2Bb%3D&n=1"})
        return Reply(201 if request.method == "PUT" else 404)

    script = Script(answer)
    async with serve(script) as url:
        await push_bytes(client(url, http), "acme/app", BLOB)
    put = script.seen[-1]
    assert put.method == "PUT"
    assert put.path == "/v2/acme/app/blobs/elsewhere/1"
    assert put.query == f"_state=a%2Bb%3D&n=1&digest={sha256(BLOB)}"
    assert put.headers["content-length"] == str(len(BLOB))
    assert "transfer-encoding" not in put.headers
    assert put.body == BLOB


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_a_busy_registry_is_asked_again_after_the_time_that_it_names(http: httpx.AsyncClient, status: int) -> None:
    replies = [Reply(status, headers={"Retry-After": "7"}), Reply(status), Reply(404)]
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async with serve(Script(lambda request: replies.pop(0))) as url:
        assert not await client(url, http, retry=RetryPolicy(sleep=sleep)).has_blob("acme/app", sha256(BLOB))
    assert waits == [7.0, 1.0]


async def test_a_registry_that_stays_busy_is_given_up(http: httpx.AsyncClient) -> None:
    script = Script(lambda request: Reply(503))
    async with serve(script) as url:
        with pytest.raises(RegistryUnavailableError, match="503") as failed:
            await client(url, http).has_blob("acme/app", sha256(BLOB))
    assert len(script.seen) == IMPATIENT.tries
    assert failed.value.failure.retryable


@pytest.mark.parametrize("status", [400, 500])
async def test_other_answers_are_not_asked_for_again(http: httpx.AsyncClient, status: int) -> None:
    body = json.dumps({"errors": [{"code": "DIGEST_INVALID", "message": "too short"}]}).encode()
    script = Script(lambda request: Reply(status, body))
    async with serve(script) as url:
        with pytest.raises(BadAnswerError, match="DIGEST_INVALID: too short"):
            await client(url, http).get_manifest("acme/app", "v1")
    assert len(script.seen) == 1


async def test_nothing_pings_the_registry(vendor: RegistryServer) -> None:
    registry = vendor.client(vendor.ticket())
    with pytest.raises(NotFoundError):
        await registry.get_manifest("acme/app", "v1")
    assert [len(scopes) for _, scopes in vendor.tickets.asked] == [1]


async def test_a_token_is_renewed_shortly_before_it_expires(http: httpx.AsyncClient) -> None:
    now = 0.0
    tokens = iter(["one", "two", "three"])

    def answer(request: Request) -> Reply:
        if request.path == "/token":
            return Reply(200, json.dumps({"access_token": next(tokens), "expires_in": 300}).encode())
        if "authorization" not in request.headers:
            return Reply(401, headers={"WWW-Authenticate": 'Bearer realm="/token",service="s"'})
        return Reply(404)

    script = Script(answer)
    async with serve(script) as url:
        registry = client(url, http, clock=lambda: now)
        for now in (0.0, 289.0, 291.0):  # noqa: B007 - the clock reads it
            await registry.has_blob("acme/app", sha256(BLOB))
    used = [
        request.headers["authorization"]
        for request in script.seen
        if request.headers.get("authorization", "").startswith("Bearer")
    ]
    assert used == ["Bearer one", "Bearer one", "Bearer two"]


async def test_a_token_that_the_registry_has_forgotten_is_replaced_once(http: httpx.AsyncClient) -> None:
    tokens = iter(["forgotten", "good", "never asked for"])

    def answer(request: Request) -> Reply:
        if request.path == "/token":
            return Reply(200, json.dumps({"token": next(tokens)}).encode())
        if request.headers.get("authorization") == "Bearer good":
            return Reply(404)
        return Reply(401, headers={"WWW-Authenticate": 'Bearer realm="/token",service="s",error="invalid_token"'})

    async with serve(Script(answer)) as url:
        registry = client(url, http)
        with pytest.raises(AccessRefusedError):
            await registry.has_blob("acme/app", sha256(BLOB))
        assert not await registry.has_blob("acme/app", sha256(BLOB))


async def test_basic_credentials_go_with_each_request_where_the_registry_wants_that(http: httpx.AsyncClient) -> None:
    def answer(request: Request) -> Reply:
        if request.headers.get("authorization", "").startswith("Basic "):
            return Reply(404)
        return Reply(401, headers={"WWW-Authenticate": 'Basic realm="x"'})

    async with serve(Script(answer)) as url:
        assert not await client(url, http).has_blob("acme/app", sha256(BLOB))


async def test_a_wrong_credential_is_refused_in_the_registrys_words(vendor: RegistryServer) -> None:
    wrong = vendor.ticket(uses=0)
    with pytest.raises(TicketRefusedError, match="used already") as refused:
        await vendor.client(wrong).get_manifest("acme/app", "v1")
    assert refused.value.failure.code == "ticket_refused"
    assert "once" not in str(refused.value).split()


async def test_a_credential_never_leaves_tls(http: httpx.AsyncClient) -> None:
    sent: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(401, headers={"WWW-Authenticate": 'Bearer realm="http://evil.test/token",service="s"'})

    async with httpx.AsyncClient(transport=httpx.MockTransport(handle)) as mocked:
        with pytest.raises(AccessRefusedError, match="TLS"):
            await client("https://registry.test", mocked).get_manifest("acme/app", "v1")
    assert [request.url.host for request in sent] == ["registry.test"]


async def test_a_manifest_that_is_not_its_digest_is_refused(http: httpx.AsyncClient) -> None:
    async with serve(Script(lambda request: Reply(200, b'{"schemaVersion":2}'))) as url:
        with pytest.raises(DigestMismatchError):
            await client(url, http).get_manifest("acme/app", sha256(b"other"))


async def test_a_manifest_without_a_content_type_has_the_one_that_it_names(http: httpx.AsyncClient) -> None:
    async with serve(Script(lambda request: Reply(200, b'{"schemaVersion":2,"mediaType":"application/x"}'))) as url:
        assert (await client(url, http).get_manifest("acme/app", "v1")).media_type == "application/x"


async def test_a_manifest_beyond_four_megabytes_is_refused(http: httpx.AsyncClient) -> None:
    async with serve(Script(lambda request: Reply(200, b" " * (4 * 1024 * 1024 + 1)))) as url:
        with pytest.raises(BadAnswerError, match="more than"):
            await client(url, http).get_manifest("acme/app", "v1")


@pytest.mark.parametrize(
    "body", [b"[]", b"no", b'{"layers": [{"digest": "sha256:../..", "size": 1}]}'], ids=["list", "text", "digest"]
)
async def test_what_is_no_manifest_is_refused(http: httpx.AsyncClient, body: bytes) -> None:
    async with serve(Script(lambda request: Reply(200, body))) as url:
        with pytest.raises(BadAnswerError, match="not a manifest"):
            (await client(url, http).get_manifest("acme/app", "v1")).body()


async def test_a_longer_blob_than_promised_is_cut_off(http: httpx.AsyncClient) -> None:
    async with serve(Script(lambda request: Reply(200, BLOB + b"more"))) as url:
        with pytest.raises(DigestMismatchError, match="longer"):
            await read(client(url, http))


async def test_referrers_come_in_pages(http: httpx.AsyncClient) -> None:
    def descriptor(number: int) -> dict[str, Any]:
        return {"mediaType": "application/x", "digest": sha256(str(number).encode()), "size": number}

    def answer(request: Request) -> Reply:
        number = 2 if "page=2" in request.query else 1
        headers = {"Link": f'<{request.path}?page=2>; rel="next"'} if number == 1 else {}
        return Reply(200, json.dumps({"schemaVersion": 2, "manifests": [descriptor(number)]}).encode(), headers)

    async with serve(Script(answer)) as url:
        found = await client(url, http).referrers("acme/app", sha256(BLOB))
    assert [each.size for each in found.descriptors] == [1, 2]


async def test_a_blob_is_read_with_its_bytes_as_they_are(vendor: RegistryServer) -> None:
    registry = vendor.client()
    await push_bytes(registry, "acme/app", BLOB)
    assert not await push_bytes(registry, "acme/app", BLOB)
    assert await read(registry) == BLOB
