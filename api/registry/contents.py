"""Where the bytes of blobs lie: the interface between the storage, which knows who has what, and a disk or an object store."""

from pathlib import Path
from typing import BinaryIO, Protocol


class Contents(Protocol):
    """Keeps the bytes of blobs, each once, by digest.

    The storage has one file for each blob, its record, which it links into the repositories that have the blob. What is in
    that file is for the contents to say: the bytes themselves, or what is known about bytes that lie elsewhere. Methods block,
    and may be called from several threads; the storage never calls `keep` and `forget` for one digest at the same time.
    """

    @property
    def place(self) -> str:
        """Where that is, as the folder remembers it: a storage opened for another place is refused."""
        ...

    def keep(self, digest: str, received: Path) -> None:
        """Take the bytes of a received file, which is on the disk and has this digest, and make it the blob's record."""
        ...

    def forget(self, digest: str) -> None:
        """The record is gone, and nothing refers to the bytes any more: remove them, if they aren't in the record."""
        ...

    def size(self, record: Path) -> int:
        """How many bytes the blob has. Raises FileNotFoundError."""
        ...

    def open(self, digest: str, record: Path, start: int, end: int) -> BinaryIO:
        """The bytes from `start` up to `end`; what comes after them isn't the reader's. Raises FileNotFoundError."""
        ...

    def address(self, digest: str) -> str | None:
        """A URL where a client may GET the bytes by itself for some minutes, or None: then they come from `open`."""
        ...

    def older_than(self, moment: float) -> list[tuple[str, int]]:
        """Digest and size of bytes outside of records that were kept before `moment` (Unix time); for the collection."""
        ...


class DiskContents:
    """The record is the blob."""

    place = "disk"

    def keep(self, digest: str, received: Path) -> None:
        """The file is what it should be."""

    def forget(self, digest: str) -> None:
        """The bytes went with the record."""

    def size(self, record: Path) -> int:
        """The file's size."""
        return record.stat().st_size

    def open(self, digest: str, record: Path, start: int, end: int) -> BinaryIO:
        """The file from `start` on."""
        file = record.open("rb", buffering=0)
        file.seek(start)
        return file

    def address(self, digest: str) -> str | None:
        """None: the registry itself serves its disk."""
        return None

    def older_than(self, moment: float) -> list[tuple[str, int]]:
        """Nothing lies outside of records."""
        return []
