"""What the front makes of an upstream's answers, above all of odd ones. The upstream is a function; copies are in `tickets`."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from api.contract.agents import RegistryLogin
from api.registry.access import Access, Grant
from api.registry.app import create_registry
from api.registry.front import Front
from api.registry.manifests import MANIFEST_LIMIT, digest_of
from api.registry.storage import RegistryStorage
from api.registry.tokens import TokenSigner
from api.registry.upstream import Upstream

pytestmark = pytest.mark.anyio

HOST = "https://europe-west1-docker.pkg.dev"
BLOB = b"0123456789"
MANIFEST = json.dumps({"schemaVersion": 2, "layers": [{"digest": digest_of(BLOB)}]}).encode()
BASIC = "Basic " + base64.b64encode(b"oauth2accesstoken:ya29").decode()
CHALLENGE = {"WWW-Authenticate": f'Bearer realm="{HOST}/v2/token",service="docker.pkg.dev"'}

Answer = Callable[[httpx.Request], httpx.Response]


@dataclass
class World:
    """A front before a Google Artifact Registry whose answers to who has a token come from `answer`."""

    tmp_path: Path
    answer: Answer = lambda request: httpx.Response(404)
    challenge: dict[str, str] = field(default_factory=lambda: dict(CHALLENGE))
    asked: list[httpx.Request] = field(default_factory=list)
    logins: list[Access] = field(default_factory=list)

    def log_in(self, access: Access) -> RegistryLogin:
        self.logins.append(access)
        return RegistryLogin(username="oauth2accesstoken", password="ya29", expires_in=3600)

    async def upstream(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if request.url.path == "/v2/token":
            assert request.headers["authorization"] == BASIC
            return httpx.Response(200, json={"token": "registry-token", "expires_in": 300})
        if request.headers.get("authorization") != "Bearer registry-token":
            return httpx.Response(401, headers=self.challenge)
        return self.answer(request)

    async def get(self, path: str, *digests: str, **headers: str) -> httpx.Response:
        with RegistryStorage.open(self.tmp_path / "own") as storage:
            http = httpx.AsyncClient(transport=httpx.MockTransport(self.upstream))
            front = Front(Upstream(HOST, "my-project", self.log_in, http))
            signer = TokenSigner.open(self.tmp_path / "key.pem", issuer="ims")
            access = Access("shop/network", frozenset({"pull"}), frozenset(digests) or None)
            token = signer.issue(Grant("tkt_1", (access,)), service="ims").token
            app = create_registry(storage, signer, None, service="ims", front=front)  # type: ignore[arg-type]  # no logins here
            async with http, httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://ims.test") as client:
                return await client.get(f"/v2/shop/network/{path}", headers={"Authorization": f"Bearer {token}", **headers})


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["errors"][0]["code"]


async def test_the_registrys_prefix_and_a_token_of_its_own_are_used(world: World) -> None:
    world.answer = lambda request: httpx.Response(200, content=MANIFEST)
    answer = await world.get(f"manifests/{digest_of(MANIFEST)}", digest_of(MANIFEST))
    assert answer.content == MANIFEST
    first, token, last = world.asked
    assert {first.url.path, last.url.path} == {f"/v2/my-project/shop/network/manifests/{digest_of(MANIFEST)}"}
    assert "authorization" not in first.headers
    assert token.url.params["scope"] == "repository:my-project/shop/network:pull"
    assert world.logins == [Access("shop/network", frozenset({"pull"}))]
    assert "ya29" not in str(answer.headers)


async def test_a_redirect_of_googles_which_names_no_host_leads_there(world: World) -> None:
    """https://github.com/ahmetb/serverless-registry-proxy/issues/8: what is behind it needs no credential."""
    world.answer = lambda request: httpx.Response(302, headers={"Location": "/artifacts-downloads/namespaces/p/x?a=b%2Fc"})
    answer = await world.get(f"blobs/{digest_of(BLOB)}")
    assert answer.status_code == 307
    assert answer.headers["location"] == f"{HOST}/artifacts-downloads/namespaces/p/x?a=b%2Fc"
    assert answer.headers["cache-control"] == "no-store"
    assert len(world.asked) == 3  # nobody has gone there


