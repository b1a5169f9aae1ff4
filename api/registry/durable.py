"""Files that are wholly there or not there at all, whenever the process or the machine stops; for their owner's eyes only."""

import os
import secrets
from pathlib import Path

FILE_MODE = 0o600
FOLDER_MODE = 0o700


def make_folder(path: Path) -> None:
    """Make the folder and its parents, each of mode 0700, and put them on the disk."""
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(mode=FOLDER_MODE, exist_ok=True)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Put the folder's entries on the disk: a rename or link in it survives a power cut from here on."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Put the file's content on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def append(path: Path, content: bytes) -> None:
    """Add to the end of a file, which is made if need be."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, FILE_MODE)
    with open(descriptor, "wb", buffering=0) as file:  # noqa: PTH123 (a descriptor, not a path)
        rest = memoryview(content)
        while rest:
            rest = rest[file.write(rest) :]


def write_file(path: Path, content: bytes, *, scratch: Path | None = None) -> None:
    """Replace the file at once. `scratch` is a folder on the same disk for the unfinished file; by default, the file's own."""
    unfinished = (scratch or path.parent) / f".{secrets.token_hex(16)}"
    try:
        append(unfinished, content)
        sync_file(unfinished)
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def create_file(path: Path, content: bytes) -> bool:
    """Make the file, unless there is one already, which then stays as it is. Returns whether it was made."""
    unfinished = path.parent / f".{secrets.token_hex(16)}"
    try:
        append(unfinished, content)
        sync_file(unfinished)
        os.link(unfinished, path)
    except FileExistsError:
        return False
    finally:
        unfinished.unlink(missing_ok=True)
    sync_folder(path.parent)
    return True
