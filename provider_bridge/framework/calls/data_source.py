"""Calls about data sources."""

from provider_bridge.framework import validation
from provider_bridge.framework.calls.find import find
from provider_bridge.framework.diagnostics import failed
from provider_bridge.framework.resource import Call, Provider
from provider_bridge.framework.schema import conform
from provider_bridge.framework.wire import read_object, value_message
from provider_bridge.protocol import tfplugin6_pb2 as pb
from provider_bridge.protocol.calls import Message


def validate(provider: Provider, request: Message, call: Call) -> Message:
    """The check of a configuration."""
    source = find(provider.data_sources, request.type_name, call)
    config = read_object(source.schema, request.config)
    call.diagnostics.extend(validation.check(source.schema, config))
    if not failed(call.diagnostics):
        call.diagnostics.extend(source.validate(config))
    return pb.ValidateDataResourceConfig.Response()


def read(provider: Provider, request: Message, call: Call) -> Message:
    """The data."""
    source = find(provider.data_sources, request.type_name, call)
    call.config = config = read_object(source.schema, request.config)
    found = conform(source.schema, source.read(call, config))
    return pb.ReadDataSource.Response(state=value_message(found))
