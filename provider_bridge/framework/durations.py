"""Durations as Terraform users write them: `90s`, `20m`, `1h30m`."""

import re

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?[hms])+")
_PART = re.compile(r"(\d+(?:\.\d+)?)([hms])")


def seconds(text: str) -> float:
    """The duration in seconds. Raises ValueError, with what is allowed, for anything else."""
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text!r} is not a duration: write hours, minutes and seconds, such as `90s`, `20m` or `1h30m`")
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
