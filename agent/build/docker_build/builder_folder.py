"""The folder in which one image is built: in the temporary folder, as nobody else may enter the agent's home.

What runs in the sandbox owns its files. A lock beside it lives as long as the agent does, so that a later agent knows what an
earlier one left that was killed.
"""

import asyncio
import fcntl
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from agent.sandbox.ownership import remove

_PREFIX = "exclave-build-"
_LOCK = ".lock"


@asynccontextmanager
async def builder_folder() -> AsyncIterator[Path]:
    """A new folder, which goes at the end."""
    folder, lock = await asyncio.to_thread(_make)
    try:
        yield folder
    finally:
        await _remove(folder, lock)


async def sweep_builder_folders() -> None:
    """Remove the folders of this user's agents that don't live any more."""
    for path in await asyncio.to_thread(lambda: list(Path(tempfile.gettempdir()).glob(f"{_PREFIX}*{_LOCK}"))):
        lock = await asyncio.to_thread(_take, path)
        if lock is not None:
            await _remove(path.with_suffix(""), lock)


def _make() -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.gettempdir()) / f"{_PREFIX}{secrets.token_hex(8)}"
        path = folder.with_name(folder.name + _LOCK)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.stat(path).st_ino == os.fstat(lock).st_ino:  # noqa: PTH116 - beside fstat
                folder.mkdir(mode=0o700)
                return folder, lock
        except (BlockingIOError, FileNotFoundError):
            os.close(lock)  # a sweep came between the file and its lock
        except BaseException:
            os.close(lock)
            path.unlink(missing_ok=True)
            raise


def _take(path: Path) -> int | None:
    """The lock, if it is this user's and nobody holds it."""
    try:
        lock = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return None
    found = os.fstat(lock)
    try:
        if stat.S_ISREG(found.st_mode) and found.st_uid == os.getuid():
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
    except BlockingIOError:
        pass
    os.close(lock)
    return None


async def _remove(folder: Path, lock: int) -> None:
    await remove(folder)
    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    folder.with_name(folder.name + _LOCK).unlink(missing_ok=True)
    os.close(lock)
