"""Which of several states of one component is the one to keep: a pure decision."""

import hashlib
from collections.abc import Collection, Sequence

from agent.state.statefile import Identity, identity
from agent.state.states import StateConflictError


def digest(state: bytes) -> str:
    """What stands for a state on this machine."""
    return hashlib.sha256(state).hexdigest()


def unsaved(stored: bytes | None, known: Collection[str], left: Sequence[bytes]) -> bytes | None:
    """Of the states that engines have `left` on this machine, the one that must replace the `stored` one; None if none must.

    `known` are the digests of what this machine has stored last, or was about to store. A stored state that isn't one of them
    was written by somebody else. Raises StateConflictError if that happened though something is left here that was never
    stored, if the lineages differ, or if a state isn't whole.
    """
    found = [(_read(state), state) for state in left]
    if not found:
        return None
    newest, state = max(found, key=lambda one: one[0].serial)
    if stored is None:
        return state
    if state == stored:
        return None
    current = identity(stored)
    if current is None or any(one.lineage != current.lineage for one, _ in found):
        raise StateConflictError("a state that an engine left on this machine is of another lineage than the one in its place")
    if digest(stored) in known:
        # An engine writes several times under one serial.
        return state if newest.serial >= current.serial else None
    if set(known) == {digest(state)}:
        return None  # it was stored, and somebody else has gone on from it
    raise StateConflictError("an engine left a state on this machine that wasn't stored, and somebody else has written since")


def _read(state: bytes) -> Identity:
    found = identity(state)
    if found is None:
        raise StateConflictError("a state that an engine left on this machine isn't whole")
    return found
