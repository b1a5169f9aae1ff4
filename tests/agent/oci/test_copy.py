"""`digest-pinned`: what is copied arrives byte for byte, or not at all."""

import asyncio
import contextlib
import hashlib
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from artifacts import SHAPES, blob, image, index, push_manifest
from registry_server import IMPATIENT, WRITER, RegistryServer, serve

from agent.oci.client import RegistryClient
from agent.oci.copy import CopyReport, copy_artifact
from agent.oci.digest import tag_of
from agent.oci.errors import (
    AccessRefusedError,
    DigestMismatchError,
    NotFoundError,
    RegistryUnavailableError,
    TicketRefusedError,
)
from agent.oci.manifest import IMAGE_INDEX, Manifest
from agent.oci.retry import RetryPolicy

pytestmark = pytest.mark.anyio


async def copy(source: RegistryClient, target: RegistryClient, digest: str, tag: str | None = None) -> CopyReport:
    return await copy_artifact(
        source, target, source_repository="acme/app", target_repository="mirror/app", digest=digest, tag=tag
    )


async def contents(client: RegistryClient, repository: str, digest: str) -> dict[str, bytes]:
    """Everything that the artifact is made of, read back with all digests checked."""
    manifest: Manifest = await client.get_manifest(repository, digest)
    body = manifest.body()
    found = {digest: manifest.data}
    for listed in body.blobs:
        found[listed.digest] = await client.read_blob(repository, listed.digest, listed.size)
    for child in body.manifests:
        found |= await contents(client, repository, child.digest)
    return found


@pytest.mark.parametrize("shape", SHAPES)
async def test_an_artifact_arrives_byte_for_byte(shape: str, vendor: RegistryServer, target: RegistryServer) -> None:
    artifact = await SHAPES[shape](vendor.client(), "acme/app")

    report = await copy(vendor.client(), target.client(), artifact["digest"], tag="v1")

    here, there = vendor.client(), target.client()
    arrived = await contents(there, "mirror/app", artifact["digest"])
    assert arrived == await contents(here, "acme/app", artifact["digest"])
    assert (await there.get_manifest("mirror/app", "v1")).digest == artifact["digest"]
    assert (await there.get_manifest("mirror/app", "v1")).media_type == artifact["mediaType"]
    assert report == CopyReport(copied_bytes=sum(map(len, arrived.values())), skipped_bytes=report.skipped_bytes)


async def test_an_artifact_leaves_docker_registry_byte_for_byte(debian: RegistryServer, customer: RegistryServer) -> None:
    artifact = await index(debian.client(), "acme/app")
    await copy(debian.client(), customer.client(), artifact["digest"])
    assert await contents(customer.client(), "mirror/app", artifact["digest"])


async def test_what_is_there_is_not_sent_again(vendor: RegistryServer, customer: RegistryServer) -> None:
    artifact = await index(vendor.client(), "acme/app")
    first = await copy(vendor.client(), customer.client(), artifact["digest"])
    second = await copy(vendor.client(), customer.client(), artifact["digest"])
    assert (second.copied_bytes, second.skipped_bytes) == (0, first.copied_bytes)


async def test_a_changed_byte_is_refused_and_nothing_of_it_arrives(vendor: RegistryServer, customer: RegistryServer) -> None:
    content = bytes(range(256)) * 10_000
    artifact = await image(vendor.client(), "acme/app", content)
    manifest = await vendor.client().get_manifest("acme/app", artifact["digest"])
    layer = manifest.body().layers[0]
    vendor.tamper(layer.digest)

    with pytest.raises(DigestMismatchError) as refused:
        await copy(vendor.client(), customer.client(), artifact["digest"])

    assert layer.digest in refused.value.failure.message
    target = customer.client()
    assert not await target.has_blob("mirror/app", layer.digest)
    assert await target.manifest_digest("mirror/app", artifact["digest"]) is None
    large = [path for path in customer.folder.rglob("*") if path.is_file() and path.stat().st_size > 1_000_000]
    assert [path for path in large if path.parent.name != "scratch"] == []


async def test_a_changed_manifest_is_refused(vendor: RegistryServer, customer: RegistryServer) -> None:
    artifact = await image(vendor.client(), "acme/app")
    vendor.tamper(artifact["digest"])
    with pytest.raises(DigestMismatchError):
        await copy(vendor.client(), customer.client(), artifact["digest"])
    assert await customer.client().manifest_digest("mirror/app", artifact["digest"]) is None


