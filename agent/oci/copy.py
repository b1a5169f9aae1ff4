"""Copy an artifact between registries by digest, with its signatures and referrers.

First everything is read that decides what there is to copy, then blobs go, then manifests, children before parents, then
tags. So a copy that is cut off leaves nothing that names a missing part, and the next one goes on where it stopped: whatever
manifest the target has, it has all that is below it (`children-first`), and nobody asks for its blobs again.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

from agent.oci.client import RegistryClient
from agent.oci.concurrency import run_all
from agent.oci.digest import SIGNATURE_SUFFIX, tag_of
from agent.oci.errors import AccessRefusedError, NotFoundError, TooManyPartsError
from agent.oci.manifest import MANIFEST_TYPES, Descriptor, Manifest
from agent.oci.push import push_bytes
from agent.oci.referrer import list_referrers
from agent.oci.signature_manifest import united
from agent.oci.store import Readable, Writable
from agent.oci.transfer import Lane, Lanes, Place

ATTACHED_SUFFIXES = (SIGNATURE_SUFFIX, ".att", ".sbom")
"""The tags under which cosign keeps what belongs to a digest: `sha256-<hex>.sig` and so on."""

_ADDED_TO = (SIGNATURE_SUFFIX, ".att")
"""Those to which anyone may have added something of their own, here or there."""

_QUESTIONS = 8
"""So many questions about manifests are asked at once."""

MOST_MANIFESTS = 20_000
MOST_MANIFEST_BYTES = 128 * 1024 * 1024
MOST_DEPTH = 32
"""What one artifact may be made of: all its manifests are in memory while it is copied."""

Progress = Callable[[int, int], None]
"""Called with the bytes of blobs done so far, sent or found there, and the bytes of all blobs."""


@dataclass(frozen=True)
class CopyReport:
    """Bytes of blobs and manifests that were sent, and that the target had already."""

    copied_bytes: int
    skipped_bytes: int


@dataclass
class Graph:
    """What there is to copy. `manifests` has children before parents."""

    manifests: dict[str, Manifest] = field(default_factory=dict)
    blobs: dict[str, int] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    referrers: dict[str, list[Descriptor]] = field(default_factory=dict)


async def copy_artifact(
    source: Readable,
    target: Writable,
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
    graph = await read_graph(source, source_repository, digest)
    if tag is not None:
        graph.tags[tag] = digest
    async with Lanes.open(concurrency) as lanes:
        writer = _Writer(source, source_repository, target, target_repository, lanes)
        await writer.write(graph, progress)
    return CopyReport(copied_bytes=writer.copied, skipped_bytes=writer.skipped)


async def read_graph(source: Readable, repository: str, digest: str) -> Graph:
    """All that belongs to the artifact `digest`: manifests, signatures and referrers are read, blobs aren't."""
    return await _Reader(source, repository).read(digest)


class _Reader:
    """Reads the graph of an artifact from its registry: manifests only, no blobs."""

    def __init__(self, source: Readable, repository: str) -> None:
        self._source = source
        self._repository = repository
        self._graph = Graph()
        self._slots = asyncio.Semaphore(_QUESTIONS)
        self._count = 0
        self._bytes = 0

    async def read(self, digest: str) -> Graph:
        own = await self._tree(await self._manifest(digest), 0)
        tags = [(member, suffix) for member in own for suffix in ATTACHED_SUFFIXES]
        attached, _ = await asyncio.gather(
            run_all(self._attached(member, suffix) for member, suffix in tags),
            run_all(self._referrers(member, 0) for member in own),
        )
        for (member, suffix), found in zip(tags, attached, strict=True):
            if found is not None:
                await self._tree(found, 0)
                self._graph.tags[tag_of(member, suffix)] = found.digest
        return self._graph

    async def _tree(self, manifest: Manifest, depth: int) -> list[str]:
        """Add a manifest after all that it lists; gives the digests of the manifests that were new."""
        if manifest.digest in self._graph.manifests:
            return []
        if depth > MOST_DEPTH:
            raise TooManyPartsError(f"{manifest.digest} in {self._repository} lies more than {MOST_DEPTH} manifests deep")
        body = manifest.body()
        self._graph.blobs.update((blob.digest, blob.size) for blob in body.blobs)
        new: list[str] = []
        listed = {child.digest: child for child in body.manifests if child.digest not in self._graph.manifests}
        children = await run_all(self._child(child) for child in listed.values())
        for child, found in zip(listed.values(), children, strict=True):
            if found is None:
                self._graph.blobs[child.digest] = child.size
            else:
                new += await self._tree(found, depth + 1)
        self._graph.manifests[manifest.digest] = manifest
        return [*new, manifest.digest]

    async def _child(self, child: Descriptor) -> Manifest | None:
        """What an index lists is a manifest, or, with a media type of its own, perhaps a blob: None."""
        try:
            return await self._manifest(child.digest)
        except NotFoundError:
            if child.media_type in MANIFEST_TYPES:
                raise
            return None

    async def _manifest(self, digest: str) -> Manifest:
        async with self._slots:
            found = await self._source.get_manifest(self._repository, digest)
            self._count += 1
            self._bytes += found.size
            if self._count > MOST_MANIFESTS or self._bytes > MOST_MANIFEST_BYTES:
                raise TooManyPartsError(
                    f"{digest} in {self._repository} is one of more than {MOST_MANIFESTS} manifests, or of more than "
                    f"{MOST_MANIFEST_BYTES} bytes of them"
                )
            return found

    async def _attached(self, digest: str, suffix: str) -> Manifest | None:
        try:
            return await self._source.find_manifest(self._repository, tag_of(digest, suffix))
        except AccessRefusedError:
            # A ticket reaches the artifact and its signature; what else there may be isn't meant for this install.
            if suffix == SIGNATURE_SUFFIX:
                raise
            return None

    async def _referrers(self, digest: str, depth: int) -> None:
        """Referrers may have referrers of their own: a signature of an SBOM, say."""
        found = await self._source.referrers(self._repository, digest)
        if found.descriptors:
            self._graph.referrers[digest] = list(found.descriptors)
        for descriptor in found.descriptors:
            for new in await self._tree(await self._manifest(descriptor.digest), depth + 1):
                await self._referrers(new, depth + 1)


