"""How large the modules from elsewhere may be that a bundle carries: they are as large as somebody else makes them."""

import asyncio
import contextlib
import os
from collections.abc import Coroutine, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from agent.build.byte_limit import byte_limit
from agent.build.materials import without_login
from agent.bundle.vendored import VendoredModule, vendored_files
from agent.failure import CodedError

MOST_BYTES = "EXCLAVE_MODULES_BYTES"
"""The variable that says how many bytes the modules of a bundle may have together."""

MOST_FILES = 20_000
"""Less than half of what an install agent unpacks from one archive."""

_MOST_BYTES = 512 * 1024**2

FETCHED_TIMES = 4
"""So many times as much may be fetched: a module of git comes with its history, which stays behind."""

_LOOK_SECONDS = 0.5

T = TypeVar("T")


class ModulesTooLargeError(CodedError):
    """The modules that are called are too large together, or have too many files."""

    code = "modules_too_large"
    remedy = f"Call smaller modules, or (for bytes) raise {MOST_BYTES} in the build agent's environment."


async def fetched_within(folder: Path, env: Mapping[str, str], fetching: Coroutine[Any, Any, T]) -> T:
    """What `fetching` gives, which fills `folder`, and is ended when it has put too much there. It is looked at now and then.

    An archive counts as what comes out of it. Raises ModulesTooLargeError, LimitWrongError.
    """
    task = asyncio.ensure_future(fetching)
    try:
        most = byte_limit(env, MOST_BYTES, _MOST_BYTES)
        while not task.done():
            await asyncio.wait([task], timeout=_LOOK_SECONDS)
            size = await asyncio.to_thread(_bytes_below, folder)
            if not task.done() and size > most * FETCHED_TIMES:
                raise ModulesTooLargeError(
                    f"the modules that are called had {size} bytes when fetching them was ended, histories of git included; a "
                    f"bundle may have {most} of them"
                )
        return task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _bytes_below(folder: Path) -> int:
    size = 0
    for where, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):  # git makes and removes files meanwhile
                size += Path(where, name).lstat().st_size
    return size


def check_size(source: Path, modules: Iterable[VendoredModule], env: Mapping[str, str]) -> None:
    """Raises ModulesTooLargeError, which names the largest, LimitWrongError, and the errors of `vendored_files`."""
    most = byte_limit(env, MOST_BYTES, _MOST_BYTES)
    sizes = {source / file.name: Path(file.path).stat().st_size for file in vendored_files(source)}
    size = sum(sizes.values())
    if size <= most and len(sizes) <= MOST_FILES:
        return
    shares = {
        module.source: sum(size for path, size in sizes.items() if path.is_relative_to(module.folder)) for module in modules
    }
    largest = max(shares, key=shares.__getitem__, default="")
    raise ModulesTooLargeError(
        f"the modules that are called have {len(sizes)} files with {size} bytes together, and a bundle may have {MOST_FILES} "
        f"with {most}; the largest is {without_login(largest)} with {shares.get(largest, 0)} bytes"
    )
