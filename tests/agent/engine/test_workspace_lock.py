"""`sole-writer`: one engine at a time runs in a workspace."""

import asyncio
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from agent.engine.lock import WorkspaceBusyError, workspace_lock

pytestmark = pytest.mark.anyio


async def test_two_never_hold_the_lock_at_once(tmp_path: Path) -> None:
    async with workspace_lock(tmp_path / "lock", limit=0):
        with pytest.raises(WorkspaceBusyError):
            async with workspace_lock(tmp_path / "lock", limit=0.2):
                pass
    async with workspace_lock(tmp_path / "lock", limit=0):
        pass


async def test_whoever_waits_gets_the_lock_when_it_is_free(tmp_path: Path) -> None:
    order: list[str] = []
    held = asyncio.Event()

    async def hold(name: str, until: asyncio.Event) -> None:
        async with workspace_lock(tmp_path / "lock", limit=240):
            order.append(name)
            held.set()
            await until.wait()

    first, second = asyncio.Event(), asyncio.Event()
    one = asyncio.create_task(hold("one", first))
    await held.wait()
    two = asyncio.create_task(hold("two", second))
    first.set()
    second.set()
    await asyncio.gather(one, two)
    assert order == ["one", "two"]


async def test_whoever_waits_can_be_called_away(tmp_path: Path) -> None:
    def called_away() -> None:
        raise InterruptedError

    async with workspace_lock(tmp_path / "lock", limit=0):
        with pytest.raises(InterruptedError):
            async with workspace_lock(tmp_path / "lock", limit=240, waiting=called_away):
                pass


async def test_a_lock_on_a_removed_workspace_guards_nothing(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    taken = asyncio.Event()

    async def wait_for_it() -> None:
        taken.set()
        async with workspace_lock(workspace / "lock", limit=240):
            assert (workspace / "lock").exists()

    async with workspace_lock(workspace / "lock", limit=0):
        waiting = asyncio.create_task(wait_for_it())
        await taken.wait()
        shutil.rmtree(workspace)
    await waiting


async def test_a_workspace_that_goes_just_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "workspace" / "lock"
    usual, gone = os.open, list[Path]()

    def just_after_it_has_gone(path: str | Path, *rest: Any, **more: Any) -> int:
        if path == lock and not gone:
            gone.append(lock)
            lock.parent.rmdir()
        return usual(path, *rest, **more)

    monkeypatch.setattr(os, "open", just_after_it_has_gone)
    async with workspace_lock(lock, limit=0):
        assert lock.exists()
    assert gone
