"""What a copy needs of either side: a registry (`RegistryClient`), or a file (`agent.airgap.layout`)."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import httpx

from agent.oci.client import Chunks, Referrers
from agent.oci.manifest import Manifest


class Manifests(Protocol):
    """Where manifests can be looked up. All contracts here are `RegistryClient`'s."""

    async def find_manifest(self, repository: str, reference: str) -> Manifest | None:
        """The manifest at a digest or tag."""
        ...


class ManifestStore(Manifests, Protocol):
    """Where small blobs can be read, too."""

    async def read_blob(self, repository: str, digest: str, size: int) -> bytes:
        """A small blob."""
        ...


class Readable(ManifestStore, Protocol):
    """Where artifacts can be copied from."""

    url: httpx.URL

    async def get_manifest(self, repository: str, reference: str) -> Manifest:
        """The manifest at a digest or tag, or NotFoundError."""
        ...

    async def referrers(self, repository: str, digest: str) -> Referrers:
        """What refers to a manifest."""
        ...

    def open_blob(self, repository: str, digest: str, size: int) -> AbstractAsyncContextManager[AsyncGenerator[bytes, None]]:
        """The blob's content, checked."""
        ...


class Writable(Manifests, Protocol):
    """Where artifacts can be copied to. What was written need not be readable there."""

    url: httpx.URL

    def will_push(self, repository: str) -> None:
        """Say that `repository` will be written."""
        ...

    async def has_blob(self, repository: str, digest: str) -> bool:
        """Whether the blob needs no sending."""
        ...

    async def mount_blob(self, repository: str, digest: str, from_repository: str) -> bool:
        """Take a blob over from another repository."""
        ...

    async def put_blob(self, repository: str, digest: str, size: int, chunks: Chunks) -> None:
        """Store a blob."""
        ...

    async def manifest_digest(self, repository: str, reference: str) -> str | None:
        """The digest of the manifest at a digest or tag."""
        ...

    async def put_manifest(
        self, repository: str, reference: str, data: bytes, media_type: str, *, over: str | None = None
    ) -> None:
        """Store a manifest."""
        ...

    async def referrers(self, repository: str, digest: str) -> Referrers:
        """What refers to a manifest."""
        ...


class Signable(Writable, ManifestStore, Protocol):
    """Where artifacts are signed: the signatures that are there are looked at first."""
