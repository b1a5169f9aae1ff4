"""What a step of an acceptance test asks of a plan or a state, in `terraform show -json`'s form.

Each function returns a check: called with the document, it raises AssertionError that says what it found instead.
"""

from collections.abc import Callable
from typing import Any

Document = dict[str, Any]
Check = Callable[[Document], None]

_ACTIONS = {
    "no-op": ["no-op"],
    "create": ["create"],
    "read": ["read"],
    "update": ["update"],
    "delete": ["delete"],
    "forget": ["forget"],
    "replace": ["delete", "create"],
    "replace, create first": ["create", "delete"],
}

UNKNOWN = object()
"""Stands for a value that is known only after apply."""


# Plans


def planned(address: str, action: str, *, because: tuple[str | int, ...] | None = None) -> Check:
    """What happens to a resource: a key of `_ACTIONS`. `because`: the path that forces a replacement."""

    def check(plan: Document) -> None:
        change = _change(plan, address)["change"]
        assert change["actions"] == _ACTIONS[action], f"{address}: {change['actions']}, not {action}"
        if because is not None:
            assert list(because) in change.get("replace_paths", []), f"{address}: {change.get('replace_paths')}"

    return check


def planned_value(address: str, *path: str | int, value: Any) -> Check:
    """A value after the planned change; UNKNOWN if only the apply will tell."""

    def check(plan: Document) -> None:
        change = _change(plan, address)["change"]
        if _is_unknown(change["after_unknown"], path):
            assert value is UNKNOWN, f"{address} {path}: unknown, not {value!r}"
        else:
            found = _dig(change["after"], path)
            assert found == value, f"{address} {path}: {found!r}, not {value!r}"

    return check


def nothing_planned(plan: Document) -> None:
    """No resource and no output changes."""
    changes = {each["address"]: each["change"]["actions"] for each in plan.get("resource_changes", [])}
    assert all(actions in (["no-op"], ["read"]) for actions in changes.values()), changes
    outputs = {name: each["actions"] for name, each in plan.get("output_changes", {}).items()}
    assert all(actions == ["no-op"] for actions in outputs.values()), outputs


def drifted(address: str, *path: str | int, value: Any) -> Check:
    """Terraform has noticed a change behind its back, and its present value."""

    def check(plan: Document) -> None:
        drift = {each["address"]: each["change"] for each in plan.get("resource_drift", [])}
        assert address in drift, f"{address} hasn't drifted; only {sorted(drift)}"
        assert _dig(drift[address]["after"], path) == value, drift[address]

    return check


def imported(address: str) -> Check:
    """The plan imports the resource."""

    def check(plan: Document) -> None:
        change = _change(plan, address)["change"]
        assert "importing" in change, change

    return check


# States


def state_value(address: str, *path: str | int, value: Any) -> Check:
    """A value of a resource or data source."""

    def check(state: Document) -> None:
        found = _dig(_resource(state, address)["values"], path)
        assert found == value, f"{address} {path}: {found!r}, not {value!r}"

    return check


def state_matches(address: str, *path: str | int, test: Callable[[Any], bool]) -> Check:
    """A value of a resource or data source that passes a test."""

    def check(state: Document) -> None:
        found = _dig(_resource(state, address)["values"], path)
        assert test(found), f"{address} {path}: {found!r}"

    return check


def not_in_state(address: str) -> Check:
    """There is no such resource."""

    def check(state: Document) -> None:
        assert address not in _resources(state), f"{address} is still there"

    return check


def has_identity(address: str, identity: Document) -> Check:
    """A resource's identity. Needs Terraform 1.12."""

    def check(state: Document) -> None:
        assert _resource(state, address).get("identity") == identity, _resource(state, address)

    return check


def output(name: str, value: Any) -> Check:
    """A root output."""

    def check(state: Document) -> None:
        outputs = state.get("values", {}).get("outputs", {})
        assert name in outputs, f"no output {name}; only {sorted(outputs)}"
        assert outputs[name]["value"] == value, f"{name}: {outputs[name]['value']!r}, not {value!r}"

    return check


def _change(plan: Document, address: str) -> Document:
    changes = {each["address"]: each for each in plan.get("resource_changes", [])}
    assert address in changes, f"the plan has no {address}; only {sorted(changes)}"
    return changes[address]


def _resources(state: Document) -> dict[str, Document]:
    found: dict[str, Document] = {}
    modules = [state.get("values", {}).get("root_module", {})]
    while modules:
        module = modules.pop()
        found.update({each["address"]: each for each in module.get("resources", [])})
        modules.extend(module.get("child_modules", []))
    return found


def _resource(state: Document, address: str) -> Document:
    resources = _resources(state)
    assert address in resources, f"the state has no {address}; only {sorted(resources)}"
    return resources[address]


def _dig(value: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


def _is_unknown(unknown: Any, path: tuple[str | int, ...]) -> bool:
    for step in path:
        if unknown is True:
            return True
        try:
            unknown = unknown[step]
        except (KeyError, IndexError, TypeError):
            return False
    return unknown is True
