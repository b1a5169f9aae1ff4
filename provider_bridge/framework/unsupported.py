"""The refusal, in words, of every call for something that the provider doesn't offer.

Terraform makes none of these calls, because the schema offers nothing that they are about; a caller that does is told so.
"""

from collections.abc import Iterator

from provider_bridge.framework.diagnostics import Diagnostic, error
from provider_bridge.framework.wire import diagnostic_messages
from provider_bridge.protocol import tfplugin6_pb2 as pb
from provider_bridge.protocol.calls import Message


def unsupported(call: str) -> Message | Iterator[Message]:
    """The response, or the stream of one response, that says that `call` isn't supported."""
    refusal = error("Not supported", f"This provider doesn't answer {call}.", remedy="Check the provider's documentation.")
    if call in ("ListResource", "InvokeAction", "ReadStateBytes"):
        return iter([_streamed(call, refusal)])
    if call == "CallFunction":
        return pb.CallFunction.Response(error=pb.FunctionError(text=refusal.detail))
    # One call's messages aren't named like the call.
    name = {"ValidateStateStoreConfig": "ValidateStateStore"}.get(call, call)
    return getattr(pb, name).Response(diagnostics=diagnostic_messages([refusal]))


def _streamed(call: str, refusal: Diagnostic) -> Message:
    messages = diagnostic_messages([refusal])
    if call == "ListResource":
        return pb.ListResource.Event(diagnostic=messages)
    if call == "InvokeAction":
        return pb.InvokeAction.Event(completed=pb.InvokeAction.Event.Completed(diagnostics=messages))
    return pb.ReadStateBytes.Response(diagnostics=messages)
