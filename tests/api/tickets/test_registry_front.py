"""The IMS before Amazon ECR: one-time tickets for exactly what they are for, and no login of ECR for anybody."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from ecr_data import EcrData
from fake_vendor_ecr import ACCOUNT, ROLE, FakeVendorEcr
from registry_server import RegistryServer, Tickets, built_in_registry, debian_registry, serve

from agent.oci.client import RegistryClient
from agent.oci.copy import copy_artifact
from agent.oci.digest import digest_of
from agent.oci.manifest import IMAGE_MANIFEST
from agent.oci.push import push_bytes
from api.contract.agents import AGENT_REPOSITORY
from api.registry.access import Access, Grant
from api.registry.app import create_registry
from api.registry.front import Front
from api.registry.storage import RegistryStorage
from api.registry.tokens import TokenSigner
from api.registry.upstream import Upstream
from api.tickets.ecr import EcrLogins

pytestmark = pytest.mark.anyio

URL = f"https://{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com"
REPOSITORY = "shop/network"
PULL = frozenset({"pull"})


@dataclass
class Time:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class World:
    """ECR with two artifacts in one repository, and an IMS before it. `wanted` is signed, and has a referrer."""

    ecr: FakeVendorEcr
    data: EcrData
    front: RegistryServer
    signer: TokenSigner
    time: Time
    wanted: str
    signature: str
    referrer: str
    other: str

    def bearer(self, *digests: str, repository: str = REPOSITORY) -> dict[str, str]:
        """The token that a ticket for these digests buys; without any, that of a service."""
        access = Access(repository, PULL, frozenset(digests) or None)
        return {"Authorization": f"Bearer {self.signer.issue(Grant('tkt_1', (access,)), service='ims').token}"}

    async def get(self, path: str, *digests: str, **more: Any) -> httpx.Response:
        headers = {**self.bearer(*(digests or (self.wanted,))), **more.pop("headers", {})}
        return await self.front.http.get(f"{self.front.url}/v2/{path}", headers=headers, **more)


def blob_of(text: str) -> bytes:
    return text.encode() * 1000


def manifest_of(text: str, **more: Any) -> bytes:
    blob = blob_of(text)
    config = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest_of(b"{}"), "size": 2}
    layers = [{"mediaType": "application/octet-stream", "digest": digest_of(blob), "size": len(blob)}]
    return json.dumps({"schemaVersion": 2, "mediaType": IMAGE_MANIFEST, "config": config, "layers": layers, **more}).encode()


async def put(client: RegistryClient, text: str, tag: str = "", **more: Any) -> str:
    manifest = manifest_of(text, **more)
    for content in (b"{}", blob_of(text)):
        await push_bytes(client, REPOSITORY, content)
    await client.put_manifest(REPOSITORY, tag or digest_of(manifest), manifest, IMAGE_MANIFEST)
    return digest_of(manifest)


def tag_of(digest: str, suffix: str = "") -> str:
    return digest.replace(":", "-") + suffix


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client


@pytest.fixture
async def world(tmp_path: Path, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    ecr, time = FakeVendorEcr(), Time()
    (tmp_path / "debian").mkdir()
    async with debian_registry(tmp_path / "debian", http) as behind, serve(ecr.app()) as aws:
        for name, value in {"ENDPOINT_URL": aws, "ACCESS_KEY_ID": "AKIAIMS", "SECRET_ACCESS_KEY": "s"}.items():
            monkeypatch.setenv(f"AWS_{name}", value)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        pusher = behind.client(None)
        wanted, other = await put(pusher, "wanted", "v1"), await put(pusher, "other", "v2")
        signature = await put(pusher, "signature", tag_of(wanted, ".sig"))
        subject = {"mediaType": IMAGE_MANIFEST, "digest": wanted, "size": len(manifest_of("wanted"))}
        referrer = await put(pusher, "sbom", subject=subject)
        index = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [{"mediaType": IMAGE_MANIFEST, "digest": referrer, "size": len(manifest_of("sbom", subject=subject))}],
        }
        await pusher.put_manifest(REPOSITORY, tag_of(wanted), json.dumps(index).encode(), str(index["mediaType"]))
        data = EcrData(ecr, behind.url, http)
        async with serve(data.registry()) as upstream_url, serve(data.s3()) as data.storage:
            logins = EcrLogins(URL, ROLE)
            upstream = Upstream(upstream_url, "", lambda access: logins.login("front", access), http, time)
            with RegistryStorage.open(tmp_path / "own") as storage:
                signer, tickets = TokenSigner.open(tmp_path / "key.pem", issuer="ims"), Tickets()
                front = Front(upstream, own=frozenset({AGENT_REPOSITORY}), clock=time)
                app = create_registry(storage, signer, tickets, service="ims", front=front)
                async with serve(app) as url:
                    server = RegistryServer(url, http, tmp_path / "own", tickets)
                    yield World(ecr, data, server, signer, time, wanted, signature, referrer, other)


async def test_a_ticket_brings_an_artifact_with_all_that_belongs_to_it_through_the_front(
    world: World, tmp_path: Path, http: httpx.AsyncClient
) -> None:
    ticket = world.front.ticket(digests=frozenset({world.wanted}))
    (tmp_path / "customer").mkdir()
    async with built_in_registry(tmp_path / "customer", http) as customer:
        await copy_artifact(
            world.front.client(ticket),
            customer.client(),
            source_repository=REPOSITORY,
            target_repository=REPOSITORY,
            digest=world.wanted,
        )
        there = customer.client()
        assert await there.manifest_digest(REPOSITORY, tag_of(world.wanted, ".sig")) == world.signature
        assert [each.digest for each in (await there.referrers(REPOSITORY, world.wanted)).descriptors] == [world.referrer]
        for text in ("wanted", "signature", "sbom"):
            assert await there.read_blob(REPOSITORY, digest_of(blob_of(text)), len(blob_of(text))) == blob_of(text)
        assert await there.find_manifest(REPOSITORY, world.other) is None
    assert len([scopes for _, scopes in world.front.tickets.asked if scopes]) == 1
    assert len(world.data.fetched) == 4  # three layers and the config that they share
    assert not any("authorization" in headers for headers in world.data.fetched)
    (session,) = world.ecr.sessions
    assert session.name == "exclave-front"
    assert [each["Resource"] for each in session.policy["Statement"]][1:] == [
        f"arn:aws:ecr:eu-west-1:{ACCOUNT}:repository/{REPOSITORY}"
    ]


async def test_no_answer_has_a_login_of_the_registry(world: World) -> None:
    blob = digest_of(blob_of("wanted"))
    for path in (f"manifests/{world.wanted}", f"blobs/{blob}", f"referrers/{world.wanted}"):
        answer = await world.get(f"{REPOSITORY}/{path}")
        assert answer.status_code in (200, 307, 404)
        said = f"{answer.headers} {answer.text}"
        assert "password-" not in said
        assert not any(shown.removeprefix("Basic ") in said for shown in world.data.shown)
    assert len(world.data.shown) == 1
    assert (await world.get(f"{REPOSITORY}/blobs/{blob}")).headers["location"].startswith(f"{world.data.storage}/bucket/")


async def test_a_replayed_ticket_buys_nothing_and_the_registry_isnt_asked(world: World) -> None:
    ticket = world.front.ticket(digests=frozenset({world.wanted}))
    answers = [
        await world.front.http.get(
            f"{world.front.url}/token",
            params={"scope": f"repository:{REPOSITORY}:pull"},
            headers={"Authorization": ticket.basic},
        )
        for _ in range(2)
    ]
    assert [each.status_code for each in answers] == [200, 401]
    assert world.data.asked == []


async def test_a_foreign_repository_is_refused_and_the_registry_isnt_asked(world: World) -> None:
    for path in ("manifests/v1", f"blobs/{digest_of(b'{}')}", f"referrers/{world.wanted}", "tags/list"):
        assert (await world.get(f"shop/service/{path}")).status_code == 401
    assert (await world.front.http.get(f"{world.front.url}/v2/{REPOSITORY}/manifests/{world.wanted}")).status_code == 401
    assert world.data.asked == []


async def test_another_digest_of_the_same_repository_is_refused(world: World) -> None:
    other_blob = digest_of(blob_of("other"))
    for path in (
        f"manifests/{world.other}",
        "manifests/v1",
        "manifests/v2",
        f"manifests/{tag_of(world.other, '.sig')}",
        f"blobs/{other_blob}",
        f"referrers/{world.other}",
        "tags/list",
    ):
        answer = await world.get(f"{REPOSITORY}/{path}")
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (403, "DENIED"), path
    assert ("GET", f"{REPOSITORY}/blobs/{other_blob}") not in world.data.asked
    # The registry was looked through once for all of these, and is again a minute later.
    asked = len(world.data.asked)
    await world.get(f"{REPOSITORY}/blobs/{other_blob}")
    assert len(world.data.asked) == asked
    world.time.now += 61
    await world.get(f"{REPOSITORY}/blobs/{other_blob}")
    assert len(world.data.asked) > asked


async def test_what_a_caller_learnt_at_another_replica_it_gets_here(world: World) -> None:
    for text in ("wanted", "signature", "sbom"):
        answer = await world.get(f"{REPOSITORY}/blobs/{digest_of(blob_of(text))}")
        assert answer.status_code == 307
    assert (await world.get(f"{REPOSITORY}/manifests/{world.referrer}")).status_code == 200


@pytest.mark.parametrize("status", [500, 503])
async def test_a_registry_that_fails_is_named_and_asked_again_later(world: World, status: int) -> None:
    world.data.fails = status
    for path in (f"manifests/{world.wanted}", f"blobs/{digest_of(blob_of('wanted'))}", f"referrers/{world.wanted}"):
        answer = await world.get(f"{REPOSITORY}/{path}")
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (502, "UNAVAILABLE")
        assert str(status) in answer.text
        assert "an error of ours" not in answer.text
    world.data.fails = 0
    assert (await world.get(f"{REPOSITORY}/manifests/{world.wanted}")).status_code == 200
    assert (await world.get(f"{REPOSITORY}/blobs/{digest_of(blob_of('wanted'))}")).status_code == 307


async def test_a_busy_registry_is_left_alone_for_as_long_as_the_client_is_told(world: World) -> None:
    world.data.fails = 429
    answer = await world.get(f"{REPOSITORY}/manifests/{world.wanted}")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (429, "TOOMANYREQUESTS")


async def test_an_account_that_gives_no_login_is_an_outage_and_no_refusal_of_the_client(world: World) -> None:
    world.ecr.down = True
    answer = await world.get(f"{REPOSITORY}/manifests/{world.wanted}")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (502, "UNAVAILABLE")
    world.ecr.down = False
    assert (await world.get(f"{REPOSITORY}/manifests/{world.wanted}")).content == manifest_of("wanted")


async def test_a_login_is_kept_until_shortly_before_it_ends(world: World) -> None:
    for world.time.now in (0.0, 3500.0, 3545.0):
        assert (await world.get(f"{REPOSITORY}/manifests/{world.wanted}")).status_code == 200
    assert len(world.ecr.sessions) == 2


async def test_what_isnt_there_is_unknown(world: World) -> None:
    assert (await world.get(f"{REPOSITORY}/manifests/{tag_of(world.wanted, '.att')}")).status_code == 404
    missing = "sha256:" + "0" * 64
    answer = await world.get(f"{REPOSITORY}/manifests/{missing}", missing)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (404, "MANIFEST_UNKNOWN")


async def test_a_service_token_reads_the_whole_repository(world: World) -> None:
    headers = world.bearer()
    listed = await world.get(f"{REPOSITORY}/tags/list", headers=headers, params={"n": "2"})
    assert set(listed.json()["tags"]) >= {tag_of(world.wanted)}
    assert (await world.get(f"{REPOSITORY}/manifests/v2", headers=headers)).content == manifest_of("other")
    assert (await world.get(f"{REPOSITORY}/blobs/{digest_of(blob_of('other'))}", headers=headers)).status_code == 307


async def test_the_versions_of_the_agent_are_the_imss_own(world: World) -> None:
    headers = world.bearer(repository=AGENT_REPOSITORY)
    assert (await world.get(f"{AGENT_REPOSITORY}/manifests/v1", headers=headers)).status_code == 404
    assert world.data.asked == []


async def test_head_says_how_large_a_blob_is(world: World) -> None:
    head = await world.front.http.head(
        f"{world.front.url}/v2/{REPOSITORY}/blobs/{digest_of(blob_of('wanted'))}", headers=world.bearer(world.wanted)
    )
    assert (head.status_code, int(head.headers["content-length"])) == (200, len(blob_of("wanted")))


async def test_nothing_is_written_through_the_front(world: World) -> None:
    """A push goes to the registry itself; what is pushed to the IMS stays in the IMS, and no reader of the front sees it."""
    for method, path in (("PUT", "manifests/v1"), ("DELETE", f"blobs/{digest_of(b'{}')}"), ("POST", "blobs/uploads/")):
        answer = await world.front.http.request(
            method, f"{world.front.url}/v2/{REPOSITORY}/{path}", headers=world.bearer(world.wanted)
        )
        assert answer.status_code == 401
    assert world.data.asked == []
