"""Whether two texts mean the same: JSON and YAML whatever their layout and the order of their keys, durations in any units."""

import json
from typing import Any, Literal

from provider_bridge.framework import durations


def parse(kind: Literal["json", "yaml", "duration"], text: str) -> Any:
    """What the text means. Raises ValueError, with the place where it goes wrong."""
    if kind == "json":
        return json.loads(text)
    if kind == "duration":
        return durations.seconds(text)
    # Loaded only here: most runs have no YAML that has changed.
    import yaml

    try:
        # A file may hold many documents.
        return list(yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except yaml.YAMLError as reason:
        raise ValueError(str(reason)) from reason


def same_meaning(kind: Literal["json", "yaml", "duration"], one: str, other: str) -> bool:
    """Whether both texts mean the same. What can't be read means nothing but itself."""
    if one == other:
        return True
    try:
        return bool(_typed(parse(kind, one)) == _typed(parse(kind, other)))
    except ValueError:
        return False


def _typed(value: Any) -> Any:
    """The value with the type of each scalar beside it: to Python, true is 1."""
    if isinstance(value, dict):
        return {_typed(key): _typed(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_typed(each) for each in value]
    return isinstance(value, bool), value
