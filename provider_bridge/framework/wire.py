"""Schemas, values and diagnostics as protobuf messages."""

import json
from collections.abc import Iterable, Mapping

from provider_bridge.framework.diagnostics import Diagnostic, Key, Path
from provider_bridge.framework.schema import Attribute, Attributes, Block, Body, IdentityAttribute, Schema
from provider_bridge.protocol import numbers
from provider_bridge.protocol import tfplugin6_pb2 as pb
from provider_bridge.protocol.values import Object, Value, decode, encode

_NESTING = {
    "single": pb.Schema.Object.SINGLE,
    "list": pb.Schema.Object.LIST,
    "set": pb.Schema.Object.SET,
    "map": pb.Schema.Object.MAP,
}
_BLOCK_NESTING = {
    "single": pb.Schema.NestedBlock.SINGLE,
    "list": pb.Schema.NestedBlock.LIST,
    "set": pb.Schema.NestedBlock.SET,
}
_SEVERITY = {"error": pb.Diagnostic.ERROR, "warning": pb.Diagnostic.WARNING}


def schema_message(schema: Schema) -> pb.Schema:
    """What Terraform is told about a resource, a data source or the provider."""
    block = _body_message(schema, schema.description, schema.deprecated)
    block.version = schema.version
    return pb.Schema(version=schema.version, block=block)


def _body_message(body: Body, description: str, deprecated: str) -> pb.Schema.Block:
    return pb.Schema.Block(
        attributes=_attribute_messages(body.attributes),
        block_types=[_block_message(name, block) for name, block in sorted(body.blocks.items())],
        description=description,
        description_kind=pb.MARKDOWN,
        deprecated=bool(deprecated),
        deprecation_message=deprecated,
    )


def _block_message(name: str, block: Block) -> pb.Schema.NestedBlock:
    return pb.Schema.NestedBlock(
        type_name=name,
        block=_body_message(block, block.description, block.deprecated),
        nesting=_BLOCK_NESTING[block.nesting],
        min_items=block.min_items,
        # Of a single block Terraform wants both to be 1 or neither.
        max_items=1 if block.nesting == "single" and block.min_items else block.max_items,
    )


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
        write_only=attribute.write_only,
        deprecated=bool(attribute.deprecated),
        deprecation_message=attribute.deprecated,
    )
    if attribute.nested is None:
        message.type = _type(attribute.type)
    else:
        nested = _attribute_messages(attribute.nested)
        message.nested_type.CopyFrom(pb.Schema.Object(nesting=_NESTING[attribute.nesting], attributes=nested))
    return message


def _type(constraint: Value) -> bytes:
    # Nearly every attribute is one of these.
    return _SIMPLE_TYPES[constraint] if isinstance(constraint, str) else json.dumps(constraint).encode()


_SIMPLE_TYPES = {name: json.dumps(name).encode() for name in ("string", "number", "bool", "dynamic")}


def identity_message(identity: Mapping[str, IdentityAttribute], version: int) -> pb.ResourceIdentitySchema:
    """What Terraform is told about a resource's identity."""
    message = pb.ResourceIdentitySchema(version=version)
    for name, attribute in sorted(identity.items()):
        message.identity_attributes.add(
            name=name,
            type=_type(attribute.type),
            required_for_import=attribute.required,
            optional_for_import=not attribute.required,
            description=attribute.description,
        )
    return message


def diagnostic_messages(diagnostics: Iterable[Diagnostic], body: Body | None = None) -> list[pb.Diagnostic]:
    """The diagnostics as Terraform takes them, each with a path that makes it show the right lines of the config.

    `body` says which of the path's steps are blocks.
    """
    messages = []
    for each in diagnostics:
        shown = _shown(each.path, body)
        messages.append(
            pb.Diagnostic(
                severity=_SEVERITY[each.severity],
                summary=each.summary,
                detail=each.detail if len(shown) == len(each.path) else f"{_dotted(each.path)}: {each.detail}",
                attribute=path_message(shown) if shown else None,
            )
        )
    return messages


_SHOWN_STEPS = 2


def _shown(path: Path, body: Body | None) -> Path:
    """The path that points Terraform's excerpt of the config at the most exact lines.

    Terraform finds its way through blocks to an attribute, and in it an element by its key, whether of a map or of an object.
    For anything else, such as an object's attribute by name or a longer path, it shows the resource's first line instead.
    """
    blocks: Path = ()
    while body is not None and path and isinstance(path[0], str) and path[0] in body.blocks:
        block = body.blocks[path[0]]
        steps = 2 if block.nesting == "list" and len(path) > 1 else 1
        blocks, path, body = (*blocks, *path[:steps]), path[steps:], block
    if not path:
        return blocks
    attribute, *inner = path[:_SHOWN_STEPS]
    return (*blocks, attribute, *(Key(step) if isinstance(step, str) else step for step in inner))


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
    """The value in a message; null if it holds none. Its numbers are as they are on the wire (see `read_object`)."""
    if message.msgpack:
        return decode(message.msgpack)
    return read_json(message.json) if message.json else None


def read_object(body: Body, message: pb.DynamicValue) -> Value:
    """The object of this form in a message, or null."""
    value = read_value(message)
    return body.read(value) if isinstance(value, dict) else value


def read_json(encoded: bytes) -> Value:
    """A value in JSON: a state as it is stored."""
    return json.loads(encoded, parse_float=numbers.parse)


def identity_data(identity: Object | None) -> pb.ResourceIdentityData | None:
    """An identity as Terraform takes it."""
    return None if identity is None else pb.ResourceIdentityData(identity_data=value_message(identity))


def read_identity(message: pb.ResourceIdentityData) -> Object | None:
    """The identity in a message; None if it holds none."""
    identity: Object | None = read_value(message.identity_data)
    return identity
