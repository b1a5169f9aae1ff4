"""State in a backend of Terraform's own that the customer names: the engine itself reads, writes and locks it.

The agent does what would else need a person: a state that the engine could not write is pushed later, and a lock that a killed
engine left is removed. That one was killed here is known by a file; that none lives, by the workspace's lock (`sole-writer`).

state/
  errored.tfstate            what an engine could not write, until it is pushed
  running                    an engine may hold the backend's lock, or have been killed while it did
"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agent.durable import write_durably
from agent.engine.failures import failure_of
from agent.engine.run import Ended, capture
from agent.failure import JobFailedError
from agent.install.deployer import Task
from agent.install.terraform_module.module import ERRORED, Module
from agent.install.terraform_module.working_copy import DiskRoom, StateNotStoredError

_SECONDS = 300
_LOCKED = "Error acquiring the state lock"
_HOLDER = re.compile(r"\bID=(?P<named>[0-9A-Za-z/_.-]+)|^\s*ID:\s+(?P<listed>\S+)", re.MULTILINE)


class OwnBackend:
    """The state of a task's component, in the engine's hands."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._errored = task.workspace.state.with_name(ERRORED)
        self._running = task.workspace.state.with_name("running")
        self._killed = self._running.exists()
        self._module: Module | None = None

    def begin(self) -> None:
        """Put aside what an engine could not write, before the folder where it ran is made anew."""
        self._put_aside()
        if not self._killed:
            write_durably(self._running, self._task.context.job_id.encode())

    async def ready(self, module: Module) -> None:
        """Push what an earlier engine could not write. Raises StateNotStoredError."""
        self._module = module
        if not self._errored.is_file():
            return
        arguments = ("state", "push", str(self._errored))
        ended, _ = await capture(module.command(self._task.lock, *arguments), timeout=_SECONDS)
        if not ended.succeeded and await self.unlocked(ended):
            ended, _ = await capture(module.command(self._task.lock, *arguments), timeout=_SECONDS)
        if not ended.succeeded:
            why = "; ".join(error.summary for error in ended.errors) or f"exit code {ended.exit_code}"
            raise StateNotStoredError(
                f"the state that an engine left in {self._errored} could not be pushed to the backend: {why}"
            )
        self._errored.unlink()
        self._task.context.log("pushed the state that an engine could not write")

    def check_room(self) -> None:
        """Raises DiskFullError if there is no room for a state that can't be pushed."""
        DiskRoom(self._task.workspace.root).check(b"")

    def changed(self) -> None:
        """The engine tells its backend by itself."""

    def ended(self, ended: Ended) -> None:
        """An engine has ended; one that was killed may have left its lock."""
        self._killed = self._killed or ended.exit_code < 0

    async def unlocked(self, ended: Ended) -> bool:
        """Remove the lock that kept the engine out, if an engine that was killed here has left it."""
        found = next((error for error in ended.errors if error.summary == _LOCKED), None)
        holder = _HOLDER.search(found.detail) if found else None
        if holder is None or not self._killed or self._module is None:
            return False
        lock_id = holder["named"] or holder["listed"]
        self._task.context.log(f"removing the backend's lock {lock_id}, which an engine left that was killed here")
        done, _ = await capture(self._module.command(self._task.lock, "force-unlock", "-force", lock_id), timeout=_SECONDS)
        return done.succeeded

    async def current(self, module: Module) -> bytes:
        """The state as the backend has it; empty if there is none. Raises JobFailedError."""
        pulled, state = await capture(module.command(self._task.lock, "state", "pull"), timeout=_SECONDS)
        if not pulled.succeeded:
            raise JobFailedError(failure_of("apply", pulled))
        return state.strip()

    def forget(self) -> None:
        """What an empty state leaves in the backend is the customer's."""

    async def end(self) -> None:
        """Push what the engine could not write. Raises StateNotStoredError."""
        self._put_aside()
        if not self._killed:
            self._running.unlink(missing_ok=True)
        if self._module is not None:
            await self.ready(self._module)

    def _put_aside(self) -> None:
        left = self._task.workspace.work / ERRORED
        if left.is_file():
            self._errored.parent.mkdir(parents=True, exist_ok=True)
            left.replace(self._errored)


@asynccontextmanager
async def in_own_backend(task: Task) -> AsyncIterator[OwnBackend]:
    """The state of the task's component, in order before and after. Raises StateNotStoredError."""
    state = OwnBackend(task)
    state.begin()
    try:
        yield state
    except BaseException:
        try:
            await state.end()
        except StateNotStoredError as error:
            task.context.log(str(error))
        raise
    await state.end()
