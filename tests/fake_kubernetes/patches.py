"""JSON patch (RFC 6902), JSON merge patch (RFC 7386) and Kubernetes' strategic merge patch."""

import copy
from typing import Any

from fake_kubernetes.fields import item_element
from fake_kubernetes.kinds import SET, Resource


def merge_patch(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), value)
    return result


def json_patch(target: Any, operations: list[dict[str, Any]]) -> Any:
    """Raises LookupError or ValueError for what can't be done."""
    result = copy.deepcopy(target)
    for operation in operations:
        parts = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
        value = copy.deepcopy(operation.get("value"))
        if operation["op"] in ("move", "copy"):
            source = [part.replace("~1", "/").replace("~0", "~") for part in operation["from"].split("/")[1:]]
            parent, last = _parent(result, source)
            value = copy.deepcopy(parent[last])
            if operation["op"] == "move":
                del parent[last]
        parent, last = _parent(result, parts)
        match operation["op"]:
            case "test":
                if parent[last] != value:
                    raise ValueError(f"testing value {operation['path']} failed")
            case "remove":
                del parent[last]
            case "replace":
                parent[last] = value
            case _ if isinstance(parent, list):
                parent.insert(len(parent) if last == "-" else last, value)
            case _:
                parent[last] = value
    return result


def _parent(at: Any, parts: list[str]) -> tuple[Any, Any]:
    for part in parts[:-1]:
        at = at[int(part)] if isinstance(at, list) else at[part]
    last = parts[-1]
    return at, (int(last) if isinstance(at, list) and last != "-" else last)


def strategic(target: Any, patch: Any, resource: Resource, names: tuple[str, ...] = ()) -> Any:
    """The directives `$patch`, `$setElementOrder`, `$deleteFromPrimitiveList` and `$retainKeys` are understood."""
    if not isinstance(patch, dict) or not isinstance(target, dict | None):
        return copy.deepcopy(patch)
    if patch.get("$patch") == "replace":
        return {name: value for name, value in patch.items() if name != "$patch"}
    result = dict(target or {})
    if "$retainKeys" in patch:
        result = {name: value for name, value in result.items() if name in patch["$retainKeys"]}
    for name, value in patch.items():
        if name.startswith("$deleteFromPrimitiveList/"):
            field = name.partition("/")[2]
            result[field] = [item for item in result.get(field, []) if item not in value]
        elif name.startswith("$"):
            continue
        elif value is None:
            result.pop(name, None)
        elif isinstance(value, list):
            result[name] = _list(result.get(name) or [], value, resource, (*names, name))
        else:
            result[name] = strategic(result.get(name), value, resource, (*names, name))
    return result


def _list(target: list[Any], patch: list[Any], resource: Resource, names: tuple[str, ...]) -> list[Any]:
    how = resource.merging(names, patch)
    if how == SET:
        return [*target, *(item for item in patch if item not in target)]
    if not isinstance(how, tuple):
        return copy.deepcopy(patch)
    key = how[:1]
    if any(item.get("$patch") == "replace" for item in patch):
        return [item for item in patch if "$patch" not in item]
    result = list(target)
    for item in patch:
        at = next((i for i, each in enumerate(result) if item_element(each, key) == item_element(item, key)), None)
        if item.get("$patch") == "delete":
            if at is not None:
                del result[at]
        elif at is None:
            result.append(strategic({}, item, resource, names))
        else:
            result[at] = strategic(result[at], item, resource, names)
    return result
