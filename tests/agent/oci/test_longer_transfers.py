"""A transfer that outlasts what it began with: tickets work once, tokens hold minutes, a cloud's login an hour."""

import base64
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from artifacts import image
from registry_server import IMPATIENT, RegistryServer, serve
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agent.install.registries import CustomerRegistry, EcrWriter
from agent.oci.client import RegistryClient
from agent.oci.copy import copy_artifact
from agent.oci.errors import AccessRefusedError, TicketRefusedError
from agent.oci.job_registry import registry_of
from agent.oci.token import Credential
from api.contract.agents import RegistryAccess

pytestmark = pytest.mark.anyio

DIGEST = "sha256:" + "0" * 64


async def copied(vendor: RegistryServer, customer: RegistryServer, source: RegistryClient) -> None:
    digest = (await image(vendor.client(), "acme/app", b"content"))["digest"]
    await copy_artifact(
        source, customer.client(), source_repository="acme/app", target_repository="mine/app", digest=digest, concurrency=1
    )
    assert (await customer.client().get_manifest("mine/app", digest)).digest == digest


async def test_a_copy_that_outlasts_its_tokens_asks_for_further_tickets(
    vendor: RegistryServer, customer: RegistryServer, http: httpx.AsyncClient
) -> None:
    """A thousand seconds go by with each look at the clock: no token is still good at the next request."""
    given = list[str]()

    async def renew() -> Credential:
        given.append(f"ticket-{len(given) + 2}")
        vendor.tickets.uses[given[-1]] = 1
        return Credential("tkt", given[-1])

    vendor.tickets.uses["ticket-1"] = 1
    first, clock = Credential("tkt", "ticket-1"), itertools.count(0, 1000)
    await copied(vendor, customer, RegistryClient(vendor.url, first, http, clock=lambda: next(clock), renew=renew))
    assert len(given) > 3
    assert set(vendor.tickets.uses.values()) == {0}


async def test_without_a_further_ticket_the_refusal_says_what_to_do(
    vendor: RegistryServer, customer: RegistryServer, http: httpx.AsyncClient
) -> None:
    """An IMS from before gives none: then the job fails, and its next attempt goes on with a ticket of its own."""

    async def none() -> None:
        return None

    vendor.tickets.uses["ticket-1"] = 1
    clock = itertools.count(0, 1000)
    source = RegistryClient(vendor.url, Credential("tkt", "ticket-1"), http, clock=lambda: next(clock), renew=none)
    with pytest.raises(TicketRefusedError, match="used already") as refused:
        await copied(vendor, customer, source)
    assert refused.value.failure.retryable
    assert refused.value.failure.remedy


async def test_of_another_ticket_only_the_ticket_is_taken(vendor: RegistryServer, http: httpx.AsyncClient) -> None:
    """Whatever else the IMS says now, the transfer goes on with the registry with which it began."""
    access = RegistryAccess(url=vendor.url, repository="acme/app", username="tkt", password="ticket-1")

    async def renew() -> RegistryAccess:
        vendor.tickets.uses["ticket-2"] = 1
        return RegistryAccess(url="https://elsewhere.test", prefix="x", repository="y", username="tkt", password="ticket-2")

    vendor.tickets.uses["ticket-1"] = 1
    client = registry_of(access, http, renew)
    assert not await client.has_blob("acme/app", DIGEST)
    client._authorizer._tokens.clear()
    assert not await client.has_blob("acme/app", DIGEST)
    assert vendor.tickets.uses == {"ticket-1": 0, "ticket-2": 0}


@dataclass
class Ecr:
    """A stand-in for ECR's challenges (Basic, as documented) and for GetAuthorizationToken: a password takes so many requests.

    Whatever AWS says of how long it holds: the session behind it may end before.
    """

    lasts: int
    number: int = 0
    taken: int = 0
    refused: int = 0
    made: list[str] = field(default_factory=list)

    async def answer(self, request: Request) -> Response:
        expected = "Basic " + base64.b64encode(f"AWS:secret-{self.number}".encode()).decode()
        if request.headers.get("authorization") != expected or self.taken >= self.lasts:
            self.refused += 1
            return Response(status_code=401, headers={"WWW-Authenticate": 'Basic realm="ecr"'})
        self.taken += 1
        return Response(status_code=404)

    def credential(self) -> tuple[Credential, datetime]:
        self.number, self.taken = self.number + 1, 0
        return Credential("AWS", f"secret-{self.number}"), datetime.now(UTC) + timedelta(hours=12)

    def make_repository(self, name: str) -> None:
        self.made.append(name)


@asynccontextmanager
async def at_ecr(ecr: Ecr, http: httpx.AsyncClient) -> AsyncIterator[RegistryClient]:
    writer = EcrWriter(kind="aws_ecr", url="https://123456789012.dkr.ecr.eu-west-1.amazonaws.com")
    async with serve(Starlette(routes=[Route("/v2/{rest:path}", ecr.answer, methods=["HEAD"])])) as url:
        local = writer.model_copy(update={"url": url})  # its own is nowhere here
        yield await CustomerRegistry(local, http, ecr).client(IMPATIENT)


async def test_a_clouds_login_that_ends_in_mid_transfer_is_renewed(http: httpx.AsyncClient, tmp_path: Path) -> None:
    ecr = Ecr(lasts=3)
    async with at_ecr(ecr, http) as client:
        for _ in range(10):
            assert not await client.has_blob("mine/app", DIGEST)
    assert ecr.number == 4
    assert ecr.refused == 4  # the first one asks for a challenge


async def test_a_login_that_is_refused_from_the_first_is_not_asked_for_again_and_again(
    http: httpx.AsyncClient, tmp_path: Path
) -> None:
    ecr = Ecr(lasts=0)
    async with at_ecr(ecr, http) as client:
        for asked in (1, 2):
            with pytest.raises(AccessRefusedError):
                await client.has_blob("mine/app", DIGEST)
            assert ecr.number == asked
