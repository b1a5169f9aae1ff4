"""The check of a config against its schema's rules. Unknown values pass: they are checked again once they are known.

Types, required attributes and the number of blocks are Terraform's own to check: it knows them from the schema.
"""

import re
from collections.abc import Iterator

from provider_bridge.framework import durations
from provider_bridge.framework.diagnostics import Diagnostic, Key, Path, error, warning
from provider_bridge.framework.schema import Attribute, Body, Nesting
from provider_bridge.protocol.values import UNKNOWN, Object, Value


def check(body: Body, config: Object, *, write_only_allowed: bool = True) -> Iterator[Diagnostic]:
    """What is wrong with `config`, attribute by attribute, and what is deprecated."""
    yield from _check_body(body, config, (), write_only_allowed=write_only_allowed)


def _check_body(body: Body, config: Object, at: Path, *, write_only_allowed: bool) -> Iterator[Diagnostic]:
    yield from _check_exactly_one(body.exactly_one_of, config, at)
    for name, attribute in body.attributes.items():
        value = config.get(name)
        if value is None:
            continue
        path = (*at, name)
        if attribute.write_only and not write_only_allowed:
            yield _write_only(name, path)
        if attribute.deprecated:
            yield warning("Deprecated", f"`{name}` is deprecated.", remedy=attribute.deprecated, path=path)
        if attribute.conflicts:
            yield from _check_conflicts(name, attribute.conflicts, config, path)
        if value is not UNKNOWN:
            yield from _check_value(attribute, value, path)
            if attribute.inner is not None:
                yield from _check_nested(attribute.inner, attribute.nesting, value, path, write_only_allowed=write_only_allowed)
    for name, block in body.blocks.items():
        value = config.get(name)
        if not _is_given(value):
            continue
        path = (*at, name)
        if block.deprecated:
            yield warning("Deprecated", f"The block `{name}` is deprecated.", remedy=block.deprecated, path=path)
        yield from _check_conflicts(name, block.conflicts, config, path)
        yield from _check_nested(block, block.nesting, value, path, write_only_allowed=write_only_allowed)


def _check_nested(body: Body, nesting: Nesting, value: Value, at: Path, *, write_only_allowed: bool) -> Iterator[Diagnostic]:
    for path, element in _elements(nesting, value, at):
        if isinstance(element, dict):
            yield from _check_body(body, element, path, write_only_allowed=write_only_allowed)


def _elements(nesting: Nesting, value: Value, at: Path) -> Iterator[tuple[Path, Value]]:
    """Each part of a nested value with its path. No path leads into a set, so the set's own stands for it."""
    if nesting == "single":
        yield at, value
    elif isinstance(value, dict):
        for key, element in value.items():
            yield (*at, Key(key)), element
    elif isinstance(value, list):
        for index, element in enumerate(value):
            yield at if nesting == "set" else (*at, index), element


def _check_value(attribute: Attribute, value: Value, at: Path) -> Iterator[Diagnostic]:
    if attribute.key_pattern:
        for key in value:
            if not re.fullmatch(attribute.key_pattern, key):
                yield error("Invalid name", _mismatch(key, attribute.key_pattern, attribute), path=(*at, Key(key)))
    if attribute.nested is not None:
        return
    for path, element in _elements(_plain_nesting(attribute), value, at):
        problem = None if element is None or element is UNKNOWN else _problem(attribute, element)
        if problem:
            yield error("Invalid value", problem, path=path)


def _plain_nesting(attribute: Attribute) -> Nesting:
    kind: Nesting = attribute.type[0] if isinstance(attribute.type, list) else "single"
    return kind if kind in ("list", "set", "map") else "single"


def _problem(attribute: Attribute, value: Value) -> str | None:
    if attribute.pattern and not re.fullmatch(attribute.pattern, value):
        return _mismatch(value, attribute.pattern, attribute)
    if attribute.one_of and value not in attribute.one_of:
        return f"{value!r} is not one of: {', '.join(attribute.one_of)}"
    if attribute.whole and not isinstance(value, int):
        return f"{value} is not a whole number"
    if attribute.minimum is not None and value < attribute.minimum:
        return f"{value} is less than {attribute.minimum:g}"
    if attribute.maximum is not None and value > attribute.maximum:
        return f"{value} is more than {attribute.maximum:g}"
    try:
        if attribute.duration:
            durations.seconds(value)
        if attribute.normalized:
            return _unreadable(attribute, value)
    except ValueError as reason:
        return str(reason)
    return None


def _unreadable(attribute: Attribute, value: str) -> str | None:
    from provider_bridge.framework.meaning import parse

    assert attribute.normalized
    try:
        parse(attribute.normalized, value)
    except ValueError as reason:
        return str(reason) if attribute.normalized == "duration" else f"this is not {attribute.normalized.upper()}: {reason}"
    return None


def _mismatch(value: str, pattern: str, attribute: Attribute) -> str:
    if attribute.pattern_means:
        return f"{value!r} can't be used here. It has to be: {attribute.pattern_means}"
    return f"{value!r} does not match {pattern}"


def _write_only(name: str, path: Path) -> Diagnostic:
    return error(
        "Write-only values need a newer Terraform",
        f"`{name}` is never stored, which this Terraform or OpenTofu can't promise.",
        remedy="Use Terraform 1.11 or OpenTofu 1.11, or newer.",
        path=path,
    )


def _is_given(value: Value) -> bool:
    """Whether an attribute is set or a block is there. Where there may be many blocks, an empty list is none."""
    return value is not None and value != []


def _surely(value: Value) -> bool:
    # An unknown value may turn out to be null.
    return _is_given(value) and value is not UNKNOWN


def _check_conflicts(name: str, others: tuple[str, ...], config: Object, at: Path) -> Iterator[Diagnostic]:
    found = [f"`{other}`" for other in others if _surely(config.get(other))]
    if found and _surely(config[name]):
        detail = f"`{name}` can't be given together with {' and '.join(found)}."
        yield error("Conflicting values", detail, remedy="Leave one of them out.", path=at)


def _check_exactly_one(names: tuple[str, ...], config: Object, at: Path) -> Iterator[Diagnostic]:
    given = [name for name in names if _is_given(config.get(name))]
    surely = [name for name in given if _surely(config[name])]
    if names and (not given or len(surely) > 1):
        wanted = " and ".join(f"`{name}`" for name in names)
        found = " and ".join(f"`{name}`" for name in surely) or "none of them"
        yield error("Exactly one is needed", f"Give exactly one of {wanted}; this has {found}.", path=at)
