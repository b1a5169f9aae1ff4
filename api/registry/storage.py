"""Blobs, manifests, tags and referrers in one folder.

    lock                                     held by the one process that uses the folder (`sole-writer`)
    place                                    where the bytes of blobs lie, if not here (see `contents`)
    scratch/                                 unfinished files; emptied at start
    blobs/<hex>                              every blob's record, once: on a disk, its content
    repositories/<name>/_blobs/<hex>         a hard link to it for each repository that has it
    repositories/<name>/_manifests/<hex>     media type, line feed, the manifest's bytes
    repositories/<name>/_tags/<tag>          a digest
    repositories/<name>/_referrers/<hex>/<hex>   empty: the second manifest has the first as its subject

64 hex digits are a sha256, 128 a sha512. A file appears under its final name by one rename or link, after its content is on the
disk: a reader never sees a part of one, and a process that stops at any point leaves at most files in `scratch` and records
without a link, which `open` removes. The file system counts who uses a blob, so it must have hard links; a file's time of
change says when somebody last pushed it or asked for it, which the collection goes by. Methods block: from the event loop, call
them in a thread.
"""

import fcntl
import os
import threading
import time
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from api.registry import durable, names
from api.registry.contents import Contents, DiskContents
from api.registry.errors import BlobUnknownError
from api.registry.manifest_files import ManifestFiles, entries
from api.registry.quota import NOTHING_UNDER_WAY, Quota, UnderWay, Usage

_FRESH_SECONDS = 600.0
"""A file that was touched so lately isn't touched again."""


class StorageLockedError(Exception):
    """Another process uses the folder."""


class BlobsElsewhereError(Exception):
    """The folder belongs to blobs that lie in another place than the one it is opened for."""


