"""An OCI image layout in one tar file, read and written in place: nothing of it is ever unpacked into a folder.

`LayoutReader` and `LayoutWriter` have what a copy needs of `RegistryClient` (`agent.oci.store`). Repository and tag are in
the annotation `org.opencontainers.image.ref.name`: `acme/network:v1`.
"""

import asyncio
import io
import json
import re
import tarfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import IO, cast

import httpx

from agent.failure import CodedError
from agent.oci.client import Chunks, Referrers
from agent.oci.digest import digest_of, hex_of, verified
from agent.oci.errors import NotFoundError
from agent.oci.manifest import IMAGE_INDEX, MANIFEST_BYTES, MANIFEST_TYPES, Manifest, ManifestBody, canonical_json

REF_NAME = "org.opencontainers.image.ref.name"
REPOSITORY = "dev.exclave.repository"
"""On entries without a tag, such as referrers: where they belong."""

_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
_BLOB = re.compile(r"blobs/sha256/([0-9a-f]{64})")
_FOLDERS = ("blobs", "blobs/sha256")
_CHUNK_BYTES = 512 * 1024
_ENTRIES = 200_000


class BadLayoutError(CodedError):
    """The file isn't an image layout, or one that could do harm. Nothing of it was used."""

    code = "bad_bundle"
    remedy = "Get the bundle from the vendor again; if it is the same, ask them how it was made."


class LayoutReader:
    """A layout to copy from. Open it with `open`, in a thread; its digests are checked when something is read.

    `blobs` has the digest and the size of everything that lies in it, manifests too; `entries` is its index.
    """

    def __init__(self, path: Path, file: IO[bytes], members: dict[str, tuple[int, int]], index: ManifestBody) -> None:
        self.url = httpx.URL(path.resolve().as_uri())
        self.entries = index.manifests
        self.blobs = {f"sha256:{match[1]}": size for name, (_, size) in members.items() if (match := _BLOB.fullmatch(name))}
        self._file = file
        self._members = members
        self._read_lock = asyncio.Lock()
        self._tags = {each.annotations[REF_NAME]: each for each in index.manifests if REF_NAME in each.annotations}
        self._types = {each.digest: each.media_type for each in index.manifests}

    @classmethod
    def open(cls, path: Path) -> "LayoutReader":
        """Read the directory of the tar and its index. Raises BadLayoutError for anything that isn't plainly a layout."""
        try:
            file = path.open("rb")
        except OSError as error:
            raise BadLayoutError(f"{path} can't be read: {error.strerror}", remedy="Name the bundle's file.") from None
        try:
            members = _members(file)
            layout = _small(file, members, "oci-layout")
            index = _small(file, members, "index.json")
            if json.loads(layout).get("imageLayoutVersion") != "1.0.0":
                raise BadLayoutError(f"{path} is an image layout of another version")
            return cls(path, file, members, Manifest(index, IMAGE_INDEX, digest_of(index)).body())
        except (tarfile.TarError, ValueError, AttributeError, EOFError, RecursionError) as error:
            file.close()
            raise BadLayoutError(f"{path} isn't an image layout in a tar file: {error}") from None
        except BaseException:
            file.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    async def find_manifest(self, repository: str, reference: str) -> Manifest | None:
        """See `RegistryClient`. A digest may be any manifest of the layout."""
        digest = reference
        if not reference.startswith("sha256:"):
            entry = self._tags.get(f"{repository}:{reference}")
            if entry is None:
                return None
            digest = entry.digest
        size = self.blobs.get(digest)
        if size is None:
            return None
        if size > MANIFEST_BYTES:
            raise BadLayoutError(f"the manifest {digest} has {size} bytes")
        data = await self.read_blob(repository, digest, size)
        manifest = Manifest(data, self._types.get(digest, ""), digest)
        return manifest if manifest.media_type else Manifest(data, manifest.body().media_type, digest)

    async def get_manifest(self, repository: str, reference: str) -> Manifest:
        """See `RegistryClient`."""
        found = await self.find_manifest(repository, reference)
        if found is None:
            raise NotFoundError(f"the bundle has no manifest {repository}@{reference}")
        return found

    async def referrers(self, repository: str, digest: str) -> Referrers:
        """See `RegistryClient`."""
        found = []
        for entry in self.entries:
            if entry.annotations.get(REPOSITORY) == repository and entry.media_type in MANIFEST_TYPES:
                body = (await self.get_manifest(repository, entry.digest)).body()
                if body.subject is not None and body.subject.digest == digest:
                    found.append(entry)
        return Referrers(tuple(found), by_api=True)

    @asynccontextmanager
    async def open_blob(self, repository: str, digest: str, size: int) -> AsyncIterator[AsyncGenerator[bytes, None]]:
        """See `RegistryClient`."""
        async with aclosing(verified(self._chunks(digest), digest, size)) as chunks:
            yield chunks

    async def read_blob(self, repository: str, digest: str, size: int) -> bytes:
        """See `RegistryClient`."""
        async with self.open_blob(repository, digest, size) as chunks:
            return b"".join([chunk async for chunk in chunks])

    async def _chunks(self, digest: str) -> AsyncGenerator[bytes, None]:
        if f"blobs/sha256/{hex_of(digest)}" not in self._members:
            raise NotFoundError(
                f"the bundle has no blob {digest}", remedy="A delta needs what came before it: push that first."
            )
        at, left = self._members[f"blobs/sha256/{hex_of(digest)}"]
        while left:
            async with self._read_lock:
                chunk = await asyncio.to_thread(self._read, at, min(left, _CHUNK_BYTES))
            if not chunk:
                raise BadLayoutError(f"the file ends within the blob {digest}")
            at += len(chunk)
            left -= len(chunk)
            yield chunk

    def _read(self, at: int, size: int) -> bytes:
        self._file.seek(at)
        return self._file.read(size)


