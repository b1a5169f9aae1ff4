"""Every value of Terraform's types survives the wire: made by hypothesis, read by an encoder and decoder of cty's own rules."""

import json
import math
from decimal import Decimal
from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgpack.ext import ExtType

from provider_bridge.framework.schema import Attribute, Block, Schema, conform, each_object
from provider_bridge.framework.wire import read_json, read_object, value_message
from provider_bridge.protocol import numbers
from provider_bridge.protocol.values import UNKNOWN, Dynamic, decode, encode, is_known, read_numbers

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""How long an example takes says more about the machine than about the code."""

NAMES = st.text(min_size=1, max_size=8)
TEXTS = st.text(max_size=20)
INTEGERS = st.integers(-(10**40), 10**40)
FRACTIONS = st.floats(allow_nan=False, allow_infinity=False)
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30, places=25)
NUMBERS = INTEGERS | FRACTIONS | DECIMALS

TYPES = st.recursive(
    st.sampled_from(["string", "number", "bool", "dynamic"]),
    lambda inner: (
        st.tuples(st.sampled_from(["list", "set", "map"]), inner).map(list)
        | st.dictionaries(NAMES, inner, max_size=3).map(lambda fields: ["object", fields])
        | st.lists(inner, max_size=3).map(lambda parts: ["tuple", parts])
    ),
    max_leaves=6,
)


def values(constraint: Any) -> st.SearchStrategy[Any]:
    """Values of a type, with null and unknown at any depth."""
    return st.none() | st.just(UNKNOWN) | known(constraint)


def known(constraint: Any) -> st.SearchStrategy[Any]:
    if isinstance(constraint, str):
        return {
            "string": TEXTS,
            "number": NUMBERS,
            "bool": st.booleans(),
            # cty has no dynamic value of a dynamic type.
            "dynamic": st.sampled_from(["string", "number", "bool", ["list", "number"]]).flatmap(
                lambda inner: st.builds(Dynamic, st.just(inner), values(inner))
            ),
        }[constraint]
    kind, of = constraint
    if kind == "object":
        return st.fixed_dictionaries({name: values(each) for name, each in of.items()})
    if kind == "tuple":
        return st.tuples(*map(values, of)).map(list)
    if kind == "map":
        return st.dictionaries(NAMES, values(of), max_size=4)
    return st.lists(values(of), max_size=4)


TYPED = TYPES.flatmap(lambda constraint: st.tuples(st.just(constraint), values(constraint)))


def exactly(value: Any) -> Any:
    """The value with each number as the decimal that it stands for: what a float prints as, if it isn't whole."""
    if isinstance(value, dict):
        return {key: exactly(each) for key, each in value.items()}
    if isinstance(value, list):
        return [exactly(each) for each in value]
    if isinstance(value, Dynamic):
        return (json.dumps(value.type), exactly(value.value))
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return (type(value), value)
    return Decimal(repr(value) if isinstance(value, float) and not value.is_integer() else value)


@pytest.mark.service
@unhurried
@given(TYPED)
def test_a_value_of_any_type_survives_the_wire(typed: tuple[Any, Any]) -> None:
    constraint, value = typed
    assert exactly(read_numbers(constraint, decode(encode(value)))) == exactly(value)


@unhurried
@given(TYPED)
def test_what_is_read_is_written_as_it_was(typed: tuple[Any, Any]) -> None:
    constraint, value = typed
    once = encode(read_numbers(constraint, decode(encode(value))))
    assert encode(read_numbers(constraint, decode(once))) == once


@unhurried
@given(TYPED)
def test_an_unknown_is_found_at_any_depth(typed: tuple[Any, Any]) -> None:
    _, value = typed
    if not isinstance(value, Dynamic):
        assert is_known(value) == ("UNKNOWN" not in repr(_without_text(value)))


def _without_text(value: Any) -> Any:
    if isinstance(value, dict):
        return [_without_text(each) for each in value.values()]
    if isinstance(value, list):
        return [_without_text(each) for each in value]
    if isinstance(value, Dynamic):
        return _without_text(value.value)
    return value if value is UNKNOWN else None


def as_cty_writes(number: Decimal) -> Any:
    """A number by cty's rules: an int64, a float64 if that is exactly the number, or else its digits."""
    if number == number.to_integral_value() and -(1 << 63) <= number < 1 << 63:
        return int(number)
    near = float(number)
    if math.isfinite(near) and Decimal(near) == number:
        return near
    return format(number, "f")