async def test_a_ticket_that_works_once_is_enough_for_a_whole_copy(vendor: RegistryServer, customer: RegistryServer) -> None:
    artifact = await index(vendor.client(), "acme/app")
    ticket = vendor.ticket(digests=frozenset({artifact["digest"]}))
    vendor.tickets.asked.clear()

    await copy(vendor.client(ticket), customer.client(), artifact["digest"])

    assert [username for username, _ in vendor.tickets.asked] == ["ticket"]
    assert len(customer.tickets.asked) == 1


async def test_a_ticket_used_twice_is_refused(vendor: RegistryServer, customer: RegistryServer) -> None:
    artifact = await image(vendor.client(), "acme/app")
    ticket = vendor.ticket()
    await copy(vendor.client(ticket), customer.client(), artifact["digest"])
    with pytest.raises(TicketRefusedError, match="used already"):
        await copy(vendor.client(ticket), customer.client(), artifact["digest"])


async def test_a_ticket_opens_no_other_artifact(vendor: RegistryServer, customer: RegistryServer) -> None:
    artifact = await image(vendor.client(), "acme/app", b"one")
    other = await image(vendor.client(), "acme/app", b"two")
    ticket = vendor.ticket(digests=frozenset({artifact["digest"]}))
    with pytest.raises(AccessRefusedError):
        await copy(vendor.client(ticket), customer.client(), other["digest"])


async def test_a_ticket_is_not_for_pushing(vendor: RegistryServer) -> None:
    client = vendor.client(vendor.ticket())
    with pytest.raises(AccessRefusedError):
        await image(client, "acme/app")


async def test_a_missing_artifact_is_named(vendor: RegistryServer, customer: RegistryServer) -> None:
    with pytest.raises(NotFoundError, match="sha256:0000") as refused:
        await copy(vendor.client(), customer.client(), "sha256:" + "0" * 64)
    assert refused.value.failure.code == "artifact_not_found"


async def test_signature_tags_and_referrers_travel_along(vendor: RegistryServer, target: RegistryServer) -> None:
    client = vendor.client()
    artifact = await image(client, "acme/app", b"artifact")
    tags = {tag_of(artifact["digest"], suffix): suffix.encode() for suffix in (".sig", ".att", ".sbom")}
    for tag, content in tags.items():
        attached = await image(client, "acme/app", content)
        manifest = await client.get_manifest("acme/app", attached["digest"])
        await client.put_manifest("acme/app", tag, manifest.data, manifest.media_type)
    sbom = await image(client, "acme/app", b"sbom", subject=artifact, artifactType="application/spdx+json")
    of_sbom = await image(client, "acme/app", b"signature of the sbom", subject=sbom)

    await copy(vendor.client(), target.client(), artifact["digest"])

    there = target.client()
    for tag in tags:
        assert await there.manifest_digest("mirror/app", tag) == await client.manifest_digest("acme/app", tag)
    assert [each.digest for each in (await there.referrers("mirror/app", artifact["digest"])).descriptors] == [sbom["digest"]]
    assert [each.digest for each in (await there.referrers("mirror/app", sbom["digest"])).descriptors] == [of_sbom["digest"]]
    assert await contents(there, "mirror/app", sbom["digest"])


async def test_referrers_are_added_to_those_that_the_target_has(vendor: RegistryServer, debian: RegistryServer) -> None:
    client = vendor.client()
    artifact = await image(client, "acme/app", b"artifact")
    first = await image(client, "acme/app", b"first", subject=artifact)
    await copy(vendor.client(), debian.client(), artifact["digest"])
    second = await image(client, "acme/app", b"second", subject=artifact)
    await copy(vendor.client(), debian.client(), artifact["digest"])
    found = await debian.client().referrers("mirror/app", artifact["digest"])
    assert {each.digest for each in found.descriptors} == {first["digest"], second["digest"]}


async def test_within_one_registry_blobs_are_mounted(vendor: RegistryServer) -> None:
    artifact = await image(vendor.client(), "acme/app", b"x" * 100_000)
    client = vendor.client()
    report = await copy(client, client, artifact["digest"])
    assert report.skipped_bytes == 100_002
    assert await contents(client, "mirror/app", artifact["digest"])


