"""From the contract's models to the attributes and blocks of the Terraform provider: what `provider_schema` is built of.

A field's type, default, description, pattern, choices and limits come from its model. A field that is a model becomes a nested
attribute, a list or map of models one with many objects.
"""

import types
import typing
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, TypeAdapter

from api.contract.base import Model, Name

NAME: dict[str, Any] = TypeAdapter(Name).json_schema()

Fields = dict[str, Any]
"""The fields of an `Attribute`, `Block` or `Schema` of `provider_bridge.framework.schema` that aren't at their defaults."""

Attributes = dict[str, Fields]

NOTHING: frozenset[str] = frozenset()


def config(create: type[BaseModel], update: type[BaseModel] | None, leave_out: Iterable[str] = NOTHING) -> Attributes:
    """The attributes that a config gives: the fields of `create`, of which those that `update` lacks replace the object."""
    kept = update.model_fields if update else {}
    names = [name for name in create.model_fields if name not in leave_out]
    return {name: given(create, name) if name in kept else {**given(create, name), "replaces": True} for name in names}


def given(model: type[BaseModel], name: str) -> Fields:
    """One field of a request as an attribute that a config gives."""
    field, schema = model.model_fields[name], _property(model, name)
    inner = _model_in(field.annotation)
    shape: Fields
    if inner is None:
        shape = {"type": type_of(schema), **rules(schema)}
    else:
        nesting, of = inner
        shape = {"nested": config(of, of), "nesting": nesting, "exactly_one_of": list(_exactly_one_of(of))}
    fields: Fields = {"description": field.description or schema.get("description", ""), **shape}
    if field.is_required():
        return {**fields, "required": True}
    return {**fields, "optional": True, "default": field.get_default(call_default_factory=True, validated_data={})}


def computed(model: type[BaseModel], name: str, description: str = "") -> Fields:
    """One field of an answer as an attribute that the provider fills in."""
    field, schema = model.model_fields[name], _property(model, name)
    fields: Fields = {"computed": True, "description": description or field.description or schema.get("description", "")}
    inner = _model_in(field.annotation)
    if inner is None:
        return {**fields, "type": type_of(schema)}
    nesting, of = inner
    return {**fields, "nesting": nesting, "nested": {name: computed(of, name) for name in of.model_fields}}


def answers(model: type[BaseModel], **descriptions: str) -> Attributes:
    """Fields of an answer by name, each with its description; an empty one takes the model's."""
    return {name: computed(model, name, description) for name, description in descriptions.items()}


def block(model: type[BaseModel], description: str, leave_out: Iterable[str] = NOTHING) -> Fields:
    """A model as a block of which there is one or none."""
    return {"description": description, "attributes": config(model, model, leave_out)}


def as_computed(fields: Fields) -> Fields:
    """An attribute of a resource as one that its data source reads."""
    kept = {key: value for key, value in fields.items() if key in ("description", "type", "nesting")}
    if "nested" in fields:
        kept["nested"] = {name: as_computed(inner) for name, inner in fields["nested"].items()}
    return {**kept, "computed": True}


def block_as_computed(fields: Fields) -> Fields:
    """A block of a resource as an attribute that its data source reads."""
    return as_computed({"description": fields["description"], "nested": fields["attributes"]})


def text(description: str) -> Fields:
    """A string that may be left out."""
    return {"type": "string", "optional": True, "description": description}


def needed(fields: Fields) -> Fields:
    """The attribute as one that every config gives."""
    return {key: value for key, value in fields.items() if key not in ("optional", "computed", "default")} | {"required": True}


def timeouts(**defaults: str) -> Fields:
    """How long each operation may take, by its name."""
    verbs = {"create": "a create", "update": "an update", "delete": "a destroy"}
    return {
        "description": "How long to wait, such as `90s`, `20m` or `1h30m`.",
        "optional": True,
        "nested": {
            name: {**text(f"For {verbs[name]}; default `{default}`."), "duration": True} for name, default in defaults.items()
        },
    }


def type_of(schema: dict[str, Any]) -> Any:
    """Terraform's type constraint for a JSON schema. A value that may be any JSON is a string, which holds it as JSON."""
    if "anyOf" in schema:
        return type_of(next(each for each in schema["anyOf"] if each != {"type": "null"}))
    match schema.get("type"):
        case "string" | None:
            return "string"
        case "integer" | "number":
            return "number"
        case "boolean":
            return "bool"
        case "array":
            return ["list", type_of(schema["items"])]
        case "object":
            values = schema.get("additionalProperties")
            return ["map", type_of(values if isinstance(values, dict) else {})]
    raise ValueError(f"no Terraform type is known for {schema}")


def rules(schema: dict[str, Any]) -> Fields:
    """What the model demands of a value, or of each in a list or map, as far as a provider can check it by itself."""
    inner = _innermost(schema)
    found: Fields = {}
    if "pattern" in inner:
        found["pattern"] = inner["pattern"]
        if inner["pattern"] == NAME["pattern"]:
            found["pattern_means"] = NAME["description"]
    if inner.get("minLength") == 1:
        found |= {"pattern": r"(?s).+", "pattern_means": "at least one character."}
    if "enum" in inner:
        found["one_of"] = inner["enum"]
    if inner.get("type") == "integer":
        found["whole"] = True
    for rule, limit in (("minimum", "minimum"), ("maximum", "maximum")):
        if limit in inner:
            found[rule] = inner[limit]
    return found


def _innermost(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a field's value, of a map's or list's values, or of what is not null in it."""
    for inner in schema.get("anyOf", ()):
        if inner != {"type": "null"}:
            return _innermost(inner)
    values = schema.get("additionalProperties") or schema.get("items")
    return _innermost(values) if isinstance(values, dict) else schema


def _property(model: type[BaseModel], name: str) -> dict[str, Any]:
    found: dict[str, Any] = model.model_json_schema()["properties"][name]
    return found


def _exactly_one_of(model: type[BaseModel]) -> tuple[str, ...]:
    found: tuple[str, ...] = getattr(model, "exactly_one_of", ())
    return found


def _model_in(annotation: Any) -> tuple[str, type[Model]] | None:
    """The model in a field's annotation, and how many of it there are; None if it has none."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return next((found for each in arguments if (found := _model_in(each))), None)
    if origin is typing.Annotated:
        return _model_in(arguments[0])
    if origin in (list, dict):
        found = _model_in(arguments[-1])
        return found and ("list" if origin is list else "map", found[1])
    return ("single", annotation) if isinstance(annotation, type) and issubclass(annotation, Model) else None