class RegistryStorage(ManifestFiles):
    """The storage of one registry. Made by `open`; usable as a context manager."""

    def __init__(self, folder: Path, lock: int, contents: Contents, quota: Quota) -> None:
        super().__init__(folder)
        self._records = folder / "blobs"
        self._lock = lock
        self._contents = contents
        self.has_quota = quota != Quota()
        self._usage = Usage(quota, self._size_of_repository)
        self._links = threading.Lock()
        self._arriving: Counter[str] = Counter()

    @classmethod
    def open(cls, folder: Path, *, contents: Contents | None = None, quota: Quota | None = None) -> "RegistryStorage":
        """Take the folder, making it if need be, and remove what an earlier process left unfinished.

        Raises StorageLockedError if a process, be it this one, has it open, and BlobsElsewhereError. The lock ends with the
        process, however that ends.
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
        storage = cls(folder, lock, contents or DiskContents(), quota or Quota())
        try:
            storage._check_place()
            for part in (storage.scratch, storage._records, storage._repositories):
                durable.make_folder(part)
            storage._sweep()
        except BaseException:
            storage.close()
            raise
        return storage

    def close(self) -> None:
        """Let the folder go."""
        os.close(self._lock)

    def __enter__(self) -> "RegistryStorage":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _check_place(self) -> None:
        file = self.folder / "place"
        if not file.exists() and not self._records.exists() and self._contents.place != DiskContents.place:
            durable.write_file(file, self._contents.place.encode())
        place = file.read_text() if file.exists() else DiskContents.place
        if place != self._contents.place:
            raise BlobsElsewhereError(
                f"the blobs of {self.folder} are kept in {place}, not in {self._contents.place}: set it back, "
                "or begin with an empty folder and push the artifacts again"
            )

    def _sweep(self) -> None:
        for unfinished in self.scratch.iterdir():
            unfinished.unlink()
        for record in self._records.iterdir():
            if record.stat().st_nlink == 1:
                record.unlink()
                self._contents.forget(names.digest_named(record.name))
            else:
                self._usage.whole += self._contents.size(record)

    def _blob_link(self, repository: str, digest: str) -> Path:
        return self._part(repository, "_blobs", names.hex_of(digest))

    def _size_of_repository(self, repository: str) -> int:
        folder = self._part(repository, "_blobs")
        return sum(self._contents.size(folder / entry) for entry in entries(folder))

    # Reading

    def blob_size(self, repository: str, digest: str) -> int:
        """How many bytes the blob has. Raises BlobUnknownError, NameInvalidError, DigestInvalidError."""
        try:
            return self._contents.size(self._blob_link(repository, digest))
        except FileNotFoundError:
            raise BlobUnknownError(f"{repository} has no blob {digest}") from None

    def open_blob(self, repository: str, digest: str, start: int, end: int) -> BinaryIO:
        """The blob's bytes from `start` up to `end`. Raises as `blob_size` does."""
        try:
            return self._contents.open(digest, self._blob_link(repository, digest), start, end)
        except FileNotFoundError:
            raise BlobUnknownError(f"{repository} has no blob {digest}") from None

    def read_blob(self, repository: str, digest: str) -> bytes:
        """All of a blob that is known to be small. Raises as `blob_size` does."""
        with self.open_blob(repository, digest, 0, self.blob_size(repository, digest)) as file:
            return file.read()

    def blob_address(self, digest: str) -> str | None:
        """Where else a client can get the blob's bytes, or None."""
        return self._contents.address(digest)

    def has_blob(self, repository: str, digest: str) -> bool:
        """Whether the repository has the blob; False for what isn't a digest of this registry."""
        return names.is_digest(digest) and self._blob_link(repository, digest).exists()

    def asked_for(self, repository: str, digest: str) -> bool:
        """Somebody relies on this blob or manifest, be it only for a push that is under way. Returns whether it is here."""
        found = False
        for part in ("_blobs", "_manifests"):
            path = self._part(repository, part, names.hex_of(digest))
            try:
                if time.time() - path.stat().st_mtime > _FRESH_SECONDS:
                    with self.changing(repository):
                        os.utime(path)
                found = True
            except FileNotFoundError:
                pass
        return found

    def blobs(self, repository: str) -> dict[str, float]:
        """The repository's blobs, and when somebody last pushed each or asked for it (Unix time)."""
        return self._ages(self._part(repository, "_blobs"))

    def users(self, digest: str) -> int:
        """How many repositories have this blob."""
        return (self._records / names.hex_of(digest)).stat().st_nlink - 1

    # Writing

    def check_room(self, repository: str, size: int, under_way: UnderWay = NOTHING_UNDER_WAY) -> None:
        """Raises QuotaExceededError if a blob of `size` bytes that is new to the registry doesn't fit beside what comes."""
        with self._links:
            self._usage.check(repository, size, under_way=under_way)

    def add_blob(self, repository: str, digest: str, received: Path) -> None:
        """Make a blob of a file in `scratch`, whose content has this digest and is on the disk.

        The file moves away, unless another repository has this blob already: then that content serves both. Raises
        QuotaExceededError; then nothing has changed.
        """
        record = self._records / names.hex_of(digest)
        link = self._blob_link(repository, digest)
        size = received.stat().st_size
        durable.make_folder(link.parent)
        with self._links:
            self._check_link(repository, link, record, size)
            self._arriving[digest] += 1  # from here on, nobody removes the content
        try:
            if not record.exists():
                self._contents.keep(digest, received)
            with self._links:
                self._check_link(repository, link, record, size)
                new = not record.exists()
                if new:
                    received.rename(record)
                self._link(repository, record, link, size, new_content=new)
        finally:
            with self._links:
                self._arriving[digest] -= 1
                self._drop(digest, record)
        durable.sync_folder(record.parent)
        durable.sync_folder(link.parent)

    def mount_blob(self, repository: str, digest: str, origin: str) -> bool:
        """Give the repository a blob that `origin` has. Returns False, and does nothing, if `origin` doesn't have it.

        Raises QuotaExceededError.
        """
        if not self.has_blob(origin, digest):
            return False
        source, link = self._blob_link(origin, digest), self._blob_link(repository, digest)
        durable.make_folder(link.parent)
        try:
            with self._links:
                size = self._contents.size(source)
                self._check_link(repository, link, source, size)
                self._link(repository, source, link, size, new_content=False)
        except FileNotFoundError:
            return False  # deleted meanwhile
        durable.sync_folder(link.parent)
        return True

    def _check_link(self, repository: str, link: Path, record: Path, size: int) -> None:
        if not link.exists():
            self._usage.check(repository, size, new_content=not record.exists())

    def _link(self, repository: str, record: Path, link: Path, size: int, *, new_content: bool) -> None:
        try:
            os.link(record, link)
            self._usage.add(repository, size, new_content=new_content)
        except FileExistsError:
            pass  # the repository has it already: the same digest is the same content
        if not new_content:
            os.utime(link)

    def _drop(self, digest: str, record: Path) -> int:
        """Remove content that no repository has and nobody is about to link. Returns its size, or 0. The lock is held."""
        if self._arriving[digest]:
            return 0
        del self._arriving[digest]
        size = 0
        if record.exists():
            if record.stat().st_nlink > 1:
                return 0
            size = self._contents.size(record)
            record.unlink()
            self._usage.whole -= size
        self._contents.forget(digest)
        return size

    def delete_blob(self, repository: str, digest: str) -> int:
        """Take the blob from the repository; its content goes with the last one that has it. Raises BlobUnknownError.

        Returns how many bytes became free.
        """
        link = self._blob_link(repository, digest)
        with self._links:
            size = self.blob_size(repository, digest)
            link.unlink()
            self._usage.add(repository, -size, new_content=False)
            freed = self._drop(digest, self._records / link.name)
        durable.sync_folder(link.parent)
        return freed

    def delete_stray_contents(self, moment: float, *, dry_run: bool) -> int:
        """Remove bytes that were kept before `moment` (Unix time) and that no record tells of. Returns how many."""
        freed = 0
        for digest, size in self._contents.older_than(moment):
            record = self._records / names.hex_of(digest)
            with self._links:
                if not record.exists() and not self._arriving[digest]:
                    freed += size
                    if not dry_run:
                        self._contents.forget(digest)
        return freed
