"""Artifacts and registries that mean harm, or are merely odd: each is refused in words, or taken for what it is."""

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from artifacts import image, push_manifest
from registry_server import IMPATIENT, RegistryServer, sha256

from agent.oci import copy
from agent.oci.client import RegistryClient
from agent.oci.copy import copy_artifact, read_graph
from agent.oci.digest import tag_of
from agent.oci.errors import AccessRefusedError, BadAnswerError, RegistryError, TooManyPartsError
from agent.oci.manifest import IMAGE_INDEX, IMAGE_MANIFEST, Manifest
from agent.oci.reach import check_reach
from agent.oci.signature import sign, verify
from agent.oci.token import Credential
from agent.oci.vendor_key import VendorKey

pytestmark = pytest.mark.anyio

DIGEST = "sha256:" + "0" * 64


def index_of(*listed: dict[str, object]) -> dict[str, object]:
    return {"schemaVersion": 2, "mediaType": IMAGE_INDEX, "manifests": list(listed)}


@pytest.mark.service
async def test_an_index_in_an_index_a_thousand_times_is_refused(vendor: RegistryServer) -> None:
    """Such a one ended the copy in a RecursionError."""
    client = vendor.client()
    listed = await image(client, "acme/app")
    for _ in range(400):
        listed = await push_manifest(client, "acme/app", index_of(listed), IMAGE_INDEX)
    with pytest.raises(TooManyPartsError, match="deep") as refused:
        await read_graph(vendor.client(), "acme/app", listed["digest"])
    assert refused.value.failure.remedy


async def test_what_an_index_lists_a_thousand_times_is_asked_for_once(vendor: RegistryServer) -> None:
    listed = await image(vendor.client(), "acme/app")
    many = await push_manifest(vendor.client(), "acme/app", index_of(*[listed] * 1000), IMAGE_INDEX)
    client, asked = counting(vendor)
    graph = await read_graph(client, "acme/app", many["digest"])
    assert list(graph.manifests) == [listed["digest"], many["digest"]]
    assert sum(path.endswith(f"/manifests/{listed['digest']}") for path in asked) == 1


async def test_too_many_manifests_are_refused(vendor: RegistryServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copy, "MOST_MANIFESTS", 5)
    client = vendor.client()
    listed = [await image(client, "acme/app", bytes([number])) for number in range(6)]
    many = await push_manifest(client, "acme/app", index_of(*listed), IMAGE_INDEX)
    with pytest.raises(TooManyPartsError, match="more than 5 manifests"):
        await read_graph(client, "acme/app", many["digest"])


def counting(server: RegistryServer) -> tuple[RegistryClient, list[str]]:
    asked: list[str] = []

    async def note(request: httpx.Request) -> None:
        asked.append(request.url.path)

    server.http.event_hooks = {"request": [note]}
    return server.client(), asked


def answering(handle: Callable[[httpx.Request], httpx.Response]) -> RegistryClient:
    http = httpx.AsyncClient(transport=httpx.MockTransport(handle))
    return RegistryClient("https://8.8.8.8", Credential("me", "secret"), http, retry=IMPATIENT)


async def test_a_list_of_referrers_does_not_lead_inside() -> None:
    called: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        called.append(request.url.host)
        body = json.dumps({"schemaVersion": 2, "manifests": []})
        return httpx.Response(200, text=body, headers={"Link": '<https://10.0.0.1/admin>; rel="next"'})

    with pytest.raises(AccessRefusedError, match="private"):
        await answering(handle).referrers("acme/app", DIGEST)
    assert called == ["8.8.8.8"]


async def test_a_list_of_referrers_without_an_end_is_refused() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text='{"manifests": []}', headers={"Link": f'<{request.url}>; rel="next"'})

    with pytest.raises(BadAnswerError, match="pages"):
        await answering(handle).referrers("acme/app", DIGEST)


async def test_storage_that_asks_for_a_login_gets_none() -> None:
    """The address that a registry redirected to could name a token endpoint of its own, and got the credential there."""
    seen: list[tuple[str, str | None]] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append((request.url.host, request.headers.get("Authorization")))
        if request.url.host == "8.8.8.8":
            return httpx.Response(307, headers={"Location": "https://8.8.4.4/blob"})
        return httpx.Response(401, headers={"WWW-Authenticate": 'Bearer realm="https://1.1.1.1/token",service="x"'})

    with pytest.raises(RegistryError):
        await answering(handle).read_blob("acme/app", DIGEST, 1)
    assert [host for host, _ in seen] == ["8.8.8.8", "8.8.4.4"]
    assert not any(authorization for _, authorization in seen)


