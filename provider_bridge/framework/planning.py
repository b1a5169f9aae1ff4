"""The plan of one resource, as pure functions: from the config and the prior state to the planned state.

The order matters and is fixed: defaults first, then, only if something changes, computed values become unknown. Done the other
way round, no plan would ever be empty.

Terraform's own proposal isn't needed: it follows from config and prior state, and it pairs up the elements of nested sets in
ways that defaults break. Here they are paired by value.
"""

from collections.abc import Iterator

from provider_bridge.framework.diagnostics import Key, Path
from provider_bridge.framework.schema import Attribute, Body, Nesting, each_object
from provider_bridge.protocol.values import UNKNOWN, Object, Value


def plan(body: Body, config: Object, prior: Object | None) -> Object:
    """What the resource will be: `prior` itself if nothing changes. `prior` is None for one that is yet to be created."""
    if prior is not None and same(body, _fill(body, config, prior, mark=False), prior):
        return prior
    return _fill(body, config, prior, mark=True)


def _fill(body: Body, config: Object, prior: Object | None, *, mark: bool) -> Object:
    """`config` with what it leaves out. `mark`: computed values become unknown, unless they are stable and there already."""
    before = prior or {}
    filled = {
        name: _fill_attribute(attribute, config.get(name), before.get(name), mark=mark)
        for name, attribute in body.attributes.items()
    }
    for name, block in body.blocks.items():
        filled[name] = _fill_nested(block, block.nesting, config.get(name, block.absent), before.get(name), mark=mark)
    return filled


def _fill_attribute(attribute: Attribute, given: Value, before: Value, *, mark: bool) -> Value:
    if attribute.write_only:
        return None
    if given is None:
        if attribute.has_default:
            given = attribute.default
        elif attribute.computed and mark:
            return before if attribute.stable and before is not None else UNKNOWN
        else:
            return before if attribute.computed else None
    if attribute.inner is not None:
        return _fill_nested(attribute.inner, attribute.nesting, given, before, mark=mark)
    return _keep_form(attribute, before, given) if attribute.normalized else given


def _fill_nested(body: Body, nesting: Nesting, given: Value, before: Value, *, mark: bool) -> Value:
    if given is None or given is UNKNOWN:
        return given
    if nesting == "single":
        return _fill(body, given, before if isinstance(before, dict) else None, mark=mark)
    if nesting == "map":
        known = before if isinstance(before, dict) else {}
        return {key: _fill_element(body, element, known.get(key), mark=mark) for key, element in given.items()}
    elements = before if isinstance(before, list) else []
    if nesting == "list":
        padded = [*elements, *[None] * len(given)]
        return [_fill_element(body, element, padded[index], mark=mark) for index, element in enumerate(given)]
    left = list(elements)
    return [_fill_element(body, element, _take_same(body, element, left), mark=mark) for element in given]


def _fill_element(body: Body, given: Value, before: Value, *, mark: bool) -> Value:
    if not isinstance(given, dict):
        return given
    return _fill(body, given, before if isinstance(before, dict) else None, mark=mark)


def _take_same(body: Body, given: Value, left: list[Value]) -> Value:
    """The element of a set that `given` leaves as it is, which is taken from `left`; None if there is none."""
    for index, candidate in enumerate(left):
        if isinstance(given, dict) and same(body, _fill(body, given, candidate, mark=False), candidate):
            return left.pop(index)
    return None


def same(body: Body, one: Object, other: Object) -> bool:
    """Whether two objects are equal; the order of a set's elements doesn't count."""
    if one == other:
        return True
    if not body.has_sets:
        return False
    nested = {name: (nesting, inner) for name, nesting, inner in body.nested}
    for name in (*body.attributes, *body.blocks):
        a, b = one.get(name), other.get(name)
        if a == b:
            continue
        if name in nested:
            if not _same_nested(*nested[name], a, b):
                return False
        elif not _is_set(body.attributes[name]) or not _same_elements(a, b):
            return False
    return True


def _is_set(attribute: Attribute) -> bool:
    return isinstance(attribute.type, list) and attribute.type[0] == "set"


def _same_elements(one: Value, other: Value) -> bool:
    if not isinstance(one, list) or not isinstance(other, list) or len(one) != len(other):
        return False
    left = list(other)
    for element in one:
        if element not in left:
            return False
        left.remove(element)
    return True


def _same_nested(nesting: Nesting, body: Body, one: Value, other: Value) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        if nesting == "single":
            return same(body, one, other)
        return one.keys() == other.keys() and all(_same_element(body, one[key], other[key]) for key in one)
    if not isinstance(one, list) or not isinstance(other, list) or len(one) != len(other):
        return False
    if nesting == "list":
        return all(_same_element(body, a, b) for a, b in zip(one, other, strict=True))
    left = list(other)
    for element in one:
        found = next((index for index, each in enumerate(left) if _same_element(body, element, each)), None)
        if found is None:
            return False
        del left[found]
    return True


