"""Copy an artifact between registries by digest, with its signatures and referrers.

First everything is read that decides what there is to copy, then blobs go, then manifests, children before parents, then
tags. So a copy that is cut off leaves nothing that names a missing part, and the next one goes on where it stopped.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

from agent.oci.client import RegistryClient
from agent.oci.concurrency import run_all
from agent.oci.digest import SIGNATURE_SUFFIX, tag_of
from agent.oci.errors import AccessRefusedError, NotFoundError
from agent.oci.manifest import IMAGE_INDEX, MANIFEST_TYPES, Descriptor, Manifest, canonical_json, descriptor_json

ATTACHED_SUFFIXES = (SIGNATURE_SUFFIX, ".att", ".sbom")
"""The tags under which cosign keeps what belongs to a digest: `sha256-<hex>.sig` and so on."""

Progress = Callable[[int, int], None]
"""Called with the bytes of blobs done so far, sent or found there, and the bytes of all blobs."""


@dataclass(frozen=True)
class CopyReport:
    """Bytes of blobs and manifests that were sent, and that the target had already."""

    copied_bytes: int
    skipped_bytes: int


@dataclass
class _Graph:
    """What there is to copy. `manifests` has children before parents."""

    manifests: dict[str, Manifest] = field(default_factory=dict)
    blobs: dict[str, int] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    referrers: dict[str, list[Descriptor]] = field(default_factory=dict)


async def copy_artifact(
    source: RegistryClient,
    target: RegistryClient,
    *,
    source_repository: str,
    target_repository: str,
    digest: str,
    tag: str | None = None,
    concurrency: int = 4,
    progress: Progress | None = None,
) -> CopyReport:
    """Copy the artifact `digest`: manifest or index with all children, blobs, cosign's tags and referrers, byte for byte.

    `digest-pinned`: each blob is checked while it streams, before its upload completes; the target never gets a wrong one.
    What the target has is not sent again. Raises the errors of RegistryClient; the first one stops the copy.
    """
    target.will_push(target_repository)
    graph = await _Reader(source, source_repository).read(digest)
    if tag is not None:
        graph.tags[tag] = digest
    writer = _Writer(source, source_repository, target, target_repository, asyncio.Semaphore(concurrency))
    await writer.write(graph, progress)
    return CopyReport(copied_bytes=writer.copied, skipped_bytes=writer.skipped)


class _Reader:
    """Reads the graph of an artifact from its registry: manifests only, no blobs."""

    def __init__(self, source: RegistryClient, repository: str) -> None:
        self._source = source
        self._repository = repository
        self._graph = _Graph()

    async def read(self, digest: str) -> _Graph:
        own = await self._tree(await self._source.get_manifest(self._repository, digest))
        for member in own:
            await self._attached_tags(member)
            await self._referrers(member)
        return self._graph

    async def _tree(self, manifest: Manifest) -> list[str]:
        """Add a manifest after all that it lists; gives the digests of the manifests that were new."""
        if manifest.digest in self._graph.manifests:
            return []
        body = manifest.body()
        self._graph.blobs.update((blob.digest, blob.size) for blob in body.blobs)
        new: list[str] = []
        for child in body.manifests:
            found = await self._child(child)
            if found is None:
                self._graph.blobs[child.digest] = child.size
            else:
                new += await self._tree(found)
        self._graph.manifests[manifest.digest] = manifest
        return [*new, manifest.digest]

    async def _child(self, child: Descriptor) -> Manifest | None:
        """What an index lists is a manifest, or, with a media type of its own, perhaps a blob: None."""
        try:
            return await self._source.get_manifest(self._repository, child.digest)
        except NotFoundError:
            if child.media_type in MANIFEST_TYPES:
                raise
            return None

    async def _attached_tags(self, digest: str) -> None:
        for suffix in ATTACHED_SUFFIXES:
            tag = tag_of(digest, suffix)
            try:
                found = await self._source.find_manifest(self._repository, tag)
            except AccessRefusedError:
                # A ticket reaches the artifact and its signature; what else there may be isn't meant for this install.
                if suffix == SIGNATURE_SUFFIX:
                    raise
                found = None
            if found is not None:
                await self._tree(found)
                self._graph.tags[tag] = found.digest

    async def _referrers(self, digest: str) -> None:
        """Referrers may have referrers of their own: a signature of an SBOM, say."""
        found = await self._source.referrers(self._repository, digest)
        if found.descriptors:
            self._graph.referrers[digest] = list(found.descriptors)
        for descriptor in found.descriptors:
            for new in await self._tree(await self._source.get_manifest(self._repository, descriptor.digest)):
                await self._referrers(new)


class _Writer:
    """Brings a graph into the target's repository."""

    def __init__(
        self,
        source: RegistryClient,
        source_repository: str,
        target: RegistryClient,
        repository: str,
        slots: asyncio.Semaphore,
    ) -> None:
        self._source = source
        self._source_repository = source_repository
        self._target = target
        self._repository = repository
        self._slots = slots
        self._mounts = source.url == target.url and source_repository != repository
        self._done: dict[str, int] = {}
        self.copied = 0
        self.skipped = 0

    async def write(self, graph: _Graph, progress: Progress | None) -> None:
        total = sum(graph.blobs.values())

        def tell() -> None:
            if progress is not None:
                progress(sum(self._done.values()), total)

        await run_all(self._blob(digest, size, tell) for digest, size in graph.blobs.items())
        for manifest in graph.manifests.values():
            sent = await self._manifest(manifest.digest, manifest)
            self.copied += manifest.size if sent else 0
            self.skipped += 0 if sent else manifest.size
        for tag, digest in graph.tags.items():
            await self._manifest(tag, graph.manifests[digest])
        for digest, descriptors in graph.referrers.items():
            await self._fallback_tag(digest, descriptors)

    async def _blob(self, digest: str, size: int, tell: Callable[[], None]) -> None:
        async with self._slots:
            if await self._target.has_blob(self._repository, digest) or await self._mounted(digest):
                self.skipped += size
            else:
                await self._target.put_blob(self._repository, digest, size, lambda: self._chunks(digest, size, tell))
                self.copied += size
            self._done[digest] = size
            tell()

    async def _mounted(self, digest: str) -> bool:
        # A registry that won't mount one blob won't mount the others: it is asked once.
        if self._mounts:
            self._mounts = await self._target.mount_blob(self._repository, digest, self._source_repository)
        return self._mounts

    async def _chunks(self, digest: str, size: int, tell: Callable[[], None]) -> AsyncGenerator[bytes, None]:
        self._done[digest] = 0
        async with self._source.open_blob(self._source_repository, digest, size) as chunks:
            async for chunk in chunks:
                yield chunk
                self._done[digest] += len(chunk)
                tell()

    async def _manifest(self, reference: str, manifest: Manifest) -> bool:
        """False if it was there. Asked first, as a registry with immutable tags refuses to hear the same thing twice."""
        if await self._target.manifest_digest(self._repository, reference) == manifest.digest:
            return False
        await self._target.put_manifest(self._repository, reference, manifest.data, manifest.media_type)
        return True

    async def _fallback_tag(self, digest: str, descriptors: list[Descriptor]) -> None:
        """Where the target has no referrers API, its clients keep the list under a tag (distribution spec, section 4.6)."""
        present = await self._target.referrers(self._repository, digest)
        if present.by_api:
            return
        listed = {descriptor.digest for descriptor in present.descriptors}
        missing = [descriptor for descriptor in descriptors if descriptor.digest not in listed]
        if not missing:
            return
        index = {
            "schemaVersion": 2,
            "mediaType": IMAGE_INDEX,
            "manifests": [descriptor_json(descriptor) for descriptor in [*present.descriptors, *missing]],
        }
        await self._target.put_manifest(self._repository, tag_of(digest), canonical_json(index), IMAGE_INDEX)
