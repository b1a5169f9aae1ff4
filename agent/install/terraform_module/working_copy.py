"""A component's state while an engine may write it: a plain file in the workspace, fetched before and put back after.

The engine gets Terraform's `local` backend, which writes to the disk whenever an object has changed: `kill -9` of an engine
loses nothing (a remote backend is told after 20 seconds at the earliest). What a killed engine or agent leaves here is
newer than what is stored, and is stored before anything else is done (`sole-writer`, docs/decisions/0021).

state/
  terraform.tfstate          the engine's, as long as it is at work, and until it is stored
  known.json                 what is stored, as far as this machine knows
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from agent.backoff import Backoff
from agent.durable import write_durably
from agent.engine.run import Ended
from agent.failure import CodedError
from agent.install.deployer import Task
from agent.install.terraform_module.module import ERRORED, Module
from agent.install.workspace import Workspace
from agent.state.lock import holder, state_lock
from agent.state.recover import digest, unsaved
from agent.state.statefile import has_resources
from agent.state.states import ComponentStates, StateConflictError, States, Stored
from agent.state.store import StateUnreachableError
from agent.state.threads import in_thread
from api.contract.base import Model

T = TypeVar("T")

_PUSH_SECONDS = 5.0
_SETTLE_SECONDS = 1.0
_FREE_BYTES = 16 * 1024 * 1024


class StateNotStoredError(CodedError):
    """The engine's work is done, and its state is on this machine, but not where states are kept."""

    code = "state_not_stored"
    retryable = True
    remedy = (
        "Nothing is lost: the state is kept on the agent's machine, and is stored before the next job of this component. Make "
        "the place that --state names reachable, then retry."
    )


class DiskFullError(CodedError):
    """There is no room to write state down; so nothing is begun that would need it."""

    code = "disk_full"
    retryable = True
    remedy = "Free some space on the disk of the agent's --home, then retry."


@dataclass(frozen=True)
class DiskRoom:
    """The room on the disk of a folder."""

    folder: Path

    def check(self, state: bytes) -> None:
        """Raises DiskFullError if `state`, grown, might not find room a few times over."""
        wanted = _FREE_BYTES + 4 * len(state)
        free = shutil.disk_usage(self.folder).free
        if free < wanted:
            raise DiskFullError(
                f"the disk of {self.folder} has {free // 1024} KiB left, and {wanted // 1024} KiB are needed to keep state "
                "safely; nothing was run"
            )


class _Known(Model):
    """What is stored, or is just being stored: digests, and whether any of these states has an object."""

    digests: list[str]
    resources: bool


def may_have_resources(workspace: Workspace, states: States, component: str) -> bool:
    """Whether the state may know of any object. Asks only this machine's disk."""
    left = left_behind(workspace)
    if left:
        return any(not state or has_resources(state) for state in left)  # an empty file is one that was cut off
    known = _known(workspace)
    if known is not None:
        return known.resources
    if states.store.remote:
        return True  # an agent on another machine may have made something
    stored = states.of(component).load()
    return stored is not None and has_resources(stored.state)