async def test_an_upload_address_that_asks_for_a_login_gets_none() -> None:
    seen: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.host)
        if request.url.host == "8.8.8.8":
            return httpx.Response(202, headers={"Location": "https://8.8.4.4/upload"})
        return httpx.Response(401, headers={"WWW-Authenticate": 'Bearer realm="https://1.1.1.1/token"'})

    client = answering(handle)
    upload = await client.start_upload("acme/app")
    with pytest.raises(RegistryError):
        await client.find_upload("acme/app", upload)
    assert seen == ["8.8.8.8", "8.8.4.4"]


@pytest.mark.parametrize(
    "to",
    [
        "http://[fd00:ec2::254]/latest/meta-data",
        "http://[fd20:ce::254]/computeMetadata",
        "http://168.63.129.16/machine",
        "http://100.100.100.200/latest",
        "http://[64:ff9b::a9fe:a9fe]/latest",
        "http://[::ffff:169.254.169.254]/latest",
    ],
)
async def test_every_clouds_metadata_is_refused_to_private_registries_too(to: str) -> None:
    with pytest.raises(AccessRefusedError, match="metadata"):
        await check_reach(httpx.URL("http://10.0.0.1"), httpx.URL(to), "the storage at")


async def test_nulls_that_programs_in_go_write_are_nothing() -> None:
    data = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": IMAGE_MANIFEST,
            "config": {"mediaType": "x", "digest": DIGEST, "size": 2, "annotations": None, "urls": None},
            "layers": None,
            "manifests": None,
            "annotations": None,
            "subject": None,
        }
    ).encode()
    body = Manifest(data, IMAGE_MANIFEST, sha256(data)).body()
    assert [blob.digest for blob in body.blobs] == [DIGEST]
    assert (body.manifests, body.annotations, body.subject) == ([], {}, None)


async def test_a_repeated_copy_leaves_our_own_signature_in_its_place(
    vendor: RegistryServer, target: RegistryServer, tmp_path: Path
) -> None:
    """The source's signatures took the place of ours until the build signed again: meanwhile every sync was refused."""
    theirs, ours = (VendorKey.load_or_create(tmp_path / name) for name in ("theirs", "ours"))
    artifact = await image(vendor.client(), "acme/app")
    ends = {"source_repository": "acme/app", "target_repository": "mirror/app", "digest": artifact["digest"]}
    await sign(vendor.client(), "acme/app", artifact["digest"], theirs, "vendor/acme/app")
    await copy_artifact(vendor.client(), target.client(), **ends)
    await sign(target.client(), "mirror/app", artifact["digest"], ours, "target/mirror/app")
    before = await target.client().manifest_digest("mirror/app", tag_of(artifact["digest"], ".sig"))

    await copy_artifact(vendor.client(), target.client(), **ends)

    assert await target.client().manifest_digest("mirror/app", tag_of(artifact["digest"], ".sig")) == before
    third = VendorKey.load_or_create(tmp_path / "third")
    await sign(vendor.client(), "acme/app", artifact["digest"], third, "vendor/acme/app")
    await copy_artifact(vendor.client(), target.client(), **ends)
    for key in (theirs, ours, third):
        await verify(target.client(), "mirror/app", artifact["digest"], (key.public_pem,))


async def test_signatures_that_the_source_has_more_of_arrive_byte_for_byte(
    vendor: RegistryServer, target: RegistryServer, tmp_path: Path
) -> None:
    artifact = await image(vendor.client(), "acme/app")
    ends = {"source_repository": "acme/app", "target_repository": "mirror/app", "digest": artifact["digest"]}
    for name in ("one", "two"):
        key = VendorKey.load_or_create(tmp_path / name)
        await sign(vendor.client(), "acme/app", artifact["digest"], key, "vendor/acme/app")
        await copy_artifact(vendor.client(), target.client(), **ends)
    tag = tag_of(artifact["digest"], ".sig")
    there = await target.client().get_manifest("mirror/app", tag)
    assert there.data == (await vendor.client().get_manifest("acme/app", tag)).data
