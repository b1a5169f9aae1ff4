"""A resource's attributes: what Terraform is told about them, and what planning and validation follow.

Schemas are data: they are read from a JSON document (see `schema_from_json`), so that they can be generated.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from provider_bridge.protocol.values import Object, Value


@dataclass(frozen=True)
class Attribute:
    """One attribute.

    Either `type` (a JSON type constraint of Terraform's, such as `"string"` or `["map", "number"]`) or `nested`, the attributes
    of an object, of which `nesting` says whether there is one or a map of them.

    An attribute with a default is never null in a plan. `replaces`: a change makes a new object. `stable`: a computed value
    that stays for the object's life. The last seven are what a value, or each value of a map, must satisfy (see `validation`).
    """

    description: str
    type: Value = None
    nested: "Mapping[str, Attribute] | None" = None
    nesting: Literal["single", "map"] = "single"
    required: bool = False
    optional: bool = False
    computed: bool = False
    sensitive: bool = False
    default: Value = None
    replaces: bool = False
    stable: bool = False
    pattern: str = ""
    key_pattern: str = ""
    pattern_means: str = ""
    one_of: tuple[str, ...] = ()
    duration: bool = False
    whole: bool = False
    exactly_one_of: tuple[str, ...] = ()

    @property
    def has_default(self) -> bool:
        """Whether null in the config means the default."""
        return self.default is not None


Attributes = Mapping[str, Attribute]


@dataclass(frozen=True)
class Schema:
    """A resource's, data source's or provider's attributes. `version` counts the forms of its stored state, from 0.

    `exactly_one_of` names attributes of which a config sets exactly one; empty asks for nothing.
    """

    description: str
    attributes: Attributes
    version: int = 0
    exactly_one_of: tuple[str, ...] = ()


def schema_from_json(document: dict[str, Any]) -> Schema:
    """The schema in a JSON document, whose keys are the fields of `Schema` and `Attribute`. Raises TypeError for others."""
    return Schema(**{**_tuples(document), "attributes": _attributes(document["attributes"])})


def _attributes(document: dict[str, Any]) -> dict[str, Attribute]:
    attributes = {}
    for name, fields in document.items():
        nested = fields.get("nested")
        attributes[name] = Attribute(**{**_tuples(fields), "nested": None if nested is None else _attributes(nested)})
    return attributes


def _tuples(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if name in ("one_of", "exactly_one_of") else value for name, value in fields.items()}


def conform(attributes: Attributes, value: Object) -> Object:
    """`value` with exactly these attributes: missing ones become null, unknown ones go. Terraform asks for both."""
    return {name: _conform_one(attribute, value.get(name)) for name, attribute in attributes.items()}


def _conform_one(attribute: Attribute, value: Value) -> Value:
    if attribute.nested is None or not isinstance(value, dict):
        return value
    if attribute.nesting == "single":
        return conform(attribute.nested, value)
    return {key: conform(attribute.nested, element) if isinstance(element, dict) else element for key, element in value.items()}
