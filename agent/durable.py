"""Files that must be whole after a crash: written aside, flushed to the disk, then moved into place."""

import os
from pathlib import Path

RESERVED_BYTES = 64 * 1024 * 1024
"""So much of the disk no log ever takes, and no apply begins with less: state, the journal and reports must find room."""


def write_durably(path: Path, data: bytes) -> None:
    """Put `data` at `path`, readable by this user alone. After a crash there is the old file or the new one, never a part.

    What root writes belongs to the folder's owner: a customer runs commands with sudo beside an agent that isn't root.
    """
    _make(path.parent)
    aside = path.with_name(path.name + ".new")
    aside.unlink(missing_ok=True)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)  # never through a link that somebody put there
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    _belong(aside)
    aside.replace(path)
    flush_folder(path.parent)


def _make(folder: Path) -> None:
    if not folder.exists():
        _make(folder.parent)
        folder.mkdir(exist_ok=True)
        _belong(folder)


def _belong(path: Path) -> None:
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def flush_folder(path: Path) -> None:
    """Make new and removed names in a folder last."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
