"""The answer to each call of plugin protocol 6. What this provider doesn't offer is refused in words, never by a crash."""

import threading
from collections.abc import Callable, Iterator
from importlib import import_module

from provider_bridge.framework.calls import provider as provider_calls
from provider_bridge.framework.calls import resource as resource_calls
from provider_bridge.framework.refusals import refuse
from provider_bridge.framework.resource import Call, Provider
from provider_bridge.framework.unsupported import unsupported
from provider_bridge.framework.wire import diagnostic_messages
from provider_bridge.protocol import tfplugin6_pb2 as pb
from provider_bridge.protocol.calls import Message

_Handler = Callable[[Provider, Message, Call], Message | Iterator[Message]]


def _later(module: str, function: str) -> _Handler:
    """A handler from a module of `calls` that is loaded only when it is called: most runs need none of them."""

    def handle(provider: Provider, request: Message, call: Call) -> Message | Iterator[Message]:
        loaded = import_module(f"provider_bridge.framework.calls.{module}")
        response: Message | Iterator[Message] = getattr(loaded, function)(provider, request, call)
        return response

    return handle


_HANDLERS: dict[str, _Handler] = {
    "GetMetadata": provider_calls.metadata,
    "GetProviderSchema": provider_calls.schema,
    "GetResourceIdentitySchemas": provider_calls.identity_schemas,
    "ValidateProviderConfig": provider_calls.validate,
    "ConfigureProvider": provider_calls.configure,
    "ValidateResourceConfig": resource_calls.validate,
    "UpgradeResourceState": resource_calls.upgrade,
    "UpgradeResourceIdentity": resource_calls.upgrade_identity,
    "ReadResource": resource_calls.read,
    "PlanResourceChange": resource_calls.plan,
    "ApplyResourceChange": resource_calls.apply,
    "ImportResourceState": resource_calls.import_state,
    "MoveResourceState": resource_calls.move,
    "GenerateResourceConfig": resource_calls.generate_config,
    "ValidateDataResourceConfig": _later("data_source", "validate"),
    "ReadDataSource": _later("data_source", "read"),
    "ValidateEphemeralResourceConfig": _later("ephemeral", "validate"),
    "OpenEphemeralResource": _later("ephemeral", "open_resource"),
    "RenewEphemeralResource": _later("ephemeral", "renew"),
    "CloseEphemeralResource": _later("ephemeral", "close"),
    "GetFunctions": _later("function", "functions"),
    "CallFunction": _later("function", "run"),
    "ValidateListResourceConfig": _later("listing", "validate"),
    "ListResource": _later("listing", "stream"),
}


class Servicer:
    """Answers the calls of one provider process. Safe for many threads at once."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._stop = threading.Event()

    def answer(self, call: str, request: Message) -> Message | Iterator[Message]:
        """The response to one call. An exception becomes a diagnostic, with its traceback in the log."""
        if call == "StopProvider":
            self._stop.set()
            return pb.StopProvider.Response()
        handler = _HANDLERS.get(call)
        if handler is None:
            return unsupported(call)
        if call == "ConfigureProvider":
            # A process in reattach mode serves many runs; a stop of the last one isn't one of this one.
            self._stop = threading.Event()
        context = Call(self._stop)
        try:
            response = handler(self._provider, request, context)
        except Exception as exception:
            refuse(context, exception)
            response = getattr(pb, call).Response()
        if context.diagnostics and not isinstance(response, Iterator):
            response.diagnostics.extend(diagnostic_messages(context.diagnostics, context.about))
        return response
