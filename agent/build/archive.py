"""Tar archives: written so that equal content gives equal bytes on every machine, and read so that none can do harm."""

import gzip
import io
import struct
import tarfile
import zlib
from collections.abc import Mapping

from agent.failure import CodedError

_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_STORED_BYTES = 0xFFFF
_READ_BYTES = 1 << 20


class UnsafeArchiveError(CodedError):
    """The archive could fill the memory or the disk, write outside of its folder, or isn't an archive."""

    code = "unsafe_archive"
    remedy = "Don't use this source; ask whoever made it."


def tar(files: Mapping[str, tuple[bytes, bool]]) -> bytes:
    """A tar of `{name: (content, executable)}` in the order of names: no times, no owners."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in sorted(files, key=str.encode):
            content, executable = files[name]
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.mode = 0o755 if executable else 0o644
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def gzip_stored(data: bytes) -> bytes:
    """A gzip file (RFC 1952) of stored blocks: what a compressor makes depends on its version, this doesn't."""
    blocks = [data[at : at + _STORED_BYTES] for at in range(0, len(data), _STORED_BYTES)] or [b""]
    body = b"".join(
        struct.pack("<BHH", at == len(blocks) - 1, len(block), len(block) ^ 0xFFFF) + block for at, block in enumerate(blocks)
    )
    return _GZIP_HEADER + body + struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF)


def read_tgz(data: bytes, *, most_bytes: int, most_entries: int = 20_000) -> dict[str, bytes]:
    """The files of a gzipped tar, by name, in memory. Raises UnsafeArchiveError.

    Refused are names that leave the folder, links, devices and sparse files, one name twice, and what unpacks to more than
    `most_bytes`.
    """
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
            unpacked = _read_at_most(packed, most_bytes)
        with tarfile.open(fileobj=io.BytesIO(unpacked), mode="r:") as archive:
            return _files(archive, most_entries)
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise UnsafeArchiveError(f"it isn't an archive that can be read: {error}") from None


def read_tar(data: bytes, *, most_entries: int = 20_000) -> dict[str, bytes]:
    """The files of a tar, by name. Raises UnsafeArchiveError, as `read_tgz` does."""
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            return _files(archive, most_entries)
    except (OSError, EOFError, tarfile.TarError) as error:
        raise UnsafeArchiveError(f"it isn't an archive that can be read: {error}") from None


def _read_at_most(packed: gzip.GzipFile, most: int) -> bytes:
    unpacked = bytearray()
    while block := packed.read(_READ_BYTES):
        unpacked += block
        if len(unpacked) > most:
            raise UnsafeArchiveError(f"the archive unpacks to more than {most} bytes")
    return bytes(unpacked)


def _files(archive: tarfile.TarFile, most_entries: int) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for count, entry in enumerate(archive, start=1):
        if count > most_entries:
            raise UnsafeArchiveError(f"the archive has more than {most_entries} entries")
        name = entry.name.removeprefix("./").removesuffix("/")
        if entry.isdir():
            continue
        # tarfile calls a sparse file a file, too: a few bytes of one can unpack to as much as they like.
        if not entry.isfile() or entry.issparse():
            raise UnsafeArchiveError(f"the archive has the entry {entry.name!r}, which is neither a file nor a folder")
        if name.startswith("/") or "\\" in name or any(part in ("", ".", "..") for part in name.split("/")):
            raise UnsafeArchiveError(f"the archive has the entry {entry.name!r}, which leaves its folder")
        if name in files:
            raise UnsafeArchiveError(f"the archive has {name!r} twice")
        content = archive.extractfile(entry)
        assert content is not None  # it is a file
        files[name] = content.read()
    return files
