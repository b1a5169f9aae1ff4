"""The machine itself: the agent's folder, room on the disk and in memory, programs."""

import asyncio
import os
import shutil
import stat
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from agent.doctor.check import Finding, failed, passed, skipped
from agent.engine.find import EngineNotFoundError, find_engine
from agent.health import memory
from api.contract.enrollment import EnrollResponse

DISK_MB = 2048
"""A release with its engine and providers takes up to 1 GiB while it is unpacked, beside the one before it."""
MEMORY_MB = 512
"""Terraform with a large provider takes up to 400 MiB."""
_INODES = 10_000
_SHOWN = 3


async def home(folder: Path) -> AsyncIterator[Finding]:
    """The folder is this user's alone (0700, its files 0600), and can be written to."""
    if not folder.exists():
        parent = next(parent for parent in folder.absolute().parents if parent.exists())
        if os.access(parent, os.W_OK | os.X_OK):
            yield skipped("home", f"{folder} isn't there yet; the agent makes it at its first start")
        else:
            yield failed("home", f"{folder} can't be made: {parent} isn't writable", f"Make it, and give it to {_me()}.")
        return
    theirs = folder.stat().st_uid
    if theirs != os.geteuid():
        yield failed(
            "home", f"{folder} belongs to user {theirs}, and this is user {os.geteuid()}", f"chown -R {_me()} {folder}"
        )
        return
    open_to_others = [path for path in (folder, *folder.iterdir()) if _open(path)]
    if open_to_others:
        names = ", ".join(str(path) for path in open_to_others[:_SHOWN])
        more = f" and {len(open_to_others) - _SHOWN} more" if len(open_to_others) > _SHOWN else ""
        yield failed("home", f"others may read {names}{more}", f"chmod -R go-rwx {folder}")
        return
    if not os.access(folder, os.W_OK | os.X_OK):
        yield failed("home", f"{folder} can't be written to", "Mount its file system for writing.")
        return
    yield passed("home", f"{folder} is for this user alone")


def enrolled(folder: Path) -> EnrollResponse | None:
    """Who the agent in `folder` is. Raises OSError or ValueError for an identity that is damaged."""
    file = folder / "identity.json"
    return EnrollResponse.model_validate_json(file.read_bytes()) if file.exists() else None


def _open(path: Path) -> bool:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:  # the agent, which may be running, has removed it meanwhile
        return False
    return not stat.S_ISLNK(mode) and bool(mode & 0o077)


def _me() -> str:
    return str(os.geteuid())


async def disk(folder: Path) -> AsyncIterator[Finding]:
    """Room for a release."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free >> 20
    inodes = os.statvfs(there)
    if free < DISK_MB:
        yield failed("disk", f"{free} MiB are free at {there}; a deploy needs up to {DISK_MB}", "Free space, or move --home.")
    elif inodes.f_files and inodes.f_favail < _INODES:
        yield failed("disk", f"{inodes.f_favail} files more can be made at {there}", "Remove small files, or move --home.")
    else:
        yield passed("disk", f"{free} MiB are free at {there}")


async def room_in_memory(
    meminfo: Path = Path("/proc/meminfo"), cgroup: Path = Path("/sys/fs/cgroup")
) -> AsyncIterator[Finding]:
    """Memory for an engine and its providers: of the machine, and of the container (cgroup v2) if there is a limit."""
    used, total = memory(meminfo)
    if used is None or total is None:
        yield skipped("memory", "this system doesn't say how much there is")
        return
    free = total - used
    limit, in_use = _number(cgroup / "memory.max"), _number(cgroup / "memory.current")
    if limit is not None and in_use is not None:
        free = min(free, (limit - in_use) >> 20)
    if free < MEMORY_MB:
        yield failed("memory", f"{free} MiB are free; an engine needs up to {MEMORY_MB}", "Give the machine or container more.")
    else:
        yield passed("memory", f"{free} MiB are free")


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):  # no such group, or `max`
        return None


async def engine(configured: str | None, env: Mapping[str, str]) -> AsyncIterator[Finding]:
    """The Terraform engine for bundles that carry none."""
    try:
        found = await asyncio.to_thread(find_engine, configured, env)
    except EngineNotFoundError as error:
        if configured or env.get("EXCLAVE_ENGINE"):
            yield failed("engine", str(error), error.remedy)
        else:
            yield skipped("engine", f"{error}; bundles that carry their own can be run", error.remedy)
    else:
        yield passed("engine", str(found))


async def programs(env: Mapping[str, str]) -> AsyncIterator[Finding]:
    """Programs that some kinds of component need."""
    for name, needed in (("helm", "only charts need it"), ("git", "only a build agent needs it")):
        found = shutil.which(name, path=env.get("PATH"))
        yield passed(f"program.{name}", found) if found else skipped(f"program.{name}", f"not on PATH; {needed}")
