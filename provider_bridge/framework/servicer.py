"""The answer to each call of plugin protocol 6. What this provider doesn't offer is refused in words, never by a crash."""

import json
import sys
import threading
import traceback
from collections.abc import Callable, Iterator

from provider_bridge.framework import planning, validation
from provider_bridge.framework.diagnostics import RefusedError, error, failed
from provider_bridge.framework.resource import Call, Provider
from provider_bridge.framework.schema import conform
from provider_bridge.framework.unsupported import unsupported
from provider_bridge.framework.wire import (
    diagnostic_messages,
    path_message,
    read_value,
    schema_message,
    value_message,
)
from provider_bridge.protocol import tfplugin6_pb2 as pb
from provider_bridge.protocol.serve import Message
from provider_bridge.protocol.values import Object

_Handler = Callable[[Message, Call], Message]


class Servicer:
    """Answers the calls of one provider process. Safe for many threads at once."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._stop = threading.Event()
        self._handlers: dict[str, _Handler] = {
            "GetMetadata": self._metadata,
            "GetProviderSchema": self._schema,
            "GetResourceIdentitySchemas": lambda _request, _call: pb.GetResourceIdentitySchemas.Response(),
            "GetFunctions": lambda _request, _call: pb.GetFunctions.Response(),
            "ValidateProviderConfig": self._validate_provider,
            "ValidateResourceConfig": self._validate_resource,
            "ValidateDataResourceConfig": self._validate_data_source,
            "ConfigureProvider": self._configure,
            "UpgradeResourceState": self._upgrade,
            "ReadResource": self._read,
            "PlanResourceChange": self._plan,
            "ApplyResourceChange": self._apply,
            "ImportResourceState": self._import,
            "ReadDataSource": self._read_data_source,
            "StopProvider": self._stop_provider,
        }

    def answer(self, call: str, request: Message) -> Message | Iterator[Message]:
        """The response to one call. An exception becomes a diagnostic, with its traceback in the log."""
        handler = self._handlers.get(call)
        if handler is None:
            return unsupported(call)
        context = Call(self._stop)
        try:
            response = handler(request, context)
        except Exception as exception:
            _refuse(context, exception)
            response = getattr(pb, call).Response()
        if context.diagnostics:
            response.diagnostics.extend(diagnostic_messages(context.diagnostics))
        return response

    def _capabilities(self) -> pb.ServerCapabilities:
        return pb.ServerCapabilities(get_provider_schema_optional=True)

    def _metadata(self, request: Message, call: Call) -> Message:
        answer = pb.GetMetadata
        return answer.Response(
            server_capabilities=self._capabilities(),
            resources=[answer.ResourceMetadata(type_name=name) for name in self._provider.resources],
            data_sources=[answer.DataSourceMetadata(type_name=name) for name in self._provider.data_sources],
        )

    def _schema(self, request: Message, call: Call) -> Message:
        return pb.GetProviderSchema.Response(
            provider=schema_message(self._provider.schema),
            resource_schemas={name: schema_message(each.schema) for name, each in self._provider.resources.items()},
            data_source_schemas={name: schema_message(each.schema) for name, each in self._provider.data_sources.items()},
            server_capabilities=self._capabilities(),
        )

    def _validate_provider(self, request: Message, call: Call) -> Message:
        call.diagnostics.extend(validation.check(self._provider.schema, read_value(request.config)))
        return pb.ValidateProviderConfig.Response()

    def _validate_resource(self, request: Message, call: Call) -> Message:
        resource = self._provider.resources[request.type_name]
        config = read_value(request.config)
        call.diagnostics.extend(validation.check(resource.schema, config))
        if not failed(call.diagnostics):
            call.diagnostics.extend(resource.validate(config))
        return pb.ValidateResourceConfig.Response()

    def _validate_data_source(self, request: Message, call: Call) -> Message:
        source = self._provider.data_sources[request.type_name]
        call.diagnostics.extend(validation.check(source.schema, read_value(request.config)))
        return pb.ValidateDataResourceConfig.Response()

    def _configure(self, request: Message, call: Call) -> Message:
        # A process in reattach mode serves many runs; a stop of the last one isn't one of this one.
        call.stop = self._stop = threading.Event()
        self._provider.configure(call, read_value(request.config))
        return pb.ConfigureProvider.Response()

    def _stop_provider(self, request: Message, call: Call) -> Message:
        self._stop.set()
        return pb.StopProvider.Response()

    def _upgrade(self, request: Message, call: Call) -> Message:
        resource = self._provider.resources[request.type_name]
        state = json.loads(request.raw_state.json)
        if request.version < resource.schema.version:
            state = resource.upgrade(request.version, state)
        upgraded = conform(resource.schema.attributes, state)
        return pb.UpgradeResourceState.Response(upgraded_state=value_message(upgraded))

    def _read(self, request: Message, call: Call) -> Message:
        resource = self._provider.resources[request.type_name]
        call.private = _read_private(request.private)
        state = resource.read(call, read_value(request.current_state))
        return pb.ReadResource.Response(new_state=value_message(state), private=_write_private(call))

    def _plan(self, request: Message, call: Call) -> Message:
        resource = self._provider.resources[request.type_name]
        attributes = resource.schema.attributes
        proposed = read_value(request.proposed_new_state)
        call.private = _read_private(request.prior_private)
        if proposed is None:
            return pb.PlanResourceChange.Response(planned_state=value_message(None), planned_private=request.prior_private)
        prior, config = read_value(request.prior_state), read_value(request.config)
        planned = resource.plan(call, config, prior, planning.plan(attributes, config, prior, proposed))
        replacing = resource.replaces(prior, planned) if prior is not None else ()
        return pb.PlanResourceChange.Response(
            planned_state=value_message(planned),
            requires_replace=[path_message(path) for path in replacing],
            planned_private=_write_private(call),
        )

    def _apply(self, request: Message, call: Call) -> Message:
        resource = self._provider.resources[request.type_name]
        call.private = _read_private(request.planned_private)
        prior, planned = read_value(request.prior_state), read_value(request.planned_state)
        state: Object | None = None
        try:
            if prior is None:
                state = resource.create(call, planned)
            elif planned is None:
                resource.delete(call, prior)
            else:
                state = resource.update(call, prior, planned)
        except Exception as exception:
            # What was there is kept, so that nothing is forgotten; a create that failed leaves nothing behind and no taint.
            _refuse(call, exception)
            state = prior
        return pb.ApplyResourceChange.Response(new_state=value_message(state), private=_write_private(call))

    def _import(self, request: Message, call: Call) -> Message:
        resource = self._provider.resources[request.type_name]
        state = conform(resource.schema.attributes, resource.import_state(call, request.id))
        imported = pb.ImportResourceState.ImportedResource(
            type_name=request.type_name, state=value_message(state), private=_write_private(call)
        )
        return pb.ImportResourceState.Response(imported_resources=[imported])

    def _read_data_source(self, request: Message, call: Call) -> Message:
        source = self._provider.data_sources[request.type_name]
        state = conform(source.schema.attributes, source.read(call, read_value(request.config)))
        return pb.ReadDataSource.Response(state=value_message(state))


def _refuse(call: Call, exception: Exception) -> None:
    if isinstance(exception, RefusedError):
        call.diagnostics.extend(exception.diagnostics)
        return
    traceback.print_exception(exception, file=sys.stderr)
    call.diagnostics.append(
        error(
            "The provider failed",
            f"{type(exception).__name__}: {exception}",
            remedy="This is a bug in the provider. Run again with TF_LOG_PROVIDER=DEBUG and report what it prints.",
        )
    )


def _read_private(encoded: bytes) -> Object:
    private: Object = json.loads(encoded) if encoded else {}
    return private


def _write_private(call: Call) -> bytes:
    return json.dumps(call.private).encode() if call.private else b""