def _same_element(body: Body, one: Value, other: Value) -> bool:
    return bool(one == other) or (isinstance(one, dict) and isinstance(other, dict) and same(body, one, other))


def keep_forms(body: Body, written: Object, found: Object) -> Object:
    """`found`, with the text of `written` wherever an attribute is normalized and both mean the same, at any depth.

    What the IMS or any server hands back in its own form is no drift, and no other result than what was planned.
    """
    if not body.has_normalized:
        return found
    kept = dict(found)
    for name, attribute in body.attributes.items():
        if attribute.normalized and name in kept:
            kept[name] = _keep_form(attribute, written.get(name), kept[name])
    for name, nesting, inner in body.nested:
        if inner.has_normalized and name in kept:
            kept[name] = _keep_nested(inner, nesting, written.get(name), kept[name])
    return kept


def _keep_nested(body: Body, nesting: Nesting, written: Value, found: Value) -> Value:
    if isinstance(written, dict) and isinstance(found, dict):
        if nesting == "single":
            return keep_forms(body, written, found)
        return {key: _keep_element(body, written.get(key), element) for key, element in found.items()}
    if not isinstance(written, list) or not isinstance(found, list):
        return found
    if nesting == "list":
        padded = [*written, *[None] * len(found)]
        return [_keep_element(body, padded[index], element) for index, element in enumerate(found)]
    return [
        next((each for each in written if same(body, each, _keep_element(body, each, element))), element) for element in found
    ]


def _keep_element(body: Body, written: Value, found: Value) -> Value:
    return keep_forms(body, written, found) if isinstance(written, dict) and isinstance(found, dict) else found


def _keep_form(attribute: Attribute, written: Value, given: Value) -> Value:
    """`written` where it means the same as `given`: as a whole, or element by element in a list or map."""
    if isinstance(given, dict) and isinstance(written, dict):
        return {key: _keep_form(attribute, written.get(key), each) for key, each in given.items()}
    if isinstance(given, list) and isinstance(written, list) and len(given) == len(written):
        return [_keep_form(attribute, old, new) for old, new in zip(written, given, strict=True)]
    if not isinstance(given, str) or not isinstance(written, str) or given == written:
        return given
    from provider_bridge.framework.meaning import same_meaning

    assert attribute.normalized
    return written if same_meaning(attribute.normalized, written, given) else given


def replacing_paths(body: Body, prior: Object, planned: Object) -> Iterator[Path]:
    """The attributes whose change makes a new object, at any depth. In a set no element has a path, so the set is named."""
    for name, attribute in body.attributes.items():
        if attribute.replaces and not same(Body({name: attribute}), {name: prior.get(name)}, {name: planned.get(name)}):
            yield (name,)
    for name, nesting, inner in body.nested:
        before, after = prior.get(name), planned.get(name)
        if before != after:
            yield from _replacing_nested(inner, nesting, before, after, (name,))


def _replacing_nested(body: Body, nesting: Nesting, before: Value, after: Value, at: Path) -> Iterator[Path]:
    pairs: list[tuple[Path, Value, Value]] = []
    if nesting == "single":
        pairs = [(at, before, after)]
    elif isinstance(before, dict) and isinstance(after, dict):
        pairs = [((*at, Key(key)), before[key], after[key]) for key in before.keys() & after.keys()]
    elif isinstance(before, list) and isinstance(after, list) and nesting == "list":
        pairs = [((*at, index), *pair) for index, pair in enumerate(zip(before, after, strict=False))]
    for path, old, new in pairs:
        if isinstance(old, dict) and isinstance(new, dict):
            for inner in replacing_paths(body, old, new):
                yield (*path, *inner)


def config_of(body: Body, state: Object) -> Object:
    """A configuration that makes `state`: what a user may set and isn't at its default."""
    config: Object = {}
    for name, attribute in body.attributes.items():
        value = state.get(name)
        settable = attribute.required or attribute.optional or attribute.has_default
        if not settable or attribute.write_only or attribute.deprecated or value == attribute.default:
            value = None
        elif attribute.inner is not None:
            value = _configs_of(attribute.inner, attribute.nesting, value)
        config[name] = value
    for name, block in body.blocks.items():
        config[name] = _configs_of(block, block.nesting, state.get(name, block.absent))
    return config


def _configs_of(body: Body, nesting: Nesting, value: Value) -> Value:
    return each_object(nesting, value, lambda element: config_of(body, element))


def changed(prior: Object, planned: Object, *names: str) -> bool:
    """Whether one of the attributes `names` differs, or may: an unknown value counts as a change."""
    return any(prior.get(name) != planned.get(name) for name in names)
