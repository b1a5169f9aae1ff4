"""Calls about list resources."""

from collections.abc import Iterator

from provider_bridge.framework import validation
from provider_bridge.framework.calls.find import find
from provider_bridge.framework.diagnostics import failed
from provider_bridge.framework.listing import Listed
from provider_bridge.framework.refusals import refuse
from provider_bridge.framework.resource import Call, Provider
from provider_bridge.framework.schema import Schema, conform
from provider_bridge.framework.wire import diagnostic_messages, identity_data, read_object, value_message
from provider_bridge.protocol import tfplugin6_pb2 as pb
from provider_bridge.protocol.calls import Message


def validate(provider: Provider, request: Message, call: Call) -> Message:
    """The check of a configuration."""
    found = find(provider.list_resources, request.type_name, call)
    config = read_object(found.schema, request.config)
    call.diagnostics.extend(validation.check(found.schema, config))
    if not failed(call.diagnostics):
        call.diagnostics.extend(found.validate(config))
    return pb.ValidateListResourceConfig.Response()


def stream(provider: Provider, request: Message, call: Call) -> Iterator[Message]:
    """An event for each object, and a last one for what goes wrong. Diagnostics are told as they come."""
    try:
        offered = find(provider.list_resources, request.type_name, call)
        schema = provider.resources[request.type_name].schema
        call.config = config = read_object(offered.schema, request.config)
        found = offered.list(call, config, request.limit, request.include_resource_object)
        for count, listed in enumerate(found, 1):
            yield _event(listed, schema, call)
            if call.stop.is_set() or count == request.limit:
                return
    except Exception as exception:
        refuse(call, exception)
    if call.diagnostics:
        yield pb.ListResource.Event(diagnostic=diagnostic_messages(call.diagnostics, call.about))


def _event(listed: Listed, schema: Schema, call: Call) -> Message:
    event = pb.ListResource.Event(
        identity=identity_data({name: listed.identity.get(name) for name in schema.identity}),
        display_name=listed.display_name,
        diagnostic=diagnostic_messages(call.diagnostics, call.about),
    )
    call.diagnostics.clear()
    if listed.resource is not None:
        event.resource_object.CopyFrom(value_message(conform(schema, listed.resource)))
    return event
