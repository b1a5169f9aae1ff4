"""The job `sync`: whatever isn't what the vendor signed never gets into the customer's registry."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from artifacts import image
from registry_server import RegistryServer, serve

from agent.cancellation import Cancellation
from agent.failure import JobFailedError
from agent.install.approvals import Approvals
from agent.install.registries import CustomerRegistry, RegistryWriter
from agent.install.site import Site
from agent.install.sync import sync
from agent.install.workspace import Components
from agent.job import JobContext
from agent.oci.digest import tag_of
from agent.oci.errors import AccessRefusedError, BadAnswerError, DigestMismatchError, NotFoundError, TicketRefusedError
from agent.oci.signature import SignatureError, sign, verify
from agent.oci.token import Credential
from agent.oci.vendor_key import VendorKey
from agent.redaction import Redactor
from api.contract.agents import RegistryAccess, SyncJob, SyncResult

pytestmark = pytest.mark.anyio

CONTENT = bytes(range(256)) * 4096


@pytest.fixture
def key(tmp_path: Path) -> VendorKey:
    return VendorKey.load_or_create(tmp_path / "vendor.key")


@pytest.fixture
def other_key(tmp_path: Path) -> VendorKey:
    return VendorKey.load_or_create(tmp_path / "other.key")


async def artifact(vendor: RegistryServer, key: VendorKey | None, content: bytes = CONTENT) -> str:
    digest: str = (await image(vendor.client(), "acme/app", content))["digest"]
    if key:
        await sign(vendor.client(), "acme/app", digest, key, "vendor.test/acme/app")
    return digest


async def run(
    vendor: RegistryServer,
    customer: RegistryServer,
    key: VendorKey,
    digest: str,
    http: httpx.AsyncClient,
    tmp_path: Path,
    *,
    ticket: Credential | None = None,
    url: str | None = None,
) -> SyncResult:
    ticket = ticket or vendor.ticket(digests=frozenset({digest}))
    writer = RegistryWriter(url=customer.url, username="writer", password="secret", prefix="mirror")
    site = Site(
        install_id="ins_1",
        app_name="shop",
        components=Components(tmp_path / "home"),
        registry=CustomerRegistry(writer, http),
        vendor_keys=(key.public_pem,),
        engine=None,
        env={},
        http=http,
        approvals=Approvals(tmp_path / "home"),
    )
    access = RegistryAccess(url=url or vendor.url, repository="acme/app", username=ticket.username, password=ticket.password)
    job = SyncJob(deploy_id="dep_1", component="app", digest=digest, registry=access)
    return await sync(job, JobContext("job_1", lambda line: None, Redactor(), Cancellation()), site)


async def nothing_arrived(customer: RegistryServer, digest: str) -> bool:
    return await customer.client().manifest_digest("mirror/acme/app", digest) is None


async def test_an_artifact_arrives_below_the_prefix(
    vendor: RegistryServer, customer: RegistryServer, key: VendorKey, http: httpx.AsyncClient, tmp_path: Path
) -> None:
    digest = await artifact(vendor, key)
    first = await run(vendor, customer, key, digest, http, tmp_path)
    again = await run(vendor, customer, key, digest, http, tmp_path)
    assert first.copied_bytes > len(CONTENT)
    assert (again.copied_bytes, again.skipped_bytes) == (0, first.copied_bytes + first.skipped_bytes)
    await verify(customer.client(), "mirror/acme/app", digest, (key.public_pem,))


@pytest.mark.parametrize("reason", ["unsigned", "other_key", "other_digest"])
async def test_an_artifact_without_the_vendors_signature_is_refused(
    reason: str,
    vendor: RegistryServer,
    customer: RegistryServer,
    key: VendorKey,
    other_key: VendorKey,
    http: httpx.AsyncClient,
    tmp_path: Path,
) -> None:
    digest = await artifact(vendor, other_key if reason == "other_key" else None)
    if reason == "other_digest":
        client = vendor.client()
        good = await artifact(vendor, key, b"good")
        stolen = await client.get_manifest("acme/app", tag_of(good, ".sig"))
        await client.put_manifest("acme/app", tag_of(digest, ".sig"), stolen.data, stolen.media_type)
    with pytest.raises(SignatureError) as refused:
        await run(vendor, customer, key, digest, http, tmp_path)
    assert refused.value.reason == reason
    assert await nothing_arrived(customer, digest)


@pytest.mark.parametrize("what", ["manifest", "blob"])
async def test_what_was_changed_in_the_vendors_storage_is_refused(
    what: str, vendor: RegistryServer, customer: RegistryServer, key: VendorKey, http: httpx.AsyncClient, tmp_path: Path
) -> None:
    digest = await artifact(vendor, key)
    manifest = await vendor.client().get_manifest("acme/app", digest)
    # By content, as the names of others (the signature's tag) have the digest in them too.
    stored = [path for path in vendor.folder.rglob("*") if path.is_file()]
    wanted = manifest.data if what == "manifest" else CONTENT
    changed = [path for path in stored if wanted in path.read_bytes()]
    assert changed
    for path in changed:
        path.chmod(0o600)
        path.write_bytes(path.read_bytes().replace(wanted, wanted[:-1] + b" "))
    # The built-in registry no longer knows what belongs to a manifest that was changed, and may refuse the signature's blob.
    with pytest.raises(
        (DigestMismatchError, AccessRefusedError, BadAnswerError) if what == "manifest" else DigestMismatchError
    ):
        await run(vendor, customer, key, digest, http, tmp_path)
    assert await nothing_arrived(customer, digest)


@pytest.mark.parametrize("change", [lambda body: body[:-1] + b"\0", lambda body: body[:-1], lambda body: body + b"!"])
async def test_what_was_changed_on_its_way_is_refused(
    change: Callable[[bytes], bytes],
    vendor: RegistryServer,
    customer: RegistryServer,
    key: VendorKey,
    http: httpx.AsyncClient,
    tmp_path: Path,
) -> None:
    """Somebody in the middle answers for the vendor's registry, with other bytes for the layer."""
    digest = await artifact(vendor, key)

    async def between(scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        headers = {name.decode(): value.decode() for name, value in scope["headers"] if name != b"host"}
        path = scope["path"] + ("?" + scope["query_string"].decode() if scope["query_string"] else "")
        answer = await http.request(scope["method"], vendor.url + path, headers=headers)
        body = change(answer.content) if answer.content == CONTENT else answer.content
        given = {**answer.headers, "content-length": str(len(body))}
        if "www-authenticate" in given:
            given["www-authenticate"] = given["www-authenticate"].replace(vendor.url, "")
        passed = [(name.encode(), value.encode()) for name, value in given.items()]
        await send({"type": "http.response.start", "status": answer.status_code, "headers": passed})
        await send({"type": "http.response.body", "body": body})

    async with serve(between) as url:
        with pytest.raises(DigestMismatchError):
            await run(vendor, customer, key, digest, http, tmp_path, url=url)
    assert await nothing_arrived(customer, digest)


async def test_a_replayed_ticket_is_refused(
    vendor: RegistryServer, customer: RegistryServer, key: VendorKey, http: httpx.AsyncClient, tmp_path: Path
) -> None:
    digest = await artifact(vendor, key)
    ticket = vendor.ticket(digests=frozenset({digest}))
    await run(vendor, customer, key, digest, http, tmp_path, ticket=ticket)
    with pytest.raises(TicketRefusedError, match="used already"):
        await run(vendor, customer, key, digest, http, tmp_path, ticket=ticket)


async def test_a_ticket_for_another_artifact_is_refused(
    vendor: RegistryServer, customer: RegistryServer, key: VendorKey, http: httpx.AsyncClient, tmp_path: Path
) -> None:
    digest, other = await artifact(vendor, key), await artifact(vendor, key, b"other")
    ticket = vendor.ticket(digests=frozenset({other}))
    with pytest.raises(AccessRefusedError):
        await run(vendor, customer, key, digest, http, tmp_path, ticket=ticket)
    assert await nothing_arrived(customer, digest)


async def test_a_signed_digest_that_is_gone_is_named(
    vendor: RegistryServer, customer: RegistryServer, key: VendorKey, http: httpx.AsyncClient, tmp_path: Path
) -> None:
    digest = "sha256:" + "0" * 64
    await sign(vendor.client(), "acme/app", digest, key, "vendor.test/acme/app")
    with pytest.raises(NotFoundError, match=digest):
        await run(vendor, customer, key, digest, http, tmp_path, ticket=vendor.ticket())


async def test_every_refusal_says_what_to_do(
    vendor: RegistryServer, customer: RegistryServer, key: VendorKey, http: httpx.AsyncClient, tmp_path: Path
) -> None:
    digest = await artifact(vendor, None)
    with pytest.raises(JobFailedError) as refused:
        await run(vendor, customer, key, digest, http, tmp_path)
    assert refused.value.failure.code == "signature_refused"
    assert refused.value.failure.remedy
