"""`sole-writer`: at most one engine at work in a workspace, across agents that were killed and started again.

The lock is a `flock` on a file of the workspace. Its descriptor is inherited by the engine and everything that the engine
starts, so that it is held as long as any of them lives, even when the agent that took it is long gone.
"""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

_TRY_SECONDS = 0.1


class WorkspaceBusyError(Exception):
    """An engine of an earlier run still lives in the workspace."""

    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__(f"another engine has been at work in {path.parent} for more than {seconds:g} s")
        self.path = path


@asynccontextmanager
async def workspace_lock(path: Path, *, limit: float, waiting: Callable[[], None] = lambda: None) -> AsyncIterator[int]:
    """Hold the lock file at `path`; gives its descriptor, for the engine to inherit.

    Waits up to `limit` seconds for an engine of an earlier run to end, and calls `waiting` again and again meanwhile, which
    may raise to stop that. Raises WorkspaceBusyError.
    """
    descriptor = await _acquire(path, limit, waiting)
    try:
        yield descriptor
    finally:
        # Unlocked, not only closed: a process that the engine left behind on purpose holds the same open file.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


async def _acquire(path: Path, limit: float, waiting: Callable[[], None]) -> int:
    give_up = asyncio.get_running_loop().time() + limit
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            continue  # whoever held it has removed the workspace since
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
        else:
            if _is_at(descriptor, path):
                return descriptor
            # Whoever held it removed the workspace meanwhile: this lock guards a file that has no name any more.
            os.close(descriptor)
            continue
        if asyncio.get_running_loop().time() >= give_up:
            raise WorkspaceBusyError(path, limit)
        waiting()
        await asyncio.sleep(_TRY_SECONDS)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
