"""Make, check and push an air-gap bundle.

The bundle's head is an artifact of its own, in the repository `exclave/release`: its config says which artifacts belong to the
release and what a delta leaves out. It is signed with the vendor's key, as each artifact is, so a bundle needs no other trust.
A release that is signed as a whole (`release-signed`) brings its document along, as a layer of the head.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.airgap.layout import REF_NAME, BadLayoutError, LayoutReader, LayoutWriter
from agent.failure import CodedError
from agent.oci.copy import CopyReport, Graph, copy_artifact, read_graph
from agent.oci.digest import digest_of, digest_of_file
from agent.oci.manifest import IMAGE_MANIFEST, TITLE, Descriptor, canonical_json
from agent.oci.push import push_bytes, push_file
from agent.oci.signature import put_signature, verify
from agent.oci.store import Readable, Writable
from agent.oci.vendor_key import VendorKey
from agent.trust.claims import claims_said
from agent.trust.releases import ReleaseRefusedError, SignedRelease, opened_release
from api.contract.base import Digest
from api.contract.dsse import ENVELOPE_TYPE
from api.contract.signed_releases import ENVELOPE_CHARACTERS, ReleaseSignature

RELEASE_TYPE = "application/vnd.exclave.release.v1+json"
RELEASE_REPOSITORY = "exclave/release"
ALWAYS_BYTES = 64 * 1024
"""Blobs up to this size are in every bundle: the signatures, without which a delta couldn't be checked by itself."""
TOOL_TYPE = "application/octet-stream"


class BadBundleError(CodedError):
    """The bundle isn't what its vendor has signed, or isn't whole."""

    code = "bad_bundle"
    remedy = "Get the bundle from the vendor again; don't push this one."


class BundledArtifact(BaseModel):
    """One component's artifact."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    component: str
    repository: str = Field(pattern=r"^[a-z0-9]+([._/-]+[a-z0-9]+)*$", max_length=255)
    digest: Digest
    tag: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$")


class BundledRelease(BaseModel):
    """What the head of a bundle says. `base` is the head of the bundle that a delta comes after."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    app: str
    release_id: str
    number: int
    artifacts: list[BundledArtifact]
    base: Digest | None = None
    left_out: list[Digest] = Field(default_factory=list)


@dataclass(frozen=True)
class Checked:
    """A bundle that is what its vendor has signed. Only `check` makes one.

    `signed` is its release's own document, if it has one that a pinned key has signed; else `unsigned` says why there is none.
    """

    head: str
    release: BundledRelease
    graphs: tuple[tuple[BundledArtifact, Graph], ...]
    signed: SignedRelease | None
    unsigned: str


async def create(
    path: Path,
    release: BundledRelease,
    source: Readable,
    key: VendorKey,
    *,
    signature: ReleaseSignature | None = None,
    since: Path | None = None,
    tools: Sequence[Path] = (),
    log: Callable[[str], None],
) -> str:
    """Write the bundle of `release`, whose artifacts `source` has, to the new file `path`; gives the digest of its head.

    With `signature`, the release as it was signed as a whole rides along, whoever signed it: receivers know whom they trust.
    With `since`, an earlier bundle, the blobs that it has are left out. `tools` are files that ride along. The file appears
    whole or not at all. Raises JobFailedError; an artifact that isn't signed with `key` is refused, and so is a `signature`
    that is for anything else than the release.
    """
    signed = opened_release(signature.envelope, (key.public_pem, signature.public_key)) if signature else None
    _check_same(release, signed)
    present, base = await _present(since, key) if since else (frozenset[str](), None)
    temporary = path.with_name(f".{path.name}.partial")
    layout = LayoutWriter(temporary, present)
    try:
        for one in release.artifacts:
            await verify(source, one.repository, one.digest, (key.public_pem,), _claims(release, one, signed))
            report = await copy_artifact(
                source,
                layout,
                source_repository=one.repository,
                target_repository=one.repository,
                digest=one.digest,
                tag=one.tag,
                concurrency=1,
            )
            log(f"{one.component}: {one.repository}@{one.digest}, {_said(report)}")
        document = release.model_copy(update={"base": base, "left_out": sorted(layout.left_out)})
        head = await _head(layout, document, tools, signature)
        await put_signature(layout, RELEASE_REPOSITORY, head, key, RELEASE_REPOSITORY)
        await asyncio.to_thread(layout.finish)
        temporary.rename(path)
    except BaseException:
        layout.abandon()
        temporary.unlink(missing_ok=True)
        raise
    return head


