"""Calls about ephemeral resources."""

import json
from datetime import datetime

from provider_bridge.framework import validation
from provider_bridge.framework.calls.find import find
from provider_bridge.framework.diagnostics import failed
from provider_bridge.framework.resource import Call, Provider
from provider_bridge.framework.schema import conform
from provider_bridge.framework.wire import read_object, value_message
from provider_bridge.protocol import tfplugin6_pb2 as pb
from provider_bridge.protocol.calls import Message
from provider_bridge.protocol.values import Object


def validate(provider: Provider, request: Message, call: Call) -> Message:
    """The check of a configuration."""
    resource = find(provider.ephemeral_resources, request.type_name, call)
    config = read_object(resource.schema, request.config)
    call.diagnostics.extend(validation.check(resource.schema, config))
    if not failed(call.diagnostics):
        call.diagnostics.extend(resource.validate(config))
    return pb.ValidateEphemeralResourceConfig.Response()


def open_resource(provider: Provider, request: Message, call: Call) -> Message:
    """The value, and when it has to be renewed."""
    resource = find(provider.ephemeral_resources, request.type_name, call)
    call.config = config = read_object(resource.schema, request.config)
    opened = resource.open(call, config)
    response = pb.OpenEphemeralResource.Response(
        result=value_message(conform(resource.schema, opened.result)), private=_write_private(opened.private)
    )
    _set_renewal(response, opened.renew_at)
    return response


def renew(provider: Provider, request: Message, call: Call) -> Message:
    """The next renewal."""
    resource = find(provider.ephemeral_resources, request.type_name, call)
    renewed = resource.renew(call, _read_private(request.private))
    response = pb.RenewEphemeralResource.Response(private=_write_private(renewed.private))
    _set_renewal(response, renewed.renew_at)
    return response


def close(provider: Provider, request: Message, call: Call) -> Message:
    """The end."""
    resource = find(provider.ephemeral_resources, request.type_name, call)
    resource.close(call, _read_private(request.private))
    return pb.CloseEphemeralResource.Response()


def _set_renewal(response: Message, renew_at: datetime | None) -> None:
    if renew_at is not None:
        response.renew_at.FromDatetime(renew_at)


def _read_private(encoded: bytes) -> Object:
    private: Object = json.loads(encoded) if encoded else {}
    return private


def _write_private(private: Object) -> bytes:
    return json.dumps(private).encode()
