"""A job's ticket for a registry that takes no tokens of others: it buys a login of that registry, once for each job."""

import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from private_registry import private_registry
from registry_server import RegistryServer, serve
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from agent.oci.client import RegistryClient
from agent.oci.digest import digest_of
from agent.oci.errors import RegistryError, TicketRefusedError
from agent.oci.job_registry import registry_of
from agent.oci.push import push_bytes
from agent.oci.token import Credential, LoginTicket
from api.contract.agents import RegistryAccess

pytestmark = pytest.mark.anyio

BLOB = b"content"
TICKET = "Basic " + base64.b64encode(b"tkt_1:ticket").decode()


@dataclass
class Desk:
    """The IMS's endpoint for logins: a ticket is good for `uses` of them."""

    registry: RegistryServer
    url: str = ""
    uses: int = 1
    seconds: int = 3600
    asked: list[list[str]] = field(default_factory=list)

    async def answer(self, request: Request) -> Response:
        self.asked.append(request.query_params.getlist("scope"))
        if request.headers["authorization"] != TICKET or len(self.asked) > self.uses:
            return JSONResponse({"errors": [{"code": "UNAUTHORIZED", "message": "it was used already"}]}, 401)
        return JSONResponse({"username": "AWS", "password": "secret", "expires_in": self.seconds, "later": "more"})

    def access(self) -> RegistryAccess:
        return RegistryAccess(
            url=self.registry.url, repository="acme/app", username="tkt_1", password="ticket", login_url=self.url
        )


@pytest.fixture
async def desk(tmp_path: Path, http: httpx.AsyncClient) -> AsyncIterator[Desk]:
    async with private_registry(tmp_path / "private", http) as registry:
        desk = Desk(registry)
        async with serve(Starlette(routes=[Route("/token/login", desk.answer)])) as url:
            desk.url = f"{url}/token/login"
            yield desk


async def test_one_login_serves_a_whole_job(desk: Desk, http: httpx.AsyncClient) -> None:
    client = registry_of(desk.access(), http)
    client.will_push("acme/app")
    await push_bytes(client, "acme/app", BLOB)
    assert await client.read_blob("acme/app", digest_of(BLOB), len(BLOB)) == BLOB
    assert desk.asked == [["repository:acme/app:pull,push"]]


async def test_a_ticket_that_is_used_up_is_a_refusal_that_says_so(desk: Desk, http: httpx.AsyncClient) -> None:
    await registry_of(desk.access(), http).has_blob("acme/app", digest_of(BLOB))
    assert desk.asked == [["repository:acme/app:pull"]]
    with pytest.raises(TicketRefusedError, match=r"endpoint for logins.*used already") as refused:
        await registry_of(desk.access(), http).has_blob("acme/app", digest_of(BLOB))
    assert "ticket" not in refused.value.failure.message.replace("ticket_refused", "")


async def test_a_login_that_ends_is_bought_again(desk: Desk, http: httpx.AsyncClient) -> None:
    desk.uses = 2
    now = 0.0
    ticket = LoginTicket(desk.url, Credential("tkt_1", "ticket"))
    client = RegistryClient(desk.registry.url, ticket, http, clock=lambda: now)
    for now in (0.0, 3500.0, 3595.0):  # noqa: B007 - the clock reads it
        await client.has_blob("acme/app", digest_of(BLOB))
    assert len(desk.asked) == 2


async def test_the_ticket_itself_is_never_shown_to_the_registry(desk: Desk, http: httpx.AsyncClient) -> None:
    seen: list[str | None] = []

    async def answer(request: Request) -> Response:
        seen.append(request.headers.get("authorization"))
        return Response(status_code=401, headers={"WWW-Authenticate": 'Basic realm="ecr"'})

    async with serve(Starlette(routes=[Route("/v2/{rest:path}", answer)])) as url:
        access = desk.access().model_copy(update={"url": url})
        with pytest.raises(RegistryError):
            await registry_of(access, http).has_blob("acme/app", digest_of(BLOB))
    assert seen[0] is None
    assert TICKET not in seen