class _Writer:
    """Brings a graph into the target's repository."""

    def __init__(self, source: Readable, source_repository: str, target: Writable, repository: str, lanes: Lanes) -> None:
        self._source = source
        self._source_repository = source_repository
        self._target = target
        self._repository = repository
        self._lanes = lanes
        self._mounts = source.url == target.url and source_repository != repository
        self._done: dict[str, int] = {}
        self.copied = 0
        self.skipped = 0

    async def write(self, graph: Graph, progress: Progress | None) -> None:
        total = sum(graph.blobs.values())

        def tell() -> None:
            if progress is not None:
                progress(sum(self._done.values()), total)

        missing = await self._missing(graph)
        wanted = {listed.digest for digest in missing for listed in _listed(graph.manifests[digest])}
        there = {digest: size for digest, size in graph.blobs.items() if digest not in wanted}
        self._done |= there
        self.skipped += sum(there.values())
        tell()
        await run_all(self._blob(digest, size, tell) for digest, size in graph.blobs.items() if digest in wanted)
        for manifest in graph.manifests.values():
            if manifest.digest in missing:
                await self._target.put_manifest(self._repository, manifest.digest, manifest.data, manifest.media_type)
                self.copied += manifest.size
            else:
                self.skipped += manifest.size
        await run_all(self._tag(tag, graph.manifests[digest]) for tag, digest in graph.tags.items())
        for digest, descriptors in graph.referrers.items():
            await list_referrers(self._target, self._repository, digest, descriptors)

    async def _missing(self, graph: Graph) -> set[str]:
        """The manifests that the target hasn't got."""
        slots = asyncio.Semaphore(_QUESTIONS)

        async def found(digest: str) -> str | None:
            async with slots:
                return await self._target.manifest_digest(self._repository, digest)

        digests = list(graph.manifests)
        answers = await run_all(found(digest) for digest in digests)
        return {digest for digest, answer in zip(digests, answers, strict=True) if answer != digest}

    async def _blob(self, digest: str, size: int, tell: Callable[[], None]) -> None:
        def moved(kept: int) -> None:
            self._done[digest] = kept
            tell()

        async with self._lanes.lane() as lane:
            if await self._target.has_blob(self._repository, digest) or await self._mounted(digest):
                self.skipped += size
            else:
                await self._move(lane, digest, size, moved)
                self.copied += size
        moved(size)

    async def _move(self, lane: Lane, digest: str, size: int, moved: Callable[[int], None]) -> None:
        source, target = self._source, self._target
        if isinstance(source, RegistryClient) and isinstance(target, RegistryClient):
            here, there = Place(source, self._source_repository), Place(target, self._repository)
            await lane.move(here, there, digest, size, moved)
        else:
            await target.put_blob(self._repository, digest, size, lambda: self._chunks(digest, size, moved))

    async def _chunks(self, digest: str, size: int, moved: Callable[[int], None]) -> AsyncGenerator[bytes, None]:
        done = 0
        async with self._source.open_blob(self._source_repository, digest, size) as chunks:
            async for chunk in chunks:
                yield chunk
                done += len(chunk)
                moved(done)

    async def _mounted(self, digest: str) -> bool:
        # A registry that won't mount one blob won't mount the others: it is asked once.
        if self._mounts:
            self._mounts = await self._target.mount_blob(self._repository, digest, self._source_repository)
        return self._mounts

    async def _tag(self, tag: str, manifest: Manifest) -> None:
        """Asked first, as a registry with immutable tags refuses to hear the same thing twice.

        Signatures that the target has besides those of the source stay: a copy takes nothing away.
        """
        there = await self._target.manifest_digest(self._repository, tag)
        over = None
        if there is not None and there != manifest.digest and tag.endswith(_ADDED_TO):
            present = await self._target.find_manifest(self._repository, tag)
            if present is not None:
                there = over = present.digest
                manifest, config = united(present, manifest)
                if config is not None:
                    await push_bytes(self._target, self._repository, config)
        if there != manifest.digest:
            await self._target.put_manifest(self._repository, tag, manifest.data, manifest.media_type, over=over)


def _listed(manifest: Manifest) -> list[Descriptor]:
    """All that a manifest names as its parts, whether blobs or manifests."""
    body = manifest.body()
    return [*body.blobs, *body.manifests]
