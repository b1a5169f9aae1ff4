"""State that an apply could not put in its place: `errored.tfstate` is then all that knows of what was made."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from agent.durable import write_durably
from agent.failure import CodedError


class StateConflictError(CodedError):
    """`errored.tfstate` and the state in place exclude each other: a person has to look."""

    code = "state_conflict"


FILE_NAME = "errored.tfstate"


@dataclass(frozen=True)
class _Version:
    lineage: str
    serial: int


def recover(folder: Path, state: Path) -> str | None:
    """Move `errored.tfstate` from the folder where an engine ran to `state`, if it follows the state that is there.

    Both files are kept beside `state`. Returns what was done, in words, or None if there was nothing to do. Raises
    StateConflictError if the two have different lineages, or the file can't be read; nothing is changed then.
    """
    errored = folder / FILE_NAME
    if not errored.is_file():
        return None
    data = errored.read_bytes()
    newer = _version(data)
    current = _version(state.read_bytes()) if state.is_file() else None
    if newer is None or (current is not None and current.lineage != newer.lineage):
        raise StateConflictError(
            f"{errored} is not a later version of {state}",
            remedy=f"Compare the two files, and put the right one in place as {state}; then remove {errored}.",
        )
    kept = state.with_name(f"errored-{newer.serial}.tfstate")
    write_durably(kept, data)
    if current is not None and current.serial >= newer.serial:
        errored.unlink()
        return f"kept {kept}: the state in place is as new"
    if current is not None:
        shutil.copy2(state, state.with_name(f"before-errored-{newer.serial}.tfstate"))
    write_durably(state, data)
    errored.unlink()
    return f"put the state of serial {newer.serial} in place, which the engine could not write"


def has_resources(state: Path) -> bool:
    """Whether the state knows of any object. No file knows of none; one that can't be read may."""
    try:
        return bool(json.loads(state.read_bytes())["resources"])
    except FileNotFoundError:
        return False
    except (ValueError, KeyError, TypeError):
        return True


def _version(data: bytes) -> _Version | None:
    try:
        fields = json.loads(data)
        return _Version(str(fields["lineage"]), int(fields["serial"]))
    except (ValueError, KeyError, TypeError):
        return None
