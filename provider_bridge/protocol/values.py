"""The values of Terraform's type system (cty) as Python values, and their msgpack form.

null is None; numbers are as `numbers` says; lists, sets and tuples are lists; maps and objects are dicts. A value that isn't
known until apply is `UNKNOWN`. Refinements of an unknown value (its prefix, that it isn't null) are dropped: they are hints.
"""

import json
from typing import Any, Final

import msgpack  # type: ignore[import-untyped]
from msgpack.ext import ExtType  # type: ignore[import-untyped]

from provider_bridge.protocol import numbers
from provider_bridge.protocol.readers import reader
from provider_bridge.records import Record

Value = Any
"""A cty value in its Python form. Terraform has checked it against the schema before it reaches the provider."""

Object = dict[str, Value]
"""A cty object: a resource's config, plan or state."""

_UNKNOWN_EXTENSION = 0
_REFINED_UNKNOWN_EXTENSION = 12


class Unknown:
    """The type of UNKNOWN, of which there is one. It has no truth value: asking for one is a bug in a plan."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNKNOWN"

    def __bool__(self) -> bool:
        raise TypeError("an unknown value is neither true nor false")

    def __copy__(self) -> "Unknown":
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> "Unknown":
        return self


UNKNOWN: Final = Unknown()


class Dynamic(Record):
    """A value of an attribute whose type is `dynamic`, with the type that it has now (a JSON type constraint)."""

    type: Value
    value: Value


def decode(encoded: bytes) -> Value:
    """The value in `encoded`. Raises ValueError for what isn't msgpack.

    A number that is neither an int64 nor a float64 stays the text that it is on the wire, because only its type tells it from
    other text: `read_numbers` makes it a number.
    """
    return msgpack.unpackb(encoded, ext_hook=_extension, list_hook=_dynamic, strict_map_key=False)


def read_numbers(constraint: Value, value: Value) -> Value:
    """A decoded value of this type (a JSON type constraint), with all numbers as `numbers` says."""
    change = reader(constraint, {"number": numbers.read})
    return value if change is None else change(value)


def read_stored_dynamic(value: Value) -> Value:
    """The value of a `dynamic` attribute in a state's JSON, where it goes with its type."""
    return Dynamic(value["type"], value["value"]) if isinstance(value, dict) else value


def encode(value: Value) -> bytes:
    """The msgpack form of `value`. Raises TypeError for what isn't a cty value."""
    encoded: bytes = msgpack.packb(numbers.writable(value), default=_encode_special)
    return encoded


def is_known(value: Value) -> bool:
    """Whether neither the value nor any part of it is unknown."""
    if isinstance(value, dict):
        return all(is_known(part) for part in value.values())
    if isinstance(value, list):
        return all(is_known(part) for part in value)
    if isinstance(value, Dynamic):
        return is_known(value.value)
    return value is not UNKNOWN


def _extension(code: int, data: bytes) -> Value:
    if code in (_UNKNOWN_EXTENSION, _REFINED_UNKNOWN_EXTENSION):
        return UNKNOWN
    raise ValueError(f"msgpack extension {code} isn't part of the cty encoding")


def _dynamic(items: list[Value]) -> Value:
    # cty has no bytes, so a pair that begins with bytes is a dynamic value: its type as JSON, then the value.
    if len(items) == 2 and isinstance(items[0], bytes):
        constraint = json.loads(items[0])
        return Dynamic(constraint, read_numbers(constraint, items[1]))
    return items


def _encode_special(value: Value) -> Value:
    if value is UNKNOWN:
        return ExtType(_UNKNOWN_EXTENSION, b"\x00")
    if isinstance(value, Dynamic):
        return [json.dumps(value.type).encode(), numbers.writable(value.value)]
    if isinstance(value, int) or type(value).__name__ == "Decimal":
        return numbers.text(value)
    raise TypeError(f"{type(value).__name__} is not a cty value")