async def test_progress_ends_at_the_total(vendor: RegistryServer, customer: RegistryServer) -> None:
    artifact = await image(vendor.client(), "acme/app", b"x" * 500_000)
    seen: list[tuple[int, int]] = []
    await copy_artifact(
        vendor.client(),
        customer.client(),
        source_repository="acme/app",
        target_repository="mirror/app",
        digest=artifact["digest"],
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen[-1] == (500_002, 500_002)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


async def test_an_index_may_list_a_blob(vendor: RegistryServer, customer: RegistryServer) -> None:
    client = vendor.client()
    cache = await blob(client, "acme/app", b"a layer", "application/vnd.acme.cache")
    document = {"schemaVersion": 2, "mediaType": IMAGE_INDEX, "manifests": [cache, await image(client, "acme/app")]}
    top = await push_manifest(client, "acme/app", document, IMAGE_INDEX)
    await copy(client, customer.client(), top["digest"])
    assert await customer.client().read_blob("mirror/app", cache["digest"], cache["size"]) == b"a layer"


async def test_a_source_that_breaks_off_is_tried_again(
    vendor: RegistryServer, customer: RegistryServer, http: httpx.AsyncClient
) -> None:
    artifact = await image(vendor.client(), "acme/app", b"x" * 300_000)
    broken: list[str] = []

    async def breaking(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        """Passes requests on; the first answer for each layer ends after half of its bytes."""
        headers = {k.decode(): v.decode() for k, v in scope["headers"] if k != b"host"}
        path = scope["path"] + ("?" + scope["query_string"].decode() if scope["query_string"] else "")
        answer = await http.request(scope["method"], vendor.url + path, headers=headers)
        body = answer.content
        passed = [(k.encode(), v.encode()) for k, v in answer.headers.items()]
        await send({"type": "http.response.start", "status": answer.status_code, "headers": passed})
        if len(body) > 100_000 and path not in broken:
            broken.append(path)
            await send({"type": "http.response.body", "body": body[:100_000], "more_body": True})
            raise ConnectionError
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async with serve(breaking) as url:
        source = RegistryClient(url, WRITER, http, retry=IMPATIENT)
        report = await copy(source, customer.client(), artifact["digest"])
    assert len(broken) == 1
    assert report.copied_bytes > 300_000
    assert await contents(customer.client(), "mirror/app", artifact["digest"])


async def test_a_target_that_is_down_is_named_with_a_remedy(vendor: RegistryServer, http: httpx.AsyncClient) -> None:
    artifact = await image(vendor.client(), "acme/app")
    target = RegistryClient("http://127.0.0.1:1", None, http, retry=IMPATIENT)
    with pytest.raises(RegistryUnavailableError, match=r"127\.0\.0\.1:1") as refused:
        await copy(vendor.client(), target, artifact["digest"])
    assert refused.value.failure.retryable
    assert refused.value.failure.remedy


@asynccontextmanager
async def cutting(url: str, after: int) -> AsyncIterator[tuple[str, list[int]]]:
    """A way to `url` that breaks once, when a connection has brought `after` bytes; and how many each connection brought."""
    host, port = url.removeprefix("http://").split(":")
    brought: list[int] = []
    cut: list[bool] = []

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int | None) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                if number is not None:
                    brought[number] += len(data)
                    if brought[number] > after and not cut:
                        cut.append(True)
                        break
                writer.write(data)
                await writer.drain()
        writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, int(port))
        brought.append(0)
        answers = asyncio.create_task(pass_on(there, writer, None))
        await pass_on(reader, back, len(brought) - 1)
        writer.close()
        await answers

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", brought


async def test_an_upload_that_breaks_off_goes_on_where_it_was(vendor: RegistryServer, customer: RegistryServer) -> None:
    content = hashlib.shake_128(b"seed").digest(40_000_000)
    artifact = await image(vendor.client(), "acme/app", content)
    async with cutting(customer.url, after=25_000_000) as (url, brought):
        there = RegistryClient(url, WRITER, customer.http, retry=RetryPolicy(first_wait=0.2))
        await copy(vendor.client(), there, artifact["digest"])
    assert await contents(customer.client(), "mirror/app", artifact["digest"])
    assert sum(brought) < 60_000_000, "all of it again would be 65 million bytes"


async def test_an_upload_to_docker_registry_that_breaks_off_arrives(vendor: RegistryServer, debian: RegistryServer) -> None:
    """It keeps nothing of a PUT that was cut off, so the blob begins again."""
    content = hashlib.shake_128(b"seed").digest(8_000_000)
    artifact = await image(vendor.client(), "acme/app", content)
    async with cutting(debian.url, after=5_000_000) as (url, _):
        there = RegistryClient(url, WRITER, debian.http, retry=RetryPolicy(first_wait=0.2))
        await copy(vendor.client(), there, artifact["digest"])
    assert await contents(debian.client(), "mirror/app", artifact["digest"])


def test_a_copy_loads_nothing_that_judges_signatures_and_no_models() -> None:
    """It brings them along, and whoever runs one checks them; cryptography is a fifth of its memory, pydantic a quarter."""
    program = "import sys, agent.oci.copy; sys.exit(bool({'cryptography', 'pydantic', 'api'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[3]).returncode == 0
