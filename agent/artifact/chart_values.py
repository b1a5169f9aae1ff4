"""The values of a chart's config, `{"image.tag": "1.10"}`: what each text means, and where in the values it belongs."""

import json
import re
from collections.abc import Mapping

from agent.failure import CodedError
from api.contract.base import Json

_INTEGER = re.compile(r"-?(0|[1-9]\d*)")
_DOT = re.compile(r"(?<!\\)\.")


class ValuePathError(CodedError):
    """A path that isn't one into the values."""

    code = "value_path_wrong"


def chart_value(text: str) -> Json:
    """What a value of the config means: as Helm's `--set` has it, and JSON for lists and objects.

    `true`, `false`, `null` and integers are those; anything else is a string, so that the tag `1.10` stays one.
    """
    if text in ("true", "false", "null") or (_INTEGER.fullmatch(text) and len(text) < 19):
        return json.loads(text)
    return structured(text)


def structured(text: str) -> Json:
    """A list or an object, if the text is one in JSON; else the text."""
    if text.startswith(("[", "{")):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def nested(values: Mapping[str, Json]) -> dict[str, Json]:
    r"""The values as Helm takes them in a file, from dotted paths; `\.` is a dot that belongs to a key.

    Raises ValuePathError: for an empty key, an element of a list, and a path through what another path sets.
    """
    root: dict[str, Json] = {}
    for path, value in values.items():
        keys = [key.replace("\\.", ".") for key in _DOT.split(path)]
        field = f"config.values.{path}"
        if not all(keys):
            raise ValuePathError(f"the path {path!r} has an empty key", remedy="Write it as `image.tag`.", field=field)
        if re.search(r"\[\d+\]$|\[\d+\]\.", path):
            raise ValuePathError(
                f"the path {path!r} names an element of a list", remedy="Give the whole list, as JSON.", field=field
            )
        at = root
        for key in keys[:-1]:
            inner = at.setdefault(key, {})
            if not isinstance(inner, dict):
                raise _both(path, field)
            at = inner
        if keys[-1] in at:
            raise _both(path, field)
        at[keys[-1]] = value
    return root


def _both(path: str, field: str) -> ValuePathError:
    return ValuePathError(f"another path sets what {path!r} goes through", remedy="Remove one of the two.", field=field)