class LayoutWriter:
    """A layout to copy into. `present` are blobs that an earlier bundle has, which are left out. Not for two copies at once."""

    def __init__(self, path: Path, present: frozenset[str] = frozenset()) -> None:
        self.url = httpx.URL(path.resolve().as_uri())
        self.left_out: set[str] = set()
        self._present = present
        self._tar = tarfile.open(path, "w", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - `finish` closes it
        self._blobs: set[str] = set()
        self._manifests: dict[tuple[str, str], Manifest] = {}
        self._entries: list[dict[str, object]] = []
        self._write_lock = asyncio.Lock()
        self._add("oci-layout", _LAYOUT)

    def will_push(self, repository: str) -> None:
        """See `RegistryClient`."""

    async def manifest_digest(self, repository: str, reference: str) -> str | None:
        """See `RegistryClient`."""
        found = self._manifests.get((repository, reference))
        return found.digest if found else None

    async def find_manifest(self, repository: str, reference: str) -> Manifest | None:
        """See `RegistryClient`. Only what was put."""
        return self._manifests.get((repository, reference))

    async def has_blob(self, repository: str, digest: str) -> bool:
        """See `RegistryClient`: whether it is in this bundle, or in the one that this is a delta to."""
        if digest in self._present and digest not in self._blobs:
            self.left_out.add(digest)
            return True
        return digest in self._blobs

    async def mount_blob(self, repository: str, digest: str, from_repository: str) -> bool:
        """See `RegistryClient`. One layout is one store."""
        return False

    async def put_blob(self, repository: str, digest: str, size: int, chunks: Chunks) -> None:
        """See `RegistryClient`. After an error the file is of no use: `chunks` are checked before their last one."""
        async with self._write_lock, aclosing(chunks()) as content:
            if digest in self._blobs:
                return
            self._tar.addfile(_info(f"blobs/sha256/{hex_of(digest)}", size))
            assert self._tar.fileobj
            async for chunk in content:
                await asyncio.to_thread(self._tar.fileobj.write, chunk)
            padding = -size % tarfile.BLOCKSIZE
            self._tar.fileobj.write(bytes(padding))
            self._tar.offset += size + padding
            self._blobs.add(digest)

    async def put_bytes(self, repository: str, data: bytes) -> None:
        """Store a small blob here, also one that an earlier bundle has."""

        async def chunks() -> AsyncGenerator[bytes, None]:
            yield data

        await self.put_blob(repository, digest_of(data), len(data), chunks)

    async def put_manifest(
        self, repository: str, reference: str, data: bytes, media_type: str, *, over: str | None = None
    ) -> None:
        """See `RegistryClient`. Tags and referrers are listed in the index, other manifests by whoever names them."""
        digest = digest_of(data)
        manifest = Manifest(data, media_type, digest)
        if digest not in self._blobs:
            async with self._write_lock:
                self._add(f"blobs/sha256/{hex_of(digest)}", data)
            self._blobs.add(digest)
        self._manifests[repository, digest] = self._manifests[repository, reference] = manifest
        annotations = {REPOSITORY: repository}
        body = manifest.body()
        if reference != digest:
            annotations[REF_NAME] = f"{repository}:{reference}"
        elif body.subject is None:
            return
        entry: dict[str, object] = {"mediaType": media_type, "digest": digest, "size": len(data)}
        if body.artifact_type:
            entry["artifactType"] = body.artifact_type
        self._entries.append(entry | {"annotations": body.annotations | annotations})

    async def referrers(self, repository: str, digest: str) -> Referrers:
        """See `RegistryClient`. The index lists them: there is no fallback tag."""
        return Referrers((), by_api=True)

    def finish(self) -> None:
        """Write the index, and close the file."""
        index = {"schemaVersion": 2, "mediaType": IMAGE_INDEX, "manifests": self._entries}
        self._add("index.json", canonical_json(index))
        self._tar.close()

    def abandon(self) -> None:
        """Close the file as it is."""
        assert self._tar.fileobj
        self._tar.fileobj.close()

    def _add(self, name: str, data: bytes) -> None:
        self._tar.addfile(_info(name, len(data)), io.BytesIO(data))


def _info(name: str, size: int) -> tarfile.TarInfo:
    """Without time and owner: equal content gives an equal file."""
    info = tarfile.TarInfo(name)
    info.size = size
    info.mode = 0o644
    return info


def _members(file: IO[bytes]) -> dict[str, tuple[int, int]]:
    """Where each file of the layout lies: offset and size. Raises BadLayoutError for whatever else there is."""
    found: dict[str, tuple[int, int]] = {}
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    with tarfile.open(fileobj=cast(IO[bytes], _Headers(file)), mode="r:") as tar:
        for count, member in enumerate(tar):
            if count > _ENTRIES:
                raise BadLayoutError(f"the bundle has more than {_ENTRIES} files")
            name = member.name
            if member.isdir() and name in _FOLDERS:
                continue
            if name not in ("oci-layout", "index.json") and not _BLOB.fullmatch(name):
                raise BadLayoutError(f"the bundle has a file {name!r}, which no image layout has")
            if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.sparse is not None:
                raise BadLayoutError(f"the bundle's {name!r} isn't a plain file")
            if name in found:
                raise BadLayoutError(f"the bundle has {name!r} twice")
            if member.offset_data + member.size > size:
                raise BadLayoutError(f"the bundle is cut off within {name!r}")
            found[name] = member.offset_data, member.size
    return found


class _Headers:
    """What tarfile needs of a file to read headers. Extended ones say themselves how long they are, and are read at once."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        if size > MANIFEST_BYTES:
            raise BadLayoutError(f"the bundle has a header of {size} bytes")
        return self._file.read(size)


def _small(file: IO[bytes], members: dict[str, tuple[int, int]], name: str) -> bytes:
    if name not in members:
        raise BadLayoutError(f"the bundle has no {name}")
    at, size = members[name]
    if size > MANIFEST_BYTES:
        raise BadLayoutError(f"the bundle's {name} has {size} bytes")
    file.seek(at)
    return file.read(size)
