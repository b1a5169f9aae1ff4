"""A resource's attributes and blocks: what Terraform is told about them, and what planning and validation follow.

Schemas are data: they are read from a JSON document (see `schema_from_json`), so that they can be generated.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, partial
from types import MappingProxyType
from typing import Any, Literal

from provider_bridge.protocol import numbers
from provider_bridge.protocol.readers import Reader, reader
from provider_bridge.protocol.values import UNKNOWN, Object, Value, read_stored_dynamic
from provider_bridge.records import Record

Nesting = Literal["single", "list", "set", "map"]
Normalized = Literal["", "json", "yaml", "duration"]
Readers = Mapping[str, Reader]

_NONE: Mapping[str, Any] = MappingProxyType({})


class Attribute(Record):
    """One attribute.

    Either `type` (a JSON type constraint of Terraform's, such as `"string"` or `["map", "number"]`) or `nested`, the attributes
    of an object, of which `nesting` says whether there is one, or a list, set or map of them.

    What a config leaves out: an attribute with a `default` gets it and is never null in a plan, at any depth; a `computed` one
    keeps its value until something else changes, and a `stable` one for the object's life. `replaces`: a change makes a new
    object. `write_only`: the value is in `Call.config` alone, and null in every plan and state. `deprecated` is what to use
    instead. `normalized`: two texts that mean the same JSON, YAML or duration are no change, and the one in the state stays.

    The rest is what a value, each value of a map, or each element of a list or set must satisfy (see `validation`).
    `exactly_one_of` names attributes in `nested`; `conflicts` names siblings that can't be given together with this one.
    """

    description: str
    type: Value = None
    nested: "Mapping[str, Attribute] | None" = None
    nesting: Nesting = "single"
    required: bool = False
    optional: bool = False
    computed: bool = False
    sensitive: bool = False
    write_only: bool = False
    deprecated: str = ""
    default: Value = None
    replaces: bool = False
    stable: bool = False
    normalized: Normalized = ""
    pattern: str = ""
    key_pattern: str = ""
    pattern_means: str = ""
    one_of: tuple[str, ...] = ()
    duration: bool = False
    whole: bool = False
    minimum: float | None = None
    maximum: float | None = None
    exactly_one_of: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()

    @property
    def has_default(self) -> bool:
        """Whether null in the config means the default."""
        return self.default is not None

    @cached_property
    def inner(self) -> "Body | None":
        """The objects of this attribute; None for one with a `type`."""
        return None if self.nested is None else Body(self.nested, exactly_one_of=self.exactly_one_of)


Attributes = Mapping[str, Attribute]


class Body(Record):
    """The attributes and blocks of an object. A config sets exactly one of `exactly_one_of`; empty asks for nothing."""

    attributes: Attributes
    blocks: "Mapping[str, Block]" = _NONE
    exactly_one_of: tuple[str, ...] = ()

    @cached_property
    def nested(self) -> "tuple[tuple[str, Nesting, Body], ...]":
        """The names of what holds objects, attributes and blocks alike, with how they nest and what they are made of."""
        attributes = ((name, each.nesting, each.inner) for name, each in self.attributes.items() if each.inner is not None)
        blocks: Iterable[tuple[str, Nesting, Body]] = ((name, each.nesting, each) for name, each in self.blocks.items())
        return (*attributes, *blocks)

    @cached_property
    def has_sets(self) -> bool:
        """Whether the order of some list in a value means nothing, at any depth."""
        plain = any(isinstance(each.type, list) and each.type[0] == "set" for each in self.attributes.values())
        return plain or any(nesting == "set" or body.has_sets for _, nesting, body in self.nested)

    @cached_property
    def has_normalized(self) -> bool:
        """Whether two different texts may mean the same somewhere, at any depth."""
        plain = any(each.normalized for each in self.attributes.values())
        return plain or any(body.has_normalized for _, _, body in self.nested)

    def read(self, value: Object) -> Object:
        """An object fresh from the wire, with its numbers in their Python form. Changes it in place."""
        return _read_parts(self._number_readers, value)

    def read_stored(self, value: Object) -> Object:
        """An object from a state's JSON, with its values of any type in their Python form. Changes it in place."""
        return _read_parts(self._stored_readers, value)

    @cached_property
    def _number_readers(self) -> Readers:
        return self._readers({"number": numbers.read}, lambda body: body._number_readers)

    @cached_property
    def _stored_readers(self) -> Readers:
        return self._readers({"dynamic": read_stored_dynamic}, lambda body: body._stored_readers)

    def _readers(self, leaves: Readers, of: "Callable[[Body], Readers]") -> Readers:
        found = {name: change for name, each in self.attributes.items() if (change := reader(each.type, leaves))}
        for name, nesting, body in self.nested:
            if of(body):
                found[name] = partial(each_object, nesting, change=partial(_read_parts, of(body)))
        return found


def _read_parts(readers: Readers, value: Object) -> Object:
    for name, change in readers.items():
        if value.get(name) is not None:
            value[name] = change(value[name])
    return value


class Block(Body):
    """A nested block. Its value is an object or None (`single`), or a list of objects, which may be empty (`list`, `set`).

    `max_items` of 0 sets no limit. A single block with `min_items` 1 is required. `conflicts` names siblings.
    """

    description: str = ""
    nesting: Literal["single", "list", "set"] = "single"
    min_items: int = 0
    max_items: int = 0
    deprecated: str = ""
    conflicts: tuple[str, ...] = ()

    @property
    def absent(self) -> Value:
        """The value where a config has no such block."""
        return None if self.nesting == "single" else []


class IdentityAttribute(Record):
    """One attribute of what tells an object from all others. `required`: an import by identity needs it."""

    description: str
    type: Value = "string"
    required: bool = True


class Schema(Body):
    """A resource's, data source's, ephemeral resource's, list's or provider's attributes and blocks.

    `version` counts the forms of its stored state, and `identity_version` those of its identity, from 0.
    """

    description: str = ""
    version: int = 0
    identity: Mapping[str, IdentityAttribute] = _NONE
    identity_version: int = 0
    deprecated: str = ""


def schema_from_json(document: dict[str, Any]) -> Schema:
    """The schema in a JSON document, whose keys are the fields of `Schema`, `Block` and `Attribute`.

    Raises TypeError for other keys.
    """
    identity = {name: IdentityAttribute(**fields) for name, fields in document.get("identity", {}).items()}
    return Schema(**{**_body(document), "identity": identity})


def _body(document: dict[str, Any]) -> dict[str, Any]:
    blocks = {name: Block(**_body(fields)) for name, fields in document.get("blocks", {}).items()}
    return {**_tuples(document), "attributes": _attributes(document.get("attributes", {})), "blocks": blocks}


def _attributes(document: dict[str, Any]) -> dict[str, Attribute]:
    attributes = {}
    for name, fields in document.items():
        nested = fields.get("nested")
        attributes[name] = Attribute(**{**_tuples(fields), "nested": None if nested is None else _attributes(nested)})
    return attributes


def _tuples(fields: dict[str, Any]) -> dict[str, Any]:
    lists = ("one_of", "exactly_one_of", "conflicts")
    return {name: tuple(value) if name in lists else value for name, value in fields.items()}


def conform(body: Body, value: Object) -> Object:
    """`value` with exactly what the body has: what is missing becomes null, or no block; what is unknown to it goes.

    Terraform asks for both, and for write-only attributes to be null.
    """
    conformed: Object = {}
    for name, attribute in body.attributes.items():
        given = None if attribute.write_only else value.get(name)
        inner = attribute.inner
        conformed[name] = given if inner is None else each_object(attribute.nesting, given, partial(conform, inner))
    for name, block in body.blocks.items():
        conformed[name] = each_object(block.nesting, value.get(name, block.absent), partial(conform, block))
    return conformed


def each_object(nesting: Nesting, value: Value, change: Callable[[Object], Object]) -> Value:
    """A nested value with each of its objects changed. What is null or unknown stays, as a whole or as an element."""
    if value is None or value is UNKNOWN:
        return value
    if nesting == "single":
        return change(value)
    if nesting == "map":
        return {key: change(element) if isinstance(element, dict) else element for key, element in value.items()}
    return [change(element) if isinstance(element, dict) else element for element in value]
