"""How far an update has come: what is kept in `<home>/versions/state.json`, and what each step makes of it. Pure.

Which version is started says the link `current` beside it, and nothing here. Only the standard library is needed, as the
supervisor stays small and old.
"""

import json
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

BASE = "base"
"""What is called so is the package that the supervisor itself is of: what was installed on the machine."""

_REFUSED_KEPT = 50


@dataclass(frozen=True)
class Offer:
    """A version that lies ready, and waits for the customer's yes."""

    version: str
    digest: str


@dataclass(frozen=True)
class Trial:
    """An update under way. `target` is a version's folder or BASE, `back_to` what is put back if it doesn't hold.

    `job` is empty where the customer began it by hand. Until `trying`, the old version runs, and nothing has changed.
    """

    target: str
    version: str
    digest: str
    back_to: str
    job: str = ""
    attempt: int = 0
    trying: bool = False
    starts: int = 0


@dataclass(frozen=True)
class Ended:
    """How the last update ended. `noted`: an agent has written it into the ledger."""

    version: str
    digest: str
    job: str
    outcome: Literal["updated", "rolled_back"]
    reason: str = ""
    noted: bool = False


@dataclass(frozen=True)
class State:
    """All of it. `highest` is the highest version that has held, `refused` the digests that didn't or that the customer left.

    `base` is the version that was installed on the machine when it was last looked at; `previous` what ran before.
    """

    base: str = ""
    highest: str = ""
    previous: str = ""
    offered: Offer | None = None
    trial: Trial | None = None
    last: Ended | None = None
    refused: tuple[str, ...] = ()


class StateUnreadableError(Exception):
    """The file isn't what an agent writes."""


def dumps(state: State) -> bytes:
    """A state as its file."""
    return json.dumps(asdict(state), indent=2).encode()


def loads(data: bytes) -> State:
    """The state in a file. What a newer version wrote besides is passed over. Raises StateUnreadableError."""
    try:
        found = json.loads(data)
        state = State(**_known(State, found))
        return replace(
            state,
            offered=_part(Offer, found.get("offered")),
            trial=_part(Trial, found.get("trial")),
            last=_part(Ended, found.get("last")),
            refused=tuple(state.refused),
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise StateUnreadableError(str(error)) from None


def _part(kind: Any, found: Any) -> Any:
    return None if found is None else kind(**_known(kind, found))


def _known(kind: Any, found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name in kind.__dataclass_fields__}


def newer(one: str, other: str) -> bool:
    """Whether `one` is a higher version than `other`, as PEP 440 orders them; anything is higher than none."""
    from packaging.version import Version

    return not other or (bool(one) and Version(one) > Version(other))


def offered(state: State, offer: Offer) -> State:
    """A version lies ready, and waits for the customer."""
    return replace(state, offered=offer)


def staged(state: State, trial: Trial) -> State:
    """A version is to be tried as soon as the running one has drained."""
    return replace(state, trial=trial)


def withdrawn(state: State, job: str) -> State:
    """The vendor has cancelled the job of an update of which nothing was tried yet."""
    return replace(state, trial=None) if state.trial and state.trial.job == job and not state.trial.trying else state


def begun(state: State) -> State:
    """The probe was good: from now on the new version is started."""
    assert state.trial
    return replace(state, trial=replace(state.trial, trying=True))


def started(state: State) -> State:
    """The new version is about to be started once more."""
    assert state.trial
    return replace(state, trial=replace(state.trial, starts=state.trial.starts + 1))


def held(state: State) -> State:
    """The new version has reported and has stayed up."""
    trial = state.trial
    assert trial
    return replace(
        state,
        highest=trial.version if newer(trial.version, state.highest) else state.highest,
        previous=trial.back_to,
        offered=None if state.offered and state.offered.digest == trial.digest else state.offered,
        trial=None,
        last=Ended(trial.version, trial.digest, trial.job, "updated"),
        refused=tuple(digest for digest in state.refused if digest != trial.digest),
    )


def given_up(state: State, reason: str) -> State:
    """The old version is back, and nobody but the customer may try this one again."""
    trial = state.trial
    assert trial
    return replace(
        refusing(state, trial.digest),
        trial=None,
        last=Ended(trial.version, trial.digest, trial.job, "rolled_back", reason),
    )


def refusing(state: State, digest: str) -> State:
    """No job of the IMS brings this artifact again."""
    kept = tuple(each for each in state.refused if each != digest)
    return replace(state, refused=(*kept, digest)[-_REFUSED_KEPT:]) if digest else state


def noted(state: State) -> State:
    """The end of the last update is in the ledger."""
    return replace(state, last=replace(state.last, noted=True)) if state.last else state
