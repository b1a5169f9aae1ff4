"""Calls about the provider itself: what it offers, and its configuration."""

from provider_bridge.framework import validation
from provider_bridge.framework.resource import Call, Provider
from provider_bridge.framework.wire import identity_message, read_object, schema_message
from provider_bridge.protocol import tfplugin6_pb2 as pb
from provider_bridge.protocol.calls import Message


def capabilities() -> pb.ServerCapabilities:
    """What Terraform may ask for beyond the first releases of the protocol. It reads them from the schema's answer only."""
    return pb.ServerCapabilities(
        plan_destroy=True,
        get_provider_schema_optional=True,
        move_resource_state=True,
        generate_resource_config=True,
    )


def metadata(provider: Provider, request: Message, call: Call) -> Message:
    """The names of all that there is."""
    answer = pb.GetMetadata
    return answer.Response(
        server_capabilities=capabilities(),
        resources=[answer.ResourceMetadata(type_name=name) for name in provider.resources],
        data_sources=[answer.DataSourceMetadata(type_name=name) for name in provider.data_sources],
        ephemeral_resources=[answer.EphemeralMetadata(type_name=name) for name in provider.ephemeral_resources],
        list_resources=[answer.ListResourceMetadata(type_name=name) for name in provider.list_resources],
        functions=[answer.FunctionMetadata(name=name) for name in provider.functions],
    )


def schema(provider: Provider, request: Message, call: Call) -> Message:
    """The schemas of all that there is."""
    prepared = provider.prepared("GetProviderSchema")
    return pb.GetProviderSchema.Response.FromString(prepared) if prepared else made_schema(provider)


def made_schema(provider: Provider) -> Message:
    """The answer to `GetProviderSchema`, which takes a fifth of a process's time: see `Provider.prepared`."""
    response = pb.GetProviderSchema.Response(
        provider=schema_message(provider.schema),
        resource_schemas={name: schema_message(each.schema) for name, each in provider.resources.items()},
        data_source_schemas={name: schema_message(each.schema) for name, each in provider.data_sources.items()},
        ephemeral_resource_schemas={name: schema_message(each.schema) for name, each in provider.ephemeral_resources.items()},
        list_resource_schemas={name: schema_message(each.schema) for name, each in provider.list_resources.items()},
        server_capabilities=capabilities(),
    )
    if provider.functions:
        from provider_bridge.framework.calls.function import function_message

        for name, function in provider.functions.items():
            response.functions[name].CopyFrom(function_message(function))
    return response


def identity_schemas(provider: Provider, request: Message, call: Call) -> Message:
    """The identities of the resources that have one."""
    prepared = provider.prepared("GetResourceIdentitySchemas")
    return pb.GetResourceIdentitySchemas.Response.FromString(prepared) if prepared else made_identity_schemas(provider)


def made_identity_schemas(provider: Provider) -> Message:
    """The answer to `GetResourceIdentitySchemas`."""
    schemas = {name: each.schema for name, each in provider.resources.items()}
    return pb.GetResourceIdentitySchemas.Response(
        identity_schemas={
            name: identity_message(each.identity, each.identity_version) for name, each in schemas.items() if each.identity
        }
    )


def validate(provider: Provider, request: Message, call: Call) -> Message:
    """The check of the provider's own configuration."""
    call.about = provider.schema
    call.diagnostics.extend(validation.check(provider.schema, read_object(provider.schema, request.config)))
    return pb.ValidateProviderConfig.Response()


def configure(provider: Provider, request: Message, call: Call) -> Message:
    """The configuration of one run."""
    call.about = provider.schema
    provider.configure(call, read_object(provider.schema, request.config))
    return pb.ConfigureProvider.Response()
