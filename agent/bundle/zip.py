"""Zip files: written so that equal content gives equal bytes, and read so that no archive can do harm."""

import os
import re
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agent.failure import CodedError

Compression = Literal["stored", "deflated"]

_EPOCH = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
_ENCRYPTED = 0x1
_COPY_BYTES = 1024 * 1024
_FREE_BYTES = 16 * 1024 * 1024
_DRIVE = re.compile(r"[A-Za-z]:")


class UnsafeZipError(CodedError):
    """The archive could write outside of its folder, fill the disk, or isn't a zip file. Nothing of it was kept."""

    code = "unsafe_archive"
    remedy = "Don't use this artifact; ask the vendor how it was made."


@dataclass(frozen=True)
class PackedFile:
    """One file to put into a zip: `name` inside it, with `/`, and where its content is now."""

    name: str
    path: Path
    executable: bool = False


@dataclass(frozen=True)
class Limits:
    """What an archive may unpack to. `ratio` (unpacked to packed size) counts above 16 MiB only."""

    entries: int = 50_000
    bytes: int = 8 * 1024**3
    ratio: float = 200.0


DEFAULT_LIMITS = Limits()


def write_zip(target: Path, files: Iterable[PackedFile], compression: Compression) -> None:
    """Write `files` in the order of their names, with the date 1980-01-01 and mode 0644 or 0755, and nothing else.

    Stored, equal files give equal bytes everywhere. Deflated, they do with the same zlib.
    """
    method = zipfile.ZIP_STORED if compression == "stored" else zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(target, "w", method) as archive:
        for file in sorted(files, key=lambda file: file.name.encode()):
            entry = zipfile.ZipInfo(file.name, _EPOCH)
            entry.create_system = _UNIX
            entry.compress_type = method
            entry.external_attr = (stat.S_IFREG | (0o755 if file.executable else 0o644)) << 16
            entry.file_size = file.path.stat().st_size  # decides whether the entry needs zip64
            with file.path.open("rb") as content, archive.open(entry, "w") as packed:
                shutil.copyfileobj(content, packed, _COPY_BYTES)


def extract_zip(archive: Path, into: Path, limits: Limits = DEFAULT_LIMITS) -> None:
    """Unpack `archive` as the new folder `into`, which appears whole or not at all. Raises UnsafeZipError.

    Files get mode 0644 or 0755. Refused are names that leave the folder, links and devices, one name twice, encryption, and
    whatever is beyond `limits`.
    """
    temporary = Path(tempfile.mkdtemp(dir=into.parent, prefix=f".{into.name}."))
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = opened.infolist()
            check_entries(entries, archive.stat().st_size, limits)
            for entry in entries:
                _extract(opened, entry, temporary)
        temporary.chmod(0o755)
        temporary.rename(into)
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise UnsafeZipError(f"{archive.name} isn't a zip file that can be read: {error}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_entries(entries: list[zipfile.ZipInfo], packed_size: int, limits: Limits) -> None:
    """Judge an archive by its directory, before anything is unpacked. Raises UnsafeZipError."""
    if len(entries) > limits.entries:
        raise UnsafeZipError(f"the archive has {len(entries)} entries, more than {limits.entries}")
    size = sum(entry.file_size for entry in entries)
    if size > limits.bytes:
        raise UnsafeZipError(f"the archive unpacks to {size} bytes, more than {limits.bytes}")
    if size > max(limits.ratio * packed_size, _FREE_BYTES):
        raise UnsafeZipError(f"the archive unpacks from {packed_size} to {size} bytes: a zip bomb")
    files: set[str] = set()
    folders: set[str] = set()
    for entry in entries:
        _check_entry(entry)
        name = entry.filename.rstrip("/")
        parts = name.split("/")
        parents = {"/".join(parts[:count]) for count in range(1, len(parts))}
        if name in files or parents & files or (not entry.is_dir() and name in folders):
            raise UnsafeZipError(f"the archive has {name!r} twice")
        folders |= parents
        (folders if entry.is_dir() else files).add(name)


def _check_entry(entry: zipfile.ZipInfo) -> None:
    name = entry.filename
    # zipfile cuts a name at NUL and rewrites separators; what it read is in orig_filename.
    if "\0" in entry.orig_filename or "\\" in entry.orig_filename:
        raise UnsafeZipError(f"the archive has an entry with the name {entry.orig_filename!r}")
    parts = name.removesuffix("/").split("/")
    if _DRIVE.match(name) or any(part in ("", ".", "..") for part in parts):
        raise UnsafeZipError(f"the archive has the entry {name!r}, which leaves its folder")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR) or (kind == stat.S_IFDIR) > entry.is_dir():
        raise UnsafeZipError(f"the archive has the entry {name!r}, which is neither a file nor a folder")
    if entry.flag_bits & _ENCRYPTED:
        raise UnsafeZipError(f"the archive has the entry {name!r}, which is encrypted")


def _extract(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path) -> None:
    path = folder / entry.filename
    if entry.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    executable = (entry.external_attr >> 16) & stat.S_IXUSR
    # O_EXCL: what isn't there yet can't be a link to somewhere else. zipfile reads no more than the entry's stated size.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o755 if executable else 0o644)
    with archive.open(entry) as packed, os.fdopen(descriptor, "wb") as file:
        shutil.copyfileobj(packed, file, _COPY_BYTES)
