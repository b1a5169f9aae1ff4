"""The states of an agent's home, for its customer: listed, exported, restored, moved, sealed anew. All of it blocks."""

import asyncio
import builtins
import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agent.engine.lock import WorkspaceBusyError, workspace_lock
from agent.failure import CodedError
from agent.install.terraform_module.working_copy import left_behind, start_anew
from agent.install.workspace import Components
from agent.state.lock import Holder, holder, holder_of, state_lock
from agent.state.place import Place, open_states, open_store, remember, remembered
from agent.state.statefile import identity, outline, with_serial
from agent.state.states import ComponentStates, Version

_BUSY_SECONDS = 5.0


class NoSuchStateError(CodedError):
    """There is no such component or version, or what is given isn't a state."""

    code = "state_not_found"
    remedy = "Look at `exclave agent state list` and `exclave agent state versions`."


class StateInUseError(CodedError):
    """The component's state is being used."""

    code = "state_in_use"
    remedy = "Wait until the job ends."


@dataclass(frozen=True)
class Listed:
    """A component's current state, in a line."""

    component: str
    lineage: str
    serial: int
    objects: int
    locked_by: Holder | None


class KeptStates:
    """The states that the agent of a home keeps. Raises CodedError."""

    def __init__(self, home: Path, install_id: str, agent: str) -> None:
        self._home = home
        self._place = remembered(home) or Place()
        self._states = open_states(self._place, home, install_id, agent)

    @property
    def place(self) -> str:
        """Where they are."""
        return self._states.store.place

    def list(self) -> builtins.list[Listed]:
        """One line for each component."""
        found = []
        for component in self._states.components():
            of = self._states.of(component)
            stored = of.load()
            if stored is None:
                continue
            known = outline(stored.state)
            by = holder_of(of.store, of.lock_name)
            found.append(Listed(component, known["lineage"], known["serial"], len(known["resources"]), by))
        return found

    def versions(self, component: str) -> builtins.list[Version]:
        """What is kept, newest first."""
        return self._of(component).versions()

    def outline(self, component: str, version: str | None) -> dict[str, Any]:
        """A state without values."""
        return outline(self._state(component, version))

    def export(self, component: str, version: str | None, file: Path) -> None:
        """Write a state in the clear to a file that isn't there yet, for this user alone."""
        state = self._state(component, version)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as handle:
            handle.write(state)

    def restore(self, component: str, version: str | None, file: Path | None) -> int:
        """Replace the current state by a version or a file; gives its new serial. What was there is kept as a version."""
        state = file.read_bytes() if file else self._state(component, version)
        if identity(state) is None:
            raise NoSuchStateError(f"{file or version} isn't a state of Terraform")
        return asyncio.run(self._restore(component, state))

    def move(self, to: str) -> int:
        """Copy every object to another place, use that from now on, and remove the old ones; gives their number."""
        store, prefix = self._states.store, f"{self._states.install_id}/"
        target = open_store(to, self._home)
        names = [name for name in store.names(prefix) if not name.endswith("/lock")]
        for name in names:
            found, there = store.read(name), target.read(name)
            if found is not None and (there is None or there.data != found.data):
                target.write(name, found.data, there.tag if there else None)
        remember(self._home, self._place.model_copy(update={"state": to}))
        for name in store.names(prefix):
            store.delete(name)
        return len(names)

    def rotate(self, to: str | None) -> tuple[int, int]:
        """Seal everything with a new key, or with another one; gives how many were, and how many old keys are gone."""
        if to is None and self._place.key == "file":
            self._states.keyring.add()
        place = self._place.model_copy(update={"key": to or self._place.key})
        states = replace(self._states, keyring=replace(self._states.keyring, chosen=place.key))
        remember(self._home, place)
        sealed = sum(states.of(component).reseal() for component in states.components())
        return sealed, states.keyring.drop_old(used=set())

    def _of(self, component: str) -> ComponentStates:
        if component not in self._states.components():
            raise NoSuchStateError(f"component {component!r} has no state in {self.place}")
        return self._states.of(component)

    def _state(self, component: str, version: str | None) -> bytes:
        of = self._of(component)
        if version is not None:
            found = of.version(version)
            if found is None:
                raise NoSuchStateError(f"there is no version {version!r} of the state of {component}")
            return found
        stored = of.load()
        if stored is None:
            raise NoSuchStateError(f"component {component!r} has versions of its state, but no current one")
        return stored.state

    async def _restore(self, component: str, state: bytes) -> int:
        workspace, of = Components(self._home, sweep=False).of(component), self._states.of(component)
        try:
            async with workspace_lock(workspace.lock, limit=_BUSY_SECONDS):
                mine = holder(self._states.agent, "restore", 1)
                async with state_lock(of.store, of.lock_name, mine, lambda _: None, waiting=_refuse):
                    serial = _replace(of, state, left_behind(workspace))
                    start_anew(workspace)
                    return serial
        except WorkspaceBusyError as error:
            raise StateInUseError(f"a job is at work on {component}: {error}") from None


def _refuse() -> None:
    raise StateInUseError("another agent is at work on this state")


def _replace(of: ComponentStates, state: bytes, left: list[bytes]) -> int:
    stored = of.load()
    now = datetime.now(UTC)
    before = [*left, *([stored.state] if stored else [])]
    serials = [found.serial for one in [state, *before] if (found := identity(one))]
    new = with_serial(state, max(serials) + 1)
    for one in before:
        of.keep(one, "before-restore", now)
    of.keep(new, "restored", now)
    of.save(new, stored.tag if stored else None)
    return max(serials) + 1
