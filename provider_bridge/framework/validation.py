"""The check of a config against its schema's rules. Unknown values pass: they are checked again once they are known."""

import re
from collections.abc import Iterator

from provider_bridge.framework import durations
from provider_bridge.framework.diagnostics import Diagnostic, Key, Path, error
from provider_bridge.framework.schema import Attribute, Attributes, Schema
from provider_bridge.protocol.values import UNKNOWN, Object, Value


def check(schema: Schema, config: Object) -> Iterator[Diagnostic]:
    """What is wrong with `config`, attribute by attribute."""
    yield from _check_exactly_one(schema.exactly_one_of, config, ())
    yield from _check_attributes(schema.attributes, config, ())


def _check_attributes(attributes: Attributes, config: Object, at: Path) -> Iterator[Diagnostic]:
    for name, attribute in attributes.items():
        value = config.get(name)
        if value is not None and value is not UNKNOWN:
            yield from _check_value(attribute, value, (*at, name))


def _check_value(attribute: Attribute, value: Value, at: Path) -> Iterator[Diagnostic]:
    if attribute.key_pattern:
        for key in value:
            if not re.fullmatch(attribute.key_pattern, key):
                yield error("Invalid name", _mismatch(key, attribute.key_pattern, attribute), path=(*at, Key(key)))
    if attribute.nested is None:
        elements = {(*at, Key(key)): element for key, element in value.items()} if isinstance(value, dict) else {at: value}
        for path, element in elements.items():
            problem = None if element is None or element is UNKNOWN else _problem(attribute, element)
            if problem:
                yield error("Invalid value", problem, path=path)
    elif attribute.nesting == "single":
        yield from _check_exactly_one(attribute.exactly_one_of, value, at)
        yield from _check_attributes(attribute.nested, value, at)
    else:
        for key, element in value.items():
            if isinstance(element, dict):
                yield from _check_attributes(attribute.nested, element, (*at, Key(key)))


def _problem(attribute: Attribute, value: Value) -> str | None:
    if attribute.pattern and not re.fullmatch(attribute.pattern, value):
        return _mismatch(value, attribute.pattern, attribute)
    if attribute.one_of and value not in attribute.one_of:
        return f"{value!r} is not one of: {', '.join(attribute.one_of)}"
    if attribute.whole and not isinstance(value, int):
        # What is beyond 64 bits arrives as a string.
        return f"{value} is not a whole number"
    if attribute.duration:
        try:
            durations.seconds(value)
        except ValueError as reason:
            return str(reason)
    return None


def _mismatch(value: str, pattern: str, attribute: Attribute) -> str:
    if attribute.pattern_means:
        return f"{value!r} can't be used here. It has to be: {attribute.pattern_means}"
    return f"{value!r} does not match {pattern}"


def _check_exactly_one(names: tuple[str, ...], config: Object, at: Path) -> Iterator[Diagnostic]:
    given = [name for name in names if config.get(name) is not None]
    # An unknown value may turn out to be null, so only two known ones are surely too many.
    surely = [name for name in given if config[name] is not UNKNOWN]
    if names and (not given or len(surely) > 1):
        wanted = " and ".join(f"`{name}`" for name in names)
        found = " and ".join(f"`{name}`" for name in surely) or "none of them"
        yield error("Exactly one is needed", f"Give exactly one of {wanted}; this has {found}.", path=at)
