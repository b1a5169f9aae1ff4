"""The states of an install's components in a store: the current one, its versions, and the lock.

<install>/<component>/current                              sealed
<install>/<component>/versions/<serial>-<time>-<job>       sealed; the last few, one for each job that changed something
<install>/<component>/lock                                 who is at work (see `agent.state.lock`)
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from agent.failure import CodedError
from agent.state.keys import Keyring
from agent.state.sealing import key_of, opened, seal
from agent.state.statefile import identity
from agent.state.store import MovedOnError, Store

KEPT_VERSIONS = 20
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


class StateConflictError(CodedError):
    """Two states exclude each other: a person has to look."""

    code = "state_conflict"
    remedy = (
        "Compare them with `exclave agent state show` and `export`, and put the right one in place with `exclave agent state "
        "restore`; see docs/how-to/keep-terraform-state.md."
    )


@dataclass(frozen=True)
class Stored:
    """The current state as it was read or written. `tag` is the store's."""

    state: bytes
    tag: str


@dataclass(frozen=True)
class Version:
    """A state that was the current one. `name` is its own."""

    name: str
    serial: int
    at: datetime
    job_id: str


@dataclass(frozen=True)
class ComponentStates:
    """One component's. All methods block; they raise StateUnreachableError and StateKeyError."""

    store: Store
    keyring: Keyring
    context: str
    kept: int = KEPT_VERSIONS

    @property
    def lock_name(self) -> str:
        """The lock's object."""
        return f"{self.context}/lock"

    def load(self) -> Stored | None:
        """The current state, or None if there is none."""
        found = self.store.read(self._current)
        return None if found is None else Stored(opened(found.data, self.context, self.keyring), found.tag)

    def save(self, state: bytes, tag: str | None) -> Stored:
        """Replace the current state, if it is still the one that `tag` stands for. Raises StateConflictError."""
        sealed = seal(state, self.context, self.keyring)
        try:
            return Stored(state, self.store.write(self._current, sealed, tag))
        except MovedOnError:
            # An earlier try may have been carried out though its answer was lost; no two seals are the same.
            found = self.store.read(self._current)
            if found is not None and found.data == sealed:
                return Stored(state, found.tag)
            raise StateConflictError(f"another agent has written the state of {self.context} meanwhile") from None

    def keep(self, state: bytes, job_id: str, now: datetime) -> None:
        """Keep the state as a version, and only the last few of those before it."""
        known = identity(state)
        name = f"{known.serial if known else 0:010d}-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{job_id}"
        sealed = seal(state, self.context, self.keyring)
        try:
            self.store.write(f"{self._versions}{name}", sealed, None)
        except MovedOnError:
            return  # the same job has kept this serial in the same second
        for old in self.versions()[self.kept :]:
            self.store.delete(f"{self._versions}{old.name}")

    def versions(self) -> list[Version]:
        """What is kept, newest first."""
        names = (name.removeprefix(self._versions) for name in self.store.names(self._versions))
        found = [version for name in names if (version := _version(name))]
        return sorted(found, key=lambda version: (version.serial, version.at), reverse=True)

    def version(self, name: str) -> bytes | None:
        """A state that is kept, or None if there is no such version."""
        found = self.store.read(f"{self._versions}{name}") if _version(name) else None
        return None if found is None else opened(found.data, self.context, self.keyring)

    def remove(self) -> None:
        """Forget everything of the component, also the lock."""
        for version in self.versions():
            self.store.delete(f"{self._versions}{version.name}")
        self.store.delete(self._current)
        self.store.delete(self.lock_name)

    def reseal(self) -> int:
        """Seal what isn't sealed with the current key anew; gives how many. Raises StateConflictError."""
        wanted = self.keyring.current
        names = [self._current, *(f"{self._versions}{version.name}" for version in self.versions())]
        done = 0
        for name in names:
            found = self.store.read(name)
            if found is None or key_of(found.data) == wanted:
                continue
            sealed = seal(opened(found.data, self.context, self.keyring), self.context, self.keyring)
            try:
                self.store.write(name, sealed, found.tag)
            except MovedOnError:
                raise StateConflictError(f"somebody writes the state of {self.context}") from None
            done += 1
        return done

    @property
    def _current(self) -> str:
        return f"{self.context}/current"

    @property
    def _versions(self) -> str:
        return f"{self.context}/versions/"


@dataclass(frozen=True)
class States:
    """All states of one install. `agent` names this agent in locks; `patience` is for how long a store may not answer."""

    store: Store
    keyring: Keyring
    install_id: str
    agent: str
    kept: int = KEPT_VERSIONS
    patience: float = 60.0

    def of(self, component: str) -> ComponentStates:
        """A component's."""
        return ComponentStates(self.store, self.keyring, f"{self.install_id}/{component}", self.kept)

    def components(self) -> list[str]:
        """The names of the components that have a state, or versions of one. Blocks."""
        names = (name.split("/") for name in self.store.names(f"{self.install_id}/"))
        return sorted({parts[1] for parts in names if len(parts) > 2 and parts[2] in ("current", "versions")})


def _version(name: str) -> Version | None:
    serial, _, rest = name.partition("-")
    at, _, job_id = rest.partition("-")
    try:
        moment = datetime.strptime(at, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        return Version(name, int(serial), moment, job_id) if _SAFE.fullmatch(job_id) else None
    except ValueError:
        return None
