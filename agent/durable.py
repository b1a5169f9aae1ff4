"""Files that must be whole after a crash: written aside, flushed to the disk, then moved into place."""

import os
from pathlib import Path

RESERVED_BYTES = 64 * 1024 * 1024
"""So much of the disk no log ever takes, and no apply begins with less: state, the journal and reports must find room."""


def write_durably(path: Path, data: bytes) -> None:
    """Put `data` at `path`, readable by this user alone. After a crash there is the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + ".new")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    flush_folder(path.parent)


def flush_folder(path: Path) -> None:
    """Make new and removed names in a folder last."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
