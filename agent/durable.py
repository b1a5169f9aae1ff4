"""Files that must be whole after a crash: written aside, flushed to the disk, then moved into place."""

import contextlib
import fcntl
import os
import re
import secrets
from pathlib import Path

ASIDE = ".new"
"""How the name ends under which a file is written, which has the file's own name before it."""

RESERVED_BYTES = 64 * 1024 * 1024
"""So much of the disk no log ever takes, and no apply begins with less: state, the journal and reports must find room."""


def write_durably(path: Path, data: bytes) -> None:
    """Put `data` at `path`, readable by this user alone. After a crash there is the old file or the new one, never a part.

    Of several writers at once, in whatever processes, each puts its own file there whole, and the last one's stays. What root
    writes belongs to the folder's owner: a customer runs commands with sudo beside an agent that isn't root.
    """
    _make(path.parent)
    sweep_asides(path)
    aside, descriptor = _begin(path)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            aside.replace(path)  # still locked: nobody takes it for a dead writer's
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    flush_folder(path.parent)


def sweep_asides(path: Path) -> None:
    """Remove what writers of `path` left behind that were killed: nobody holds the locks of those."""
    its_own = re.compile(re.escape(path.name) + r"\.[0-9a-f]{16}" + re.escape(ASIDE))
    for name in filter(its_own.fullmatch, os.listdir(path.parent)):  # noqa: PTH208 - names, not paths
        aside = path.with_name(name)
        with contextlib.suppress(OSError):  # gone, or in use, or not this user's to judge
            descriptor = os.open(aside, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                aside.unlink()
            finally:
                os.close(descriptor)


def _begin(path: Path) -> tuple[Path, int]:
    """A new file beside `path`, and its descriptor, which holds its lock."""
    while True:
        aside = path.with_name(f"{path.name}.{secrets.token_hex(8)}{ASIDE}")
        # O_EXCL: never through a link that somebody put there.
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            _belong(aside)
            return aside, descriptor
        os.close(descriptor)  # another writer took it for a dead one's before it was locked


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
