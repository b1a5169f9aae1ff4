"""Whose the files are that a sandbox writes: those of its own user while it runs, the agent's again afterwards."""

import asyncio
import os
from pathlib import Path

from agent.build.program import run_program
from agent.sandbox.inside import FIRST_USER, subordinate
from agent.sandbox.sandbox import for_builders

_SECONDS = 600.0


async def give_away(folder: Path) -> None:
    """Let the sandbox's first user, who is nobody outside, own the folder and all that is in it."""
    if os.getuid() == 0:
        await asyncio.to_thread(_give_to, folder, FIRST_USER)
    elif subordinate("/etc/subuid") is not None:
        await _as_owner("chown", "-R", "-h", "1:1", str(folder))


async def take_back(*folders: Path) -> None:
    """Own them again, and all that is in them. For root, that makes no difference."""
    if os.getuid() != 0 and subordinate("/etc/subuid") is not None:
        await _as_owner("chown", "-R", "-h", "0:0", *map(str, folders))


async def remove(folder: Path) -> None:
    """Remove what the sandbox's users own."""
    if os.getuid() != 0 and subordinate("/etc/subuid") is not None:
        await _as_owner("rm", "-rf", str(folder))


def _give_to(folder: Path, user: int) -> None:
    for path in [folder, *folder.rglob("*")]:
        os.lchown(path, user, user)


async def _as_owner(*argv: str) -> None:
    """Run a program of ours as the root of a user namespace that has this user, too."""
    await run_program([*for_builders(Path("/"), own=True), *argv], folder=Path("/"), env={"PATH": os.defpath}, timeout=_SECONDS)
