"""Schemas and diagnostics as protobuf messages."""

import json
from collections.abc import Iterable

from provider_bridge.framework.diagnostics import Diagnostic, Key, Path
from provider_bridge.framework.schema import Attribute, Attributes, Schema
from provider_bridge.protocol import tfplugin6_pb2 as pb
from provider_bridge.protocol.values import Value, decode, encode

_NESTING = {"single": pb.Schema.Object.SINGLE, "map": pb.Schema.Object.MAP}
_SEVERITY = {"error": pb.Diagnostic.ERROR, "warning": pb.Diagnostic.WARNING}


def schema_message(schema: Schema) -> pb.Schema:
    """What Terraform is told about a resource, a data source or the provider."""
    block = pb.Schema.Block(
        version=schema.version,
        attributes=_attribute_messages(schema.attributes),
        description=schema.description,
        description_kind=pb.MARKDOWN,
    )
    return pb.Schema(version=schema.version, block=block)


def _attribute_messages(attributes: Attributes) -> list[pb.Schema.Attribute]:
    return [_attribute_message(name, attribute) for name, attribute in sorted(attributes.items())]


def _attribute_message(name: str, attribute: Attribute) -> pb.Schema.Attribute:
    message = pb.Schema.Attribute(
        name=name,
        description=attribute.description,
        description_kind=pb.MARKDOWN,
        required=attribute.required,
        # To Terraform, what has a default may be given and is otherwise filled in by the provider.
        optional=attribute.optional or attribute.has_default,
        computed=attribute.computed or attribute.has_default,
        sensitive=attribute.sensitive,
    )
    if attribute.nested is None:
        message.type = json.dumps(attribute.type).encode()
    else:
        nested = _attribute_messages(attribute.nested)
        message.nested_type.CopyFrom(pb.Schema.Object(nesting=_NESTING[attribute.nesting], attributes=nested))
    return message


def diagnostic_messages(diagnostics: Iterable[Diagnostic]) -> list[pb.Diagnostic]:
    """The diagnostics as Terraform takes them, each with a path that makes it show the right lines of the config."""
    return [
        pb.Diagnostic(
            severity=_SEVERITY[each.severity],
            summary=each.summary,
            detail=each.detail if len(each.path) <= _SHOWN_STEPS else f"{_dotted(each.path)}: {each.detail}",
            attribute=path_message(_shown(each.path)) if each.path else None,
        )
        for each in diagnostics
    ]


_SHOWN_STEPS = 2


def _shown(path: Path) -> Path:
    """The path that points Terraform's excerpt of the config at the most exact lines.

    Terraform finds an attribute, and in it an element by its key, whether of a map or of an object. For anything else, such as
    an object's attribute by name or a longer path, it shows the resource's first line instead.
    """
    attribute, *inner = path[:_SHOWN_STEPS]
    return (attribute, *(Key(step) if isinstance(step, str) else step for step in inner))


def _dotted(path: Path) -> str:
    return ".".join(step.name if isinstance(step, Key) else str(step) for step in path)


def path_message(path: Path) -> pb.AttributePath:
    """A path as Terraform takes it."""
    steps = []
    for step in path:
        match step:
            case Key(name):
                steps.append(pb.AttributePath.Step(element_key_string=name))
            case int():
                steps.append(pb.AttributePath.Step(element_key_int=step))
            case _:
                steps.append(pb.AttributePath.Step(attribute_name=step))
    return pb.AttributePath(steps=steps)


def value_message(value: Value) -> pb.DynamicValue:
    """A value as Terraform takes it."""
    return pb.DynamicValue(msgpack=encode(value))


def read_value(message: pb.DynamicValue) -> Value:
    """The value in a message; null if it holds none."""
    if message.msgpack:
        return decode(message.msgpack)
    return json.loads(message.json) if message.json else None