@unhurried
@given(NUMBERS)
def test_a_number_as_terraform_writes_it_is_read_exactly(number: Any) -> None:
    exact = exactly(number)
    read = numbers.read(decode(msgpack.packb(as_cty_writes(exact))))
    assert exactly(read) == exact
    assert not isinstance(read, Decimal) or exact != exactly(float(exact)), "a float where it says the same"


@unhurried
@given(NUMBERS)
def test_a_number_is_written_so_that_terraform_reads_it_exactly(number: Any) -> None:
    sent = msgpack.unpackb(encode(number))
    # cty parses text as decimal, and takes a float64 for exactly what it is.
    assert Decimal(sent) == exactly(number)


@unhurried
@given(NUMBERS)
def test_a_number_in_a_stored_state_is_read_exactly(number: Any) -> None:
    exact = exactly(number)
    assert exactly(read_json(format(exact, "f").encode())) == exact


@pytest.mark.parametrize(("digits", "number"), [("0.1", 0.1), ("1e3", 1000), ("-0.50", -0.5), ("1e-7", 1e-7), ("7", 7)])
def test_digits_are_the_simplest_number_that_is_exact(digits: str, number: float) -> None:
    read = numbers.parse(digits)
    assert (read, type(read)) == (number, type(number))


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="could not convert"):
        numbers.read("many")
    with pytest.raises(TypeError, match="NaN"):
        encode(math.nan)


@unhurried
@given(st.binary(max_size=30), TYPED)
def test_refinements_of_an_unknown_are_dropped_at_any_depth(refinement: bytes, typed: tuple[Any, Any]) -> None:
    _, value = typed

    def refine(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: refine(each) for key, each in part.items()}
        if isinstance(part, list):
            return [refine(each) for each in part]
        return ExtType(12, refinement) if part is UNKNOWN else part

    if _has_dynamic(value):
        return
    assert decode(msgpack.packb(refine(numbers.writable(value)), default=numbers.text)) == decode(encode(value))


def _has_dynamic(value: Any) -> bool:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return isinstance(value, Dynamic) or any(map(_has_dynamic, parts))


ATTRIBUTES = st.recursive(
    TYPES.map(lambda constraint: Attribute("", type=constraint)),
    lambda inner: st.builds(
        lambda nested, nesting: Attribute("", nested=nested, nesting=nesting),
        st.dictionaries(NAMES, inner, max_size=3),
        st.sampled_from(["single", "list", "set", "map"]),
    ),
    max_leaves=5,
)
SCHEMAS = st.builds(
    lambda attributes, blocks: Schema(attributes, blocks={f"block {name}": each for name, each in blocks.items()}),
    st.dictionaries(NAMES, ATTRIBUTES, max_size=4),
    st.dictionaries(
        NAMES,
        st.builds(
            lambda attributes, nesting: Block(attributes, nesting=nesting),
            st.dictionaries(NAMES, ATTRIBUTES, max_size=2),
            st.sampled_from(["single", "list", "set"]),
        ),
        max_size=2,
    ),
)


def objects(body: Any) -> st.SearchStrategy[Any]:
    """Objects of a schema, with nested objects of every kind."""
    parts = {name: values(each.type) for name, each in body.attributes.items() if each.nested is None}
    for name, nesting, inner in body.nested:
        one = objects(inner)
        many = {"map": st.dictionaries(NAMES, one | st.just(UNKNOWN), max_size=2), "single": one}
        parts[name] = many.get(nesting, st.lists(one | st.just(UNKNOWN), max_size=2)) | st.just(UNKNOWN)
    return st.fixed_dictionaries(parts)


@pytest.mark.service
@unhurried
@given(SCHEMAS.flatmap(lambda schema: st.tuples(st.just(schema), objects(schema))))
def test_an_object_of_any_schema_survives_the_wire_and_is_in_form(made: tuple[Schema, Any]) -> None:
    schema, value = made
    assert exactly(read_object(schema, value_message(value))) == exactly(value)
    assert exactly(conform(schema, {**value, "nobody knows this": 1})) == exactly(value)


@unhurried
@given(SCHEMAS)
def test_what_is_missing_is_null_or_no_block(schema: Schema) -> None:
    found = conform(schema, {})
    assert found.keys() == {*schema.attributes, *schema.blocks}
    assert all(found[name] == block.absent for name, block in schema.blocks.items())
    assert each_object("single", None, lambda _: {}) is None