@pytest.mark.parametrize(
    "to", ["http://storage.example/x", "https://user:password@storage.example/x", "", "ftp://x/y", "https://x/" + "y" * 70_000]
)
async def test_an_address_that_a_client_must_not_be_told_isnt_passed_on(world: World, to: str) -> None:
    world.answer = lambda request: httpx.Response(307, headers={"Location": to})
    answer = await world.get(f"blobs/{digest_of(BLOB)}")
    assert code(answer) == (502, "UNAVAILABLE")
    assert "location" not in answer.headers


@pytest.mark.parametrize("realm", ["https://evil.example/token", "http://europe-west1-docker.pkg.dev/v2/token"])
async def test_a_login_is_shown_to_the_registry_alone(world: World, realm: str) -> None:
    world.challenge = {"WWW-Authenticate": f'Bearer realm="{realm}",service="x"'}
    assert code(await world.get(f"blobs/{digest_of(BLOB)}")) == (502, "UNAVAILABLE")
    assert all("authorization" not in request.headers for request in world.asked)


async def test_a_registry_that_takes_no_login_of_ours_is_an_outage(world: World) -> None:
    world.answer = lambda request: httpx.Response(401, headers=CHALLENGE)
    assert code(await world.get(f"blobs/{digest_of(BLOB)}")) == (502, "UNAVAILABLE")
    assert len(world.logins) == 1


async def test_bytes_that_the_registry_sends_itself_are_passed_through(world: World) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.headers.get("range") == "bytes=4-":
            return httpx.Response(
                206, stream=httpx.ByteStream(BLOB[4:]), headers={"Content-Range": "bytes 4-9/10", "Set-Cookie": "x=y"}
            )
        return httpx.Response(416, headers={"Content-Range": "bytes */10"})

    world.answer = answer
    part = await world.get(f"blobs/{digest_of(BLOB)}", range="bytes=4-")
    assert (part.status_code, part.content, part.headers["content-range"]) == (206, BLOB[4:], "bytes 4-9/10")
    assert "set-cookie" not in part.headers
    assert (await world.get(f"blobs/{digest_of(BLOB)}", range="bytes=99-")).status_code == 416


@pytest.mark.parametrize("content", [MANIFEST + b" ", b"<html>", b"[]"])
async def test_a_manifest_with_another_digest_isnt_passed_on(world: World, content: bytes) -> None:
    world.answer = lambda request: httpx.Response(200, content=content)
    answer = await world.get(f"manifests/{digest_of(MANIFEST)}", digest_of(MANIFEST))
    assert code(answer) == (502, "UNAVAILABLE")
    assert answer.content != content


async def test_a_manifest_larger_than_any_is_not_read_to_its_end(world: World) -> None:
    world.answer = lambda request: httpx.Response(200, content=b" " * (MANIFEST_LIMIT + 1))
    assert code(await world.get("manifests/latest")) == (413, "SIZE_INVALID")


async def test_a_registry_that_cant_be_reached_is_an_outage(world: World) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route to host")

    world.answer = answer
    answered = await world.get("manifests/latest")
    assert code(answered) == (502, "UNAVAILABLE")
    assert "no route" in answered.text


async def test_links_to_the_next_page_lead_to_the_front(world: World) -> None:
    link = '</v2/my-project/shop/network/tags/list?last=b&n=2>; rel="next"'
    world.answer = lambda request: httpx.Response(200, json={"name": "x", "tags": ["a", "b"]}, headers={"Link": link})
    answer = await world.get("tags/list?n=2")
    assert answer.headers["link"] == '</v2/shop/network/tags/list?last=b&n=2>; rel="next"'
    assert world.asked[-1].url.query == b"n=2"
