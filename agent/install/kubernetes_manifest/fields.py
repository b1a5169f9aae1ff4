"""What differs between two states of an object, by name; and what of an object is ours ("Server-Side Apply", FieldsV1)."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from agent.kubernetes.objects import Obj, metadata
from api.contract.base import Json

MANAGER = "exclave"
"""The field manager of everything that the agent applies."""

_SERVERS = frozenset({"managedFields", "resourceVersion", "generation", "creationTimestamp", "uid", "selfLink"})
_MISSING = object()

Fields = dict[str, Any]
"""A tree of FieldsV1: `{"f:spec": {"f:replicas": {}}}`."""


def differences(before: Obj, after: Obj, depth: int | None = None) -> list[str]:
    """The names of the fields that differ, dotted, and no value; with `depth`, no longer than so many parts."""
    names = {".".join(path[:depth]) for path in _differing(_own(before), _own(after), ())}
    return sorted(names)


def _own(obj: Obj) -> Obj:
    """Without what the server keeps for itself."""
    kept = {name: value for name, value in metadata(obj).items() if name not in _SERVERS}
    return {**{name: value for name, value in obj.items() if name != "status"}, "metadata": kept}


def _differing(before: Json, after: Json, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for name in before.keys() | after.keys():
            yield from _differing(before.get(name), after.get(name), (*path, name))
    elif _named(before) and _named(after):
        old, new = ({item["name"]: item for item in items} for items in (before, after))
        for name in old.keys() | new.keys():
            yield from _differing(old.get(name), new.get(name), (*path[:-1], f"{path[-1]}[{name}]"))
        if old == new:
            yield path  # in another order
    elif before is None and isinstance(after, dict) and after:
        yield from _differing({}, after, path)
    elif after is None and isinstance(before, dict) and before:
        yield from _differing(before, {}, path)
    else:
        yield path


def _named(items: Json) -> bool:
    """Whether it is a list of things with names, each another one."""
    if not isinstance(items, list) or not items:
        return False
    names = [item.get("name") if isinstance(item, dict) else None for item in items]
    return all(isinstance(name, str) for name in names) and len(set(names)) == len(names)


def owned(obj: Obj) -> Fields:
    """The fields that the agent's applies own."""
    for entry in metadata(obj).get("managedFields") or []:
        if entry.get("manager") == MANAGER and entry.get("operation") == "Apply" and not entry.get("subresource"):
            fields: Fields = entry.get("fieldsV1") or {}
            return fields
    return {}


def fingerprint(obj: Obj, fields: list[Fields]) -> str:
    """A digest of what the object has in these fields: it changes when any of them does, and with nothing else."""
    values = [list(_values(obj, tree, ())) for tree in fields]
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _values(at: Any, tree: Fields, path: tuple[str, ...]) -> Iterator[tuple[str, Json]]:
    if not tree:
        yield "/".join(path), None if at is _MISSING else [at]
    for element, inner in tree.items():
        if element == ".":
            yield "/".join((*path, ".")), at is not _MISSING
        else:
            yield from _values(_step(at, element), inner, (*path, element))


def _step(at: Any, element: str) -> Any:
    kind, _, rest = element.partition(":")
    if kind == "f":
        return at.get(rest, _MISSING) if isinstance(at, dict) else _MISSING
    if not isinstance(at, list):
        return _MISSING
    if kind == "k":
        keys = json.loads(rest)
        return next((item for item in at if all(item.get(name) == value for name, value in keys.items())), _MISSING)
    if kind == "v":
        return rest if json.loads(rest) in at else _MISSING
    return at[int(rest)] if int(rest) < len(at) else _MISSING