async def check(layout: LayoutReader, pinned: tuple[str, ...]) -> Checked:
    """Read everything in a bundle: signatures by a `pinned` key, every digest, and that nothing is missing or smuggled in.

    A release that is signed as a whole must be the bundle's, and each artifact signed for the config that it says.

    Raises BadBundleError, BadLayoutError, SignatureError, DigestMismatchError, NotFoundError.
    """
    heads = [each for each in layout.entries if each.annotations.get(REF_NAME, "").startswith(f"{RELEASE_REPOSITORY}:")]
    heads = [each for each in heads if not each.annotations[REF_NAME].endswith(".sig")]
    if len(heads) != 1:
        raise BadBundleError(f"the bundle has {len(heads)} heads, and must have one")
    head = heads[0].digest
    await verify(layout, RELEASE_REPOSITORY, head, pinned)
    release = await _document(layout, head)
    signed, unsigned = await _signed_release(layout, head, pinned)
    _check_same(release, signed)
    graphs = [await read_graph(layout, RELEASE_REPOSITORY, head)]
    artifacts = []
    for one in release.artifacts:
        await verify(layout, one.repository, one.digest, pinned, _claims(release, one, signed))
        graph = await read_graph(layout, one.repository, one.digest)
        graphs.append(graph)
        artifacts.append((one, graph))
    here, left_out = layout.blobs, set(release.left_out)
    wanted = {digest: size for graph in graphs for digest, size in graph.blobs.items()}
    for digest, size in wanted.items():
        if digest in here:
            async with layout.open_blob(RELEASE_REPOSITORY, digest, size) as chunks:
                async for _ in chunks:
                    continue
        elif digest not in left_out:
            raise BadBundleError(f"the bundle has no blob {digest}")
    strange = set(here) - set(wanted) - {digest for graph in graphs for digest in graph.manifests}
    if strange:
        raise BadBundleError(f"the bundle has {min(strange)}, which belongs to nothing that the vendor has signed")
    return Checked(head, release, tuple(artifacts), signed, unsigned)


async def push(layout: LayoutReader, checked: Checked, one: BundledArtifact, target: Writable, repository: str) -> CopyReport:
    """Bring one artifact of a checked bundle into a registry, with its signatures and referrers.

    Raises BadBundleError if it is a delta and the registry hasn't what was left out, and the errors of RegistryClient.
    """
    graph = dict((each.component, graph) for each, graph in checked.graphs)[one.component]
    for digest in set(checked.release.left_out) & set(graph.blobs):
        if not await target.has_blob(repository, digest):
            raise BadBundleError(
                f"the bundle leaves out {digest}, which the registry hasn't got",
                remedy=f"Push the bundle with the head {checked.release.base} first.",
            )
    return await copy_artifact(
        layout, target, source_repository=one.repository, target_repository=repository, digest=one.digest, tag=one.tag
    )


async def _present(since: Path, key: VendorKey) -> tuple[frozenset[str], str]:
    layout = await asyncio.to_thread(LayoutReader.open, since)
    try:
        checked = await check(layout, (key.public_pem,))
        # What that one has left out is there as well, as it can only be pushed after its own base.
        large = {digest for digest, size in layout.blobs.items() if size > ALWAYS_BYTES}
        return frozenset(large) | frozenset(checked.release.left_out), checked.head
    finally:
        layout.close()


