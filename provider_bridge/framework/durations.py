"""Durations as Terraform users write them: `90s`, `20m`, `1h30m`. With them, the `timeouts` of a resource."""

import re
from typing import Literal

from provider_bridge.protocol.values import UNKNOWN, Object

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?[hms])+")
_PART = re.compile(r"(\d+(?:\.\d+)?)([hms])")


def seconds(text: str) -> float:
    """The duration in seconds. Raises ValueError, with what is allowed, for anything else."""
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text!r} is not a duration: write hours, minutes and seconds, such as `90s`, `20m` or `1h30m`")
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def timeout(resource: Object, operation: Literal["create", "read", "update", "delete", "open"], default: float) -> float:
    """How many seconds the operation may take: what the attribute or block `timeouts` says of it, or else `default`.

    `resource` is the planned object; for a delete, the prior one. Each value is a duration, which validation has checked.
    """
    timeouts = resource.get("timeouts")
    written = timeouts.get(operation) if isinstance(timeouts, dict) else None
    return default if written is None or written is UNKNOWN else seconds(written)
