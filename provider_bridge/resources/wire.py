"""Values on their way between Terraform's state and the API's JSON.

What Terraform's types can't say is written as JSON in a string. The form that the user wrote stays as long as it means what
the API says, or else a plan would show a change that is none.
"""

import json
from collections.abc import Mapping

from provider_bridge.framework.schema import Attribute, Attributes, each_object
from provider_bridge.problems import Json
from provider_bridge.protocol.values import Object, Value

_ESCAPED = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}
"""What `jsonencode` escapes, and Python doesn't. None of it occurs in JSON outside strings."""


def as_text(value: Json) -> str:
    """A JSON value as a string: a string as it is, anything else as compact JSON, which is what `jsonencode` writes."""
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True).translate(_ESCAPED)


def same_text(written: str, value: Json) -> bool:
    """Whether `written` means `value`: the same string, or JSON of the same value."""
    if isinstance(value, str):
        return written == value
    try:
        return bool(json.loads(written) == value)
    except ValueError:
        return False


def map_to_wire(values: Mapping[str, Value] | None) -> dict[str, Json]:
    """A map from a plan; null elements count as left out."""
    return {name: value for name, value in (values or {}).items() if value is not None}


def map_from_wire(answer: Mapping[str, Json], written: Mapping[str, Value] | None) -> Value:
    """A map of strings for the state: `written`, what the state has, if it means the same as the answer."""
    if written is not None:
        given = map_to_wire(written)
        if given.keys() == answer.keys() and all(same_text(given[name], value) for name, value in answer.items()):
            return written
    return {name: as_text(value) for name, value in answer.items()}


def is_text_map(attribute: Attribute) -> bool:
    """Whether the attribute is a map of strings, which may stand for any JSON values."""
    return bool(attribute.type == ["map", "string"])


def from_wire(attribute: Attribute, value: Json) -> Value:
    """A value of the API as one of the attribute: what its type can't say becomes JSON in a string."""
    if value is None:
        return None
    inner = attribute.nested
    if inner is not None:
        return each_object(attribute.nesting, value, lambda each: object_from_wire(inner, each))
    if attribute.type == "string":
        return as_text(value)
    return {name: as_text(each) for name, each in value.items()} if is_text_map(attribute) else value


def object_from_wire(attributes: Attributes, answer: Json) -> Object:
    """An object of the API with the attributes that are called as in its JSON; the others are null."""
    return {name: from_wire(attribute, answer.get(name)) for name, attribute in attributes.items()}
