# Copied from api/contract/source_digest.py. Edit that one; see its first lines.
"""The content hash of a source folder: the one listing and the one digest that the provider and the build agent share.

Standard library only, and it imports nothing of ours: `python -m api.contract.provider_schema` copies this file to
`provider_bridge/resources/source_digest.py`, because the provider's process must not load the contract's models.

The digest is sha256 over one record for each file, in the order of the files' relative paths as UTF-8 bytes:

    <mode> SP <sha256 of the content, hex> SP <relative path, with "/"> NUL

`mode` is `x` if the owner may execute the file, else `-`. Owners, times, other permission bits and empty folders don't count.
Left out are `.git` and `.terraform` folders and `*.tfstate*` files, at any depth. A symbolic link counts as what it points to.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

_SKIPPED_FOLDERS = frozenset({".git", ".terraform"})
_READ_BYTES = 1 << 20


class SourceError(ValueError):
    """The folder can't be hashed as it is. The text says which entry is at fault and what to do."""


@dataclass(frozen=True)
class SourceFile:
    """One file that belongs to the source. `name` is its path inside the folder, with `/`."""

    name: str
    path: str
    executable: bool


def source_files(folder: str) -> list[SourceFile]:
    """The files of the source, in the order in which they are hashed and bundled.

    Raises OSError if a folder can't be read, SourceError for a link that leads nowhere or into a loop, for what is neither file
    nor folder, and for a name that isn't UTF-8.
    """
    return sorted(_walk(folder, "", ()), key=lambda file: file.name.encode())


def source_digest(folder: str) -> str:
    """The folder's digest, `sha256:` and 64 hex digits. Raises what `source_files` raises, and OSError for unreadable files."""
    total = hashlib.sha256()
    for file in source_files(folder):
        mode = "x" if file.executable else "-"
        total.update(f"{mode} {_content_digest(file.path)} {file.name}\0".encode())
    return f"sha256:{total.hexdigest()}"


def _walk(folder: str, prefix: str, trail: tuple[tuple[int, int], ...]) -> Iterator[SourceFile]:
    found = os.stat(folder)  # noqa: PTH116 - pathlib costs start time in the provider
    real = (found.st_dev, found.st_ino)
    if real in trail:
        raise SourceError(f"the link {prefix.rstrip('/')!r} leads into a loop; remove it")
    with os.scandir(folder) as entries:
        for entry in entries:
            name = prefix + entry.name
            try:
                name.encode()
            except UnicodeEncodeError:
                raise SourceError(f"the name {name!r} isn't UTF-8; rename it") from None
            if entry.is_dir():
                if entry.name not in _SKIPPED_FOLDERS:
                    yield from _walk(entry.path, f"{name}/", (*trail, real))
            elif entry.is_file():
                if ".tfstate" not in entry.name:
                    yield SourceFile(name, entry.path, bool(entry.stat().st_mode & stat.S_IXUSR))
            else:
                raise SourceError(f"{name!r} is neither a file nor a folder, or a link that leads nowhere; remove it")


def _content_digest(path: str) -> str:
    content = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - pathlib costs start time in the provider
        while block := file.read(_READ_BYTES):
            content.update(block)
    return content.hexdigest()
