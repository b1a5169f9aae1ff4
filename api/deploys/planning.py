"""Which steps a deploy has: what is wanted against what is there. Pure."""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from api.components.graph import input_names, install_fields, needs, secret_names
from api.contract.base import Json
from api.contract.components import ComponentConfig
from api.contract.resources import StepKind

StepKey = tuple[str, StepKind]


@dataclass(frozen=True)
class Piece:
    """One component, as it is wanted or as it is there. A fingerprint of None never equals another."""

    name: str
    config: ComponentConfig
    build_id: str
    digest: str
    repository: str
    fingerprint: str | None


@dataclass(frozen=True)
class PlannedStep:
    """One step to be. `conditional`: see `decide.StepState`."""

    key: StepKey
    piece: Piece
    needs: tuple[StepKey, ...]
    conditional: bool = False


def fingerprint(
    config: ComponentConfig,
    digest: str,
    *,
    inputs: dict[str, Json],
    install_id: str,
    secrets: Mapping[str, str] = MappingProxyType({}),
    place: Mapping[str, str | None] = MappingProxyType({}),
) -> str:
    """A hash of all that goes into a component but other components' outputs.

    `inputs` has every input of the install: the value, or the keyed fingerprint of a sensitive one; `secrets` has
    the keyed fingerprint of every named secret that it may use; `place` is where the install is.
    """
    used = {name: inputs.get(name) for name in sorted(input_names(config))}
    settings = config.model_dump(mode="json", exclude={"source"})
    used_secrets = {name: secrets.get(name) for name in sorted(secret_names(config))}
    used_place = {name: place.get(name) for name in sorted(install_fields(config) & place.keys())}
    # A component without named secrets keeps the fingerprint that it had before there were any; so with the place.
    body = [digest, settings, used, install_id, *([used_secrets] if used_secrets else [])]
    body += [{"install": used_place}] if used_place else []
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def plan_deploy(
    wanted: dict[str, Piece], current: dict[str, Piece], *, approve: bool = False, anew: Collection[str] = ()
) -> list[PlannedStep]:
    """The steps that bring an install from `current` to `wanted`; none if nothing differs.

    With `approve`, each plan waits for a person before it is applied. What is in `anew` is planned though nothing differs.

    A component whose own fingerprint is the same, but which needs one that is touched, gets conditional steps. Not conditional
    are those of one that needs a component without a fingerprint: that one's outputs may have changed when its last deploy did
    not end well. One that is no longer wanted is destroyed, after whatever used it has been changed or destroyed.
    """
    unsure = {name for name, piece in current.items() if piece.fingerprint is None}
    touched = {
        name
        for name, piece in wanted.items()
        if name in anew or name not in current or current[name].fingerprint != piece.fingerprint or needs(piece.config) & unsure
    }
    reached = _dependents(touched, {name: needs(piece.config) for name, piece in wanted.items()})
    steps = []
    for name in _in_order({name: needs(wanted[name].config) & reached for name in reached}):
        piece = wanted[name]
        before: list[StepKey] = [(other, "apply") for other in sorted(needs(piece.config) & reached)]
        if name in touched:
            steps.append(PlannedStep((name, "sync"), piece, ()))
            before.append((name, "sync"))
        steps.append(PlannedStep((name, "plan"), piece, tuple(before), conditional=name not in touched))
        steps += _carry_out(piece, "plan", "apply", approve=approve)
    removed = {name: piece for name, piece in current.items() if name not in wanted}
    changed_users: dict[str, list[StepKey]] = {
        name: [(user, "apply") for user in sorted(reached) if user in current and name in needs(current[user].config)]
        for name in removed
    }
    return steps + _destroy(removed, changed_users, approve=approve)


def plan_teardown(current: dict[str, Piece], *, approve: bool = False) -> list[PlannedStep]:
    """The steps that remove everything, users first."""
    return _destroy(current, {}, approve=approve)


def plan_drift(clean: list[Piece]) -> list[PlannedStep]:
    """The steps that look at what is cleanly there, and change nothing: plans side by side, which nobody applies."""
    return [PlannedStep((piece.name, "plan"), piece, ()) for piece in clean]


def _carry_out(piece: Piece, plan: StepKind, act: StepKind, *, approve: bool) -> list[PlannedStep]:
    """What follows a plan: its approval, if one is asked for, and what it was made for."""
    name = piece.name
    if not approve:
        return [PlannedStep((name, act), piece, ((name, plan),))]
    return [PlannedStep((name, "approve"), piece, ((name, plan),)), PlannedStep((name, act), piece, ((name, "approve"),))]


def _destroy(pieces: dict[str, Piece], after: dict[str, list[StepKey]], *, approve: bool) -> list[PlannedStep]:
    users = {name: {user for user, piece in pieces.items() if name in needs(piece.config)} for name in pieces}
    steps = []
    for name in _in_order(users):
        before: list[StepKey] = [(user, "destroy") for user in sorted(users[name])] + after.get(name, [])
        steps.append(PlannedStep((name, "plan_destroy"), pieces[name], tuple(before)))
        steps += _carry_out(pieces[name], "plan_destroy", "destroy", approve=approve)
    return steps


def _dependents(start: set[str], edges: dict[str, set[str]]) -> set[str]:
    """`start`, and everything that needs one of it, however indirectly."""
    reached = set(start)
    while more := {name for name, needed in edges.items() if name not in reached and needed & reached}:
        reached |= more
    return reached


def _in_order(edges: dict[str, set[str]]) -> list[str]:
    """Names with what they need first; by name where the graph leaves it open. The graph has no cycle."""
    ordered: list[str] = []
    while left := sorted(set(edges) - set(ordered)):
        ordered += [name for name in left if edges[name] <= set(ordered)]
    return ordered