class WorkingCopy:
    """The state of a task's component, checked out."""

    def __init__(self, task: Task, states: ComponentStates, stored: Stored | None, patience: float) -> None:
        self._task = task
        self._workspace = task.workspace
        self._states = states
        self._stored = stored
        self._patience = patience
        self._alone = asyncio.Lock()
        self._changed = asyncio.Event()
        self._forget = False

    def changed(self) -> None:
        """An object was changed: the state is stored soon, while the engine is still at work."""
        self._changed.set()

    async def current(self, module: Module) -> bytes:
        """The state as the engine has left it; empty if there is none."""
        left = left_behind(self._workspace)
        return left[-1] if left else self._state or b""

    def forget(self) -> None:
        """Remove the state instead of storing it: everything that it knew of is destroyed."""
        self._forget = True

    async def ready(self, module: Module) -> None:
        """The module is initialised: nothing to do, the engine finds its state."""

    def ended(self, ended: Ended) -> None:
        """An engine has ended. The lock of its `local` backend has ended with it."""

    async def unlocked(self, ended: Ended) -> bool:
        """Whether a lock was removed: never, there is none that outlives the engine."""
        return False

    def check_room(self) -> None:
        """Raises DiskFullError if the state might not find room on the disk; what is found is kept for it."""
        DiskRoom(self._workspace.root).check(self._state or b"")
        _reserve(self._workspace, _FREE_BYTES // 2 + 2 * len(self._state or b""))

    async def begin(self) -> None:
        """Store what an earlier engine left, and put what is stored in the engine's place."""
        left = left_behind(self._workspace)
        known = _known(self._workspace)
        newer = unsaved(self._state, known.digests if known else [], left)
        if newer is not None:
            await self._store(newer)
            self._task.context.log("stored the state that an earlier engine left on this machine")
        _write_known(self._workspace, self._state)
        _clear(self._workspace)
        if self._state is not None:
            write_durably(self._workspace.state, self._state)

    async def follow(self) -> None:
        """Store the state whenever it has changed, not too often. What goes wrong here, `end` tries again."""
        while True:
            await self._changed.wait()
            await asyncio.sleep(_SETTLE_SECONDS)
            self._changed.clear()
            async with self._alone:
                try:
                    newer = unsaved(self._state, self._digests, left_behind(self._workspace))
                    if newer is not None:
                        await in_thread(self._save, newer)
                except (StateConflictError, StateUnreachableError) as error:
                    # The engine may have been in the middle of writing, too.
                    self._task.context.log(f"the state isn't stored yet: {error}")
            await asyncio.sleep(_PUSH_SECONDS)

    async def stop(self, following: "asyncio.Task[None] | None") -> None:
        """End `follow`, but never in the middle of a write, whose tag would be lost."""
        if following is not None:
            async with self._alone:
                following.cancel()
            await asyncio.wait([following])

    async def end(self) -> None:
        """Store what the engine left.

        Raises StateNotStoredError or StateConflictError; the state stays on this machine then.
        """
        async with self._alone:
            _free_reserve(self._workspace)
            if self._forget:
                await self._patiently(self._states.remove)
                self._stored = None
            else:
                newer = unsaved(self._state, self._digests, left_behind(self._workspace))
                if newer is not None:
                    await self._store(newer)
            _write_known(self._workspace, self._state)
            _clear(self._workspace)

    @property
    def _state(self) -> bytes | None:
        return self._stored.state if self._stored else None

    @property
    def _digests(self) -> list[str]:
        return [digest(self._stored.state)] if self._stored else []

    def _save(self, state: bytes) -> None:
        # Said first: after a kill in the middle, the next begin knows that whoever wrote this was this machine.
        _write_known(self._workspace, *filter(None, [self._state, state]))
        self._stored = self._states.save(state, self._stored.tag if self._stored else None)
        _write_known(self._workspace, state)

    async def _store(self, state: bytes) -> None:
        def store() -> None:
            self._states.keep(state, self._task.context.job_id, datetime.now(UTC))
            self._save(state)

        try:
            await self._patiently(store)
        except StateUnreachableError as error:
            raise StateNotStoredError(f"the state of {self._task.job.component} could not be stored: {error}") from None

    async def _patiently(self, work: Callable[[], T]) -> T:
        return await patiently(work, self._patience, self._task.context.log)


@asynccontextmanager
async def checked_out(task: Task, states: States) -> AsyncIterator[WorkingCopy]:
    """The state of the task's component, under the store's lock, in the place where the engine expects it.

    Raises StateUnreachableError, StateLockedError, StateConflictError or StateKeyError before, and StateNotStoredError or
    StateConflictError after the block.
    """
    of = states.of(task.job.component)
    context = task.context
    lock = state_lock(
        states.store,
        of.lock_name,
        holder(states.agent, context.job_id, context.attempt),
        context.log,
        waiting=context.cancellation.check,
    )
    async with lock:
        copy = WorkingCopy(task, of, await patiently(of.load, states.patience, context.log), states.patience)
        await copy.begin()
        following = asyncio.create_task(copy.follow(), name=f"state of {of.context}") if states.store.remote else None
        try:
            yield copy
        except BaseException:
            await copy.stop(following)
            try:
                await copy.end()
            except (StateNotStoredError, StateConflictError) as error:
                context.log(str(error))
            raise
        await copy.stop(following)
        await copy.end()


def left_behind(workspace: Workspace) -> list[bytes]:
    """What engines have left that may not be stored. Only while the workspace's lock is held."""
    errored = workspace.work / ERRORED
    files = (workspace.state, *(() if _is_reserve(errored) else (errored,)))
    return [file.read_bytes() for file in files if file.is_file()]


def _reserve(workspace: Workspace, size: int) -> None:
    """Hold room on the disk for an apply's state: the file where an engine puts what it can't write elsewhere.

    Should the disk fill up meanwhile, the engine empties this file to write into it, which needs no room but what it had.
    """
    with (workspace.work / ERRORED).open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, size)


def _free_reserve(workspace: Workspace) -> None:
    """Give up the room that no engine has used."""
    if _is_reserve(workspace.work / ERRORED):
        (workspace.work / ERRORED).unlink()


def _is_reserve(file: Path) -> bool:
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        return opened.read(1) == b"\0"


def start_anew(workspace: Workspace) -> None:
    """Forget what engines have left, and what is known of the store. Only while the workspace's lock is held."""
    _known_file(workspace).unlink(missing_ok=True)
    _clear(workspace)


async def patiently(work: Callable[[], T], seconds: float, say: Callable[[str], None]) -> T:
    """Do blocking work in a thread, again and again while the store can't be reached, for so long at most."""
    backoff = Backoff()
    give_up = asyncio.get_running_loop().time() + seconds
    while True:
        try:
            return await in_thread(work)
        except StateUnreachableError as error:
            wait = backoff.next()
            if asyncio.get_running_loop().time() + wait >= give_up:
                raise
            say(f"{error}; trying again")
            await asyncio.sleep(wait)


def _clear(workspace: Workspace) -> None:
    """Remove what is stored, and what the engine's backend keeps beside it."""
    state = workspace.state
    beside = (state.with_name(state.name + ".backup"), state.with_name(f".{state.name}.lock.info"))
    for file in (workspace.work / ERRORED, *beside, state):
        file.unlink(missing_ok=True)


def _known(workspace: Workspace) -> _Known | None:
    try:
        return _Known.model_validate_json(_known_file(workspace).read_bytes())
    except FileNotFoundError:
        return None


def _write_known(workspace: Workspace, *states: bytes | None) -> None:
    found = [state for state in states if state is not None]
    known = _Known(digests=sorted(map(digest, found)), resources=any(map(has_resources, found)))
    if known != _known(workspace):
        write_durably(_known_file(workspace), known.model_dump_json().encode())


def _known_file(workspace: Workspace) -> Path:
    return workspace.state.with_name("known.json")
