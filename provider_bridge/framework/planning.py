"""The plan of one resource, as pure functions: from the config, the prior state and Terraform's proposal to the planned state.

The order matters and is fixed: defaults first, then, only if something changes, computed values become unknown. Done the other
way round, no plan would ever be empty.
"""

from collections.abc import Iterator

from provider_bridge.framework.diagnostics import Path
from provider_bridge.framework.schema import Attribute, Attributes
from provider_bridge.protocol.values import UNKNOWN, Object


def plan(attributes: Attributes, config: Object, prior: Object | None, proposed: Object) -> Object:
    """What the resource will be. `prior` is None for one that is yet to be created."""
    planned = with_defaults(attributes, config, proposed)
    if prior is None or planned != prior:
        planned = with_unknowns(attributes, config, prior, planned)
    return planned


def with_defaults(attributes: Attributes, config: Object, proposed: Object) -> Object:
    """`proposed`, with the default of every attribute that has one and that `config` leaves out, at any depth."""
    planned = dict(proposed)
    for name, attribute in attributes.items():
        given = config.get(name)
        if attribute.has_default and given is None:
            planned[name] = attribute.default
        elif attribute.nested is not None and given is not None and given is not UNKNOWN:
            planned[name] = _nested_defaults(attribute, given, proposed[name])
    return planned


def _nested_defaults(attribute: Attribute, given: Object, proposed: Object) -> Object:
    assert attribute.nested is not None
    if attribute.nesting == "single":
        return with_defaults(attribute.nested, given, proposed)
    return {
        key: with_defaults(attribute.nested, given[key], element) if isinstance(element, dict) else element
        for key, element in proposed.items()
    }


def with_unknowns(attributes: Attributes, config: Object, prior: Object | None, planned: Object) -> Object:
    """`planned`, with every computed attribute that `config` leaves out unknown, unless it is stable and has a value.

    Only attributes of the resource itself are computed; those inside nested objects come from the config or a default.
    """
    marked = dict(planned)
    for name, attribute in attributes.items():
        if not attribute.computed or attribute.has_default or config.get(name) is not None:
            continue
        kept = prior.get(name) if prior is not None and attribute.stable else None
        marked[name] = UNKNOWN if kept is None else kept
    return marked


def replacing_paths(attributes: Attributes, prior: Object, planned: Object) -> Iterator[Path]:
    """The attributes whose change makes a new object."""
    for name, attribute in attributes.items():
        if attribute.replaces and prior.get(name) != planned.get(name):
            yield (name,)


def changed(prior: Object, planned: Object, *names: str) -> bool:
    """Whether one of the attributes `names` differs, or may: an unknown value counts as a change."""
    return any(prior.get(name) != planned.get(name) for name in names)
