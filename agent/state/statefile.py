"""What the agent reads in a state of Terraform: which one it is, and whether it knows of anything."""

import json
import re
from dataclasses import dataclass
from typing import Any

_SERIAL = re.compile(rb'"serial":\s*\d+')


@dataclass(frozen=True)
class Identity:
    """Which state it is: a lineage for each first apply, and a serial that grows with each change."""

    lineage: str
    serial: int


def identity(state: bytes) -> Identity | None:
    """Which state it is, or None if it isn't a whole one."""
    try:
        fields = json.loads(state)
        return Identity(str(fields["lineage"]), int(fields["serial"]))
    except (ValueError, KeyError, TypeError):
        return None


def has_resources(state: bytes) -> bool:
    """Whether the state knows of any object. None at all knows of none; one that can't be read may."""
    if not state:
        return False
    try:
        return bool(json.loads(state)["resources"])
    except (ValueError, KeyError, TypeError):
        return True


def with_serial(state: bytes, serial: int) -> bytes:
    """The same state under another serial, and not a byte else. Raises ValueError if it isn't a state."""
    changed = _SERIAL.sub(f'"serial": {serial}'.encode(), state, count=1)
    before, after = json.loads(state), json.loads(changed)
    if {**before, "serial": serial} != after:
        raise ValueError("the first serial in it isn't the state's own")
    return changed


def outline(state: bytes) -> dict[str, Any]:
    """The state without any value: addresses, and the names of attributes and outputs.

    Raises ValueError, KeyError or TypeError if it isn't a state.
    """
    fields = json.loads(state)
    return {
        "lineage": fields["lineage"],
        "serial": fields["serial"],
        "terraform_version": fields.get("terraform_version"),
        "outputs": {
            name: {"sensitive": bool(output.get("sensitive")), "type": output.get("type")}
            for name, output in sorted(fields.get("outputs", {}).items())
        },
        "resources": [
            {"address": _address(resource, instance), "attributes": sorted(instance.get("attributes") or {})}
            for resource in fields["resources"]
            for instance in resource["instances"]
        ],
    }


def _address(resource: dict[str, Any], instance: dict[str, Any]) -> str:
    module = f"{resource['module']}." if resource.get("module") else ""
    mode = "data." if resource["mode"] == "data" else ""
    key = f"[{json.dumps(instance['index_key'])}]" if "index_key" in instance else ""
    return f"{module}{mode}{resource['type']}.{resource['name']}{key}"
