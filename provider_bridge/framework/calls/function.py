"""Calls about provider functions."""

import json

from provider_bridge.framework.functions import Function, FunctionError, Parameter
from provider_bridge.framework.refusals import BUG_REMEDY, log_bug
from provider_bridge.framework.resource import Call, Provider
from provider_bridge.framework.wire import read_value, value_message
from provider_bridge.protocol import tfplugin6_pb2 as pb
from provider_bridge.protocol.calls import Message
from provider_bridge.protocol.values import Value, read_numbers


def function_message(function: Function) -> pb.Function:
    """What Terraform is told about a function."""
    message = pb.Function(
        parameters=[_parameter_message(each) for each in function.parameters],
        variadic_parameter=None if function.variadic is None else _parameter_message(function.variadic),
        summary=function.summary,
        description=function.description,
        description_kind=pb.MARKDOWN,
        deprecation_message=function.deprecated,
    )
    # `return` is a word of Python's.
    getattr(message, "return").type = json.dumps(function.returns).encode()
    return message


def _parameter_message(parameter: Parameter) -> pb.Function.Parameter:
    return pb.Function.Parameter(
        name=parameter.name,
        type=json.dumps(parameter.type).encode(),
        description=parameter.description,
        description_kind=pb.MARKDOWN,
        allow_null_value=parameter.nullable,
        allow_unknown_values=parameter.unknown,
    )


def functions(provider: Provider, request: Message, call: Call) -> Message:
    """The functions alone, for a Terraform that doesn't need the schemas."""
    return pb.GetFunctions.Response(functions={name: function_message(each) for name, each in provider.functions.items()})


def run(provider: Provider, request: Message, call: Call) -> Message:
    """The result, or an error that may name an argument. This call has no diagnostics."""
    function = provider.functions.get(request.name)
    if function is None:
        return pb.CallFunction.Response(error=pb.FunctionError(text=f"This provider has no function {request.name!r}."))
    try:
        result = function.run(_arguments(function, request))
    except FunctionError as failure:
        text = failure.message.removesuffix(".")  # Terraform puts one after it
        return pb.CallFunction.Response(error=pb.FunctionError(text=text, function_argument=failure.argument))
    except Exception as exception:
        log_bug(exception)
        text = f"{type(exception).__name__}: {exception}\n\n{BUG_REMEDY}"
        return pb.CallFunction.Response(error=pb.FunctionError(text=text))
    return pb.CallFunction.Response(result=value_message(result))


def _arguments(function: Function, request: Message) -> list[Value]:
    values = [read_value(each) for each in request.arguments]
    parameters = list(function.parameters)
    if function.variadic is not None:
        parameters.extend([function.variadic] * (len(values) - len(parameters)))
    return [read_numbers(each.type, value) for each, value in zip(parameters, values, strict=True)]
