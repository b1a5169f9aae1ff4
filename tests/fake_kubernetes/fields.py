"""Server-side apply: who owns which field, what conflicts, and what a new configuration leaves out ("Server-Side Apply").

A path is a tuple of elements in the notation of FieldsV1: `f:name`, `k:{"name":"web"}`, `v:"text"`.
"""

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from fake_kubernetes.kinds import ATOMIC, SET, Resource

Path = tuple[str, ...]
Owner = tuple[str, str, str, str]
"""Manager, operation, apiVersion, subresource."""

_KEY_DEFAULTS = {"protocol": "TCP"}
_UNOWNED = {
    ("f:apiVersion",),
    ("f:kind",),
    *(
        ("f:metadata", f"f:{name}")
        for name in ("name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp")
    ),
}


def leaves(obj: dict[str, Any], resource: Resource) -> dict[Path, Any]:
    """Every owned field with its value; the items of a list of maps are fields of their own, without a value."""
    trimmed = {**obj, "metadata": {k: v for k, v in obj.get("metadata", {}).items() if k != "managedFields"}}
    return {path: value for path, value in _leaves(trimmed, resource, (), ()) if path not in _UNOWNED}


def _leaves(value: Any, resource: Resource, names: tuple[str, ...], path: Path) -> Iterator[tuple[Path, Any]]:
    how = resource.merging(names, value) if isinstance(value, dict | list) else ATOMIC
    if isinstance(value, dict) and value and how != ATOMIC:
        for name, inner in value.items():
            yield from _leaves(inner, resource, (*names, name), (*path, f"f:{name}"))
    elif isinstance(value, list) and value and how == SET:
        for item in value:
            yield (*path, "v:" + json.dumps(item)), item
    elif isinstance(value, list) and value and isinstance(how, tuple):
        for item in value:
            inner = (*path, item_element(item, how))
            yield inner, None
            yield from _leaves(item, resource, names, inner)
    elif path:
        yield path, value


def item_element(item: dict[str, Any], keys: tuple[str, ...]) -> str:
    values = {key: item.get(key, _KEY_DEFAULTS.get(key)) for key in keys}
    return "k:" + json.dumps({k: v for k, v in values.items() if v is not None}, separators=(",", ":"), sort_keys=True)


def merged(live: Any, applied: Any, resource: Resource, names: tuple[str, ...] = ()) -> Any:
    """`live` with what `applied` says."""
    if type(live) is not type(applied) or not isinstance(applied, dict | list):
        return copy.deepcopy(applied)
    how = resource.merging(names, applied)
    if isinstance(applied, dict) and how != ATOMIC:
        result = dict(live)
        for name, value in applied.items():
            result[name] = merged(live.get(name), value, resource, (*names, name))
        return result
    if isinstance(applied, list) and how == SET:
        return [*live, *(item for item in applied if item not in live)]
    if isinstance(applied, list) and isinstance(how, tuple):
        result = list(live)
        at = {item_element(item, how): index for index, item in enumerate(result)}
        for item in applied:
            element = item_element(item, how)
            if element in at:
                result[at[element]] = merged(result[at[element]], item, resource, names)
            else:
                result.append(copy.deepcopy(item))
        return result
    return copy.deepcopy(applied)


def remove(obj: Any, path: Path) -> None:
    """Take a field out, and what is empty without it."""
    at, parents = obj, []
    for element in path[:-1]:
        parents.append((at, element))
        found = _find(at, element)
        if found is None:
            return
        at = found
    _drop(at, path[-1])
    for parent, element in reversed(parents):
        if _find(parent, element) in ({}, []):
            _drop(parent, element)


def _find(at: Any, element: str) -> Any:
    kind, _, rest = element.partition(":")
    if kind == "f":
        return at.get(rest) if isinstance(at, dict) else None
    if kind == "k" and isinstance(at, list):
        keys = tuple(json.loads(rest))
        return next((item for item in at if item_element(item, keys) == element), None)
    return None


def _drop(at: Any, element: str) -> None:
    kind, _, rest = element.partition(":")
    if kind == "f" and isinstance(at, dict):
        at.pop(rest, None)
    elif kind == "v" and isinstance(at, list):
        at[:] = [item for item in at if item != json.loads(rest)]
    elif kind == "k" and (item := _find(at, element)) is not None:
        at.remove(item)


def dotted(path: Path) -> str:
    """As errors name it: `.spec.template.spec.containers[name="web"].image`."""
    text = ""
    for element in path:
        kind, _, rest = element.partition(":")
        if kind == "f":
            text += f".{rest}"
        elif kind == "k":
            text += "[" + ",".join(f"{key}={json.dumps(value)}" for key, value in json.loads(rest).items()) + "]"
        else:
            text += f"[={rest}]"
    return text


@dataclass
class Managed:
    """The managers of an object."""

    sets: dict[Owner, set[Path]] = field(default_factory=dict)
    times: dict[Owner, str] = field(default_factory=dict)
    before: dict[Owner, set[Path]] = field(default_factory=dict)

    @classmethod
    def of(cls, obj: dict[str, Any] | None) -> "Managed":
        managed = cls()
        for entry in (obj or {}).get("metadata", {}).get("managedFields", []):
            owner = (entry["manager"], entry["operation"], entry["apiVersion"], entry.get("subresource", ""))
            managed.sets[owner] = set(_decoded(entry["fieldsV1"], ()))
            managed.times[owner] = entry["time"]
        managed.before = {owner: set(paths) for owner, paths in managed.sets.items()}
        return managed

    def encoded(self, now: str) -> list[dict[str, Any]]:
        entries = []
        for owner, paths in self.sets.items():
            if not paths:
                continue
            manager, operation, api_version, subresource = owner
            time = self.times[owner] if self.before.get(owner) == paths else now
            entry = {"manager": manager, "operation": operation, "apiVersion": api_version, "time": time}
            entry |= {"fieldsType": "FieldsV1", "fieldsV1": _encoded(paths)}
            entries.append({**entry, "subresource": subresource} if subresource else entry)
        return entries

    def conflicts(self, owner: Owner, changed: set[Path]) -> list[tuple[Owner, Path]]:
        """Fields that others own and `changed` has, by owner."""
        found = [(other, path) for other, paths in self.sets.items() if other != owner for path in paths & changed]
        return sorted(found, key=lambda pair: (pair[0], pair[1]))

    def take(self, owner: Owner, changed: set[Path], removed: set[Path]) -> None:
        """What an update that isn't an apply does: who changes a field owns it."""
        for other in self.sets:
            self.sets[other] -= removed
            if other != owner:
                self.sets[other] -= changed
        self.sets[owner] = self.sets.get(owner, set()) | changed


def _encoded(paths: set[Path]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path in sorted(paths):
        at = tree
        for element in path:
            at = at.setdefault(element, {})
        if path[-1].startswith("k:"):
            at["."] = {}
    return tree


def _decoded(tree: dict[str, Any], path: Path) -> Iterator[Path]:
    if path and (not tree or "." in tree):
        yield path
    for element, inner in tree.items():
        if element != ".":
            yield from _decoded(inner, (*path, element))
