"""Blobs, manifests, tags and referrers in one folder.

    lock                                     held by the one process that uses the folder (`sole-writer`)
    scratch/                                 unfinished files; emptied at start
    blobs/<hex>                              every blob's content, once
    repositories/<name>/_blobs/<hex>         a hard link to it for each repository that has it
    repositories/<name>/_manifests/<hex>     media type, line feed, the manifest's bytes
    repositories/<name>/_tags/<tag>          a digest
    repositories/<name>/_referrers/<hex>/<hex>   empty: the second manifest has the first as its subject

A file appears under its final name by one rename or link, after its content is on the disk: a reader never sees a part of
one, and a process that stops at any point leaves at most files in `scratch` and blobs without a link, which `open` removes.
The file system counts who uses a blob, so it must have hard links. Methods block: from the event loop, call them in a thread.
"""

import fcntl
import os
import threading
from pathlib import Path
from types import TracebackType

from api.registry import durable, names
from api.registry.errors import BlobUnknownError, DigestInvalidError, ManifestBlobUnknownError, ManifestUnknownError
from api.registry.manifests import StoredManifest, digest_of, read_manifest


class StorageLockedError(Exception):
    """Another process uses the folder."""


class RegistryStorage:
    """The storage of one registry. Made by `open`; usable as a context manager."""

    def __init__(self, folder: Path, lock: int) -> None:
        self.folder = folder
        self.scratch = folder / "scratch"
        self._contents = folder / "blobs"
        self._repositories = folder / "repositories"
        self._lock = lock
        self._links = threading.Lock()

    @classmethod
    def open(cls, folder: Path) -> "RegistryStorage":
        """Take the folder, making it if need be, and remove what an earlier process left unfinished.

        Raises StorageLockedError if a process, be it this one, has it open. The lock ends with the process, however that ends.
        """
        durable.make_folder(folder)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, durable.FILE_MODE)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(lock)
            raise StorageLockedError(
                f"another registry process uses {folder}: stop that one, or give this one a folder of its own"
            ) from error
        storage = cls(folder, lock)
        for part in (storage.scratch, storage._contents, storage._repositories):
            durable.make_folder(part)
        storage._sweep()
        return storage

    def close(self) -> None:
        """Let the folder go."""
        os.close(self._lock)

    def __enter__(self) -> "RegistryStorage":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _sweep(self) -> None:
        for unfinished in self.scratch.iterdir():
            unfinished.unlink()
        for content in self._contents.iterdir():
            if content.stat().st_nlink == 1:
                content.unlink()

    def _part(self, repository: str, part: str, *more: str) -> Path:
        # A part begins with "_", which no component of a repository's name does: names can't collide with parts.
        return self._repositories.joinpath(names.check_repository(repository), part, *more)

    def _blob_link(self, repository: str, digest: str) -> Path:
        return self._part(repository, "_blobs", _hex(digest))

    # Reading

    def has_repository(self, repository: str) -> bool:
        """Whether anything was ever pushed to the repository."""
        return self._part(repository, "_blobs").is_dir() or self._part(repository, "_manifests").is_dir()

    def blob_path(self, repository: str, digest: str) -> Path:
        """The file with the blob's content, to read only.

        Raises BlobUnknownError, NameInvalidError, DigestInvalidError.
        """
        path = self._blob_link(repository, digest)
        if not path.exists():
            raise BlobUnknownError(f"{repository} has no blob {digest}")
        return path

    def has_blob(self, repository: str, digest: str) -> bool:
        """Whether the repository has the blob; False for what isn't a digest of this registry."""
        return names.is_digest(digest) and self._blob_link(repository, digest).exists()

    def manifest(self, repository: str, reference: str) -> StoredManifest | None:
        """The manifest that a tag or a digest names, or None. Raises NameInvalidError."""
        digest = reference if names.is_digest(reference) else self._tagged(repository, reference)
        if digest is None:
            return None
        try:
            record = self._part(repository, "_manifests", _hex(digest)).read_bytes()
        except FileNotFoundError:
            return None
        media_type, _, content = record.partition(b"\n")
        return StoredManifest(digest, media_type.decode("latin-1"), content)

    def _tagged(self, repository: str, tag: str) -> str | None:
        path = self._part(repository, "_tags")
        if not names.is_tag(tag):
            return None
        try:
            return (path / tag).read_text()
        except FileNotFoundError:
            return None

    def tags(self, repository: str) -> list[str]:
        """The repository's tags, in ASCII order."""
        return _entries(self._part(repository, "_tags"))

    def referrers(self, repository: str, subject: str) -> list[StoredManifest]:
        """The manifests whose subject is this digest, whether or not the subject itself is here; in order of digest."""
        listed = _entries(self._part(repository, "_referrers", _hex(subject)))
        found = (self.manifest(repository, f"sha256:{entry}") for entry in listed)
        return [manifest for manifest in found if manifest is not None]

    # Writing

    def add_blob(self, repository: str, digest: str, received: Path) -> None:
        """Make a blob of a file in `scratch`, whose content has this digest and is on the disk.

        The file moves away, unless another repository has this blob already: then that content serves both.
        """
        content = self._contents / _hex(digest)
        link = self._blob_link(repository, digest)
        durable.make_folder(link.parent)
        with self._links:
            if not content.exists():
                received.rename(content)
            _link(content, link)
        durable.sync_folder(content.parent)
        durable.sync_folder(link.parent)

    def mount_blob(self, repository: str, digest: str, origin: str) -> bool:
        """Give the repository a blob that `origin` has. Returns False, and does nothing, if `origin` doesn't have it."""
        if not self.has_blob(origin, digest):
            return False
        link = self._blob_link(repository, digest)
        durable.make_folder(link.parent)
        try:
            with self._links:
                _link(self._blob_link(origin, digest), link)
        except FileNotFoundError:
            return False  # deleted meanwhile
        durable.sync_folder(link.parent)
        return True

    def put_manifest(self, repository: str, reference: str, media_type: str, content: bytes) -> StoredManifest:
        """Keep a manifest, and tag it if `reference` is a tag. An empty `media_type` is read from the manifest.

        Raises DigestInvalidError (the content has another digest), ManifestInvalidError, ManifestBlobUnknownError,
        TagInvalidError. Then nothing has changed.
        """
        names.check_reference(reference)
        listed = read_manifest(content)
        digest = digest_of(content)
        if names.is_digest(reference) and reference != digest:
            raise DigestInvalidError(f"the manifest received has the digest {digest}, not {reference}")
        for blob in listed.blobs:
            if not self.has_blob(repository, blob):
                raise ManifestBlobUnknownError(f"the manifest lists {blob}, which {repository} doesn't have; push it first")
        manifest = StoredManifest(digest, media_type or listed.media_type, content)
        # The referrers' entry goes first: a manifest that is there is always listed, an entry without one is passed over.
        if listed.subject is not None and names.is_digest(listed.subject):
            self._write(self._part(repository, "_referrers", _hex(listed.subject), _hex(digest)), b"")
        record = manifest.media_type.encode("latin-1") + b"\n" + content
        self._write(self._part(repository, "_manifests", _hex(digest)), record)
        if not names.is_digest(reference):
            self._write(self._part(repository, "_tags", reference), digest.encode())
        return manifest

    def _write(self, path: Path, content: bytes) -> None:
        durable.make_folder(path.parent)
        durable.write_file(path, content, scratch=self.scratch)

    def delete_blob(self, repository: str, digest: str) -> None:
        """Take the blob from the repository; its content goes with the last one that has it. Raises BlobUnknownError."""
        link = self.blob_path(repository, digest)
        content = self._contents / _hex(digest)
        with self._links:
            link.unlink(missing_ok=True)
            if content.exists() and content.stat().st_nlink == 1:
                content.unlink()
        durable.sync_folder(link.parent)

    def delete_manifest(self, repository: str, reference: str) -> None:
        """Remove a tag; or, by digest, a manifest with all its tags. Raises ManifestUnknownError."""
        manifest = self.manifest(repository, reference)
        if manifest is None:
            raise ManifestUnknownError(f"{repository} has no manifest {reference}")
        if not names.is_digest(reference):
            self._remove(self._part(repository, "_tags", reference))
            return
        for tag in self.tags(repository):
            if self._tagged(repository, tag) == reference:
                self._remove(self._part(repository, "_tags", tag))
        self._remove(self._part(repository, "_manifests", _hex(reference)))
        subject = read_manifest(manifest.content).subject
        if subject is not None and names.is_digest(subject):
            self._remove(self._part(repository, "_referrers", _hex(subject), _hex(reference)))

    def _remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        if path.parent.is_dir():
            durable.sync_folder(path.parent)


def _hex(digest: str) -> str:
    return names.check_digest(digest).removeprefix("sha256:")


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileExistsError:
        return  # the repository has it already: the same digest is the same content


def _entries(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in folder.iterdir())
    except FileNotFoundError:
        return []