async def _head(
    layout: LayoutWriter, document: BundledRelease, tools: Sequence[Path], signature: ReleaseSignature | None
) -> str:
    config = canonical_json(document.model_dump(mode="json"))
    await push_bytes(layout, RELEASE_REPOSITORY, config)
    layers: list[dict[str, object]] = []
    if signature is not None:
        envelope = signature.envelope.encode()
        await layout.put_bytes(RELEASE_REPOSITORY, envelope)  # in a delta, too: it is checked by itself
        layers.append({"mediaType": ENVELOPE_TYPE, "digest": digest_of(envelope), "size": len(envelope)})
    for tool in tools:
        digest, size = await asyncio.to_thread(digest_of_file, tool), tool.stat().st_size
        await push_file(layout, RELEASE_REPOSITORY, tool, digest, size)
        layers.append({"mediaType": TOOL_TYPE, "digest": digest, "size": size, "annotations": {TITLE: tool.name}})
    manifest = {
        "schemaVersion": 2,
        "mediaType": IMAGE_MANIFEST,
        "artifactType": RELEASE_TYPE,
        "config": {"mediaType": RELEASE_TYPE, "digest": digest_of(config), "size": len(config)},
        "layers": layers,
    }
    data = canonical_json(manifest)
    await layout.put_manifest(RELEASE_REPOSITORY, f"{document.app}-{document.number}", data, IMAGE_MANIFEST)
    return digest_of(data)


async def _document(layout: LayoutReader, head: str) -> BundledRelease:
    config: Descriptor | None = (await layout.get_manifest(RELEASE_REPOSITORY, head)).body().config
    if config is None or config.media_type != RELEASE_TYPE:
        raise BadBundleError(f"{head} isn't the head of a bundle")
    if layout.blobs.get(config.digest) != config.size:
        raise BadLayoutError(f"the bundle's head has no config of {config.size} bytes")
    try:
        return BundledRelease.model_validate_json(await layout.read_blob(RELEASE_REPOSITORY, config.digest, config.size))
    except ValidationError as error:
        raise BadBundleError(f"the bundle's head can't be read: {error.errors()[0]['msg']}") from None


async def _signed_release(layout: LayoutReader, head: str, pinned: tuple[str, ...]) -> tuple[SignedRelease | None, str]:
    """The release as it was signed as a whole, or why there is none that counts."""
    layers = (await layout.get_manifest(RELEASE_REPOSITORY, head)).body().layers
    found = [layer for layer in layers if layer.media_type == ENVELOPE_TYPE]
    if not found:
        return None, "the vendor hasn't signed it as a whole"
    if len(found) > 1 or found[0].size > ENVELOPE_CHARACTERS or layout.blobs.get(found[0].digest) != found[0].size:
        raise BadBundleError("the bundle's head doesn't have one signed release, of a size that one can have")
    envelope = await layout.read_blob(RELEASE_REPOSITORY, found[0].digest, found[0].size)
    try:
        return opened_release(envelope.decode(errors="replace"), pinned), ""
    except ReleaseRefusedError as error:
        return None, str(error)


def _check_same(release: BundledRelease, signed: SignedRelease | None) -> None:
    """Raises BadBundleError if what was signed as a whole is another release."""
    if signed is None:
        return
    said = signed.document
    if (said.app, said.number) != (release.app, release.number):
        raise BadBundleError(
            f"the bundle has {release.app} release {release.number}, and {said.app} release {said.number} signed as a whole"
        )
    lines = {name: line.digest for name, line in said.components.items()}
    if len(release.artifacts) != len(lines) or lines != {one.component: one.digest for one in release.artifacts}:
        raise BadBundleError(f"the bundle's artifacts aren't those of release {said.number} as the vendor has signed it")


def _claims(release: BundledRelease, one: BundledArtifact, signed: SignedRelease | None) -> dict[str, str]:
    """What an artifact's signature must say besides its digest."""
    return claims_said(release.app, one.component, signed.document.components[one.component].config) if signed else {}


def _said(report: CopyReport) -> str:
    return f"{report.copied_bytes} bytes" + (
        f", {report.skipped_bytes} left out or there already" if report.skipped_bytes else ""
    )
