"""Calls about managed resources: from a config to a plan, from a plan to an object, and everything about their state."""

import json

from provider_bridge.framework import planning, validation
from provider_bridge.framework.calls.find import find
from provider_bridge.framework.diagnostics import Diagnostic, RefusedError, error, failed
from provider_bridge.framework.refusals import refuse
from provider_bridge.framework.resource import Call, Provider, Resource
from provider_bridge.framework.schema import conform
from provider_bridge.framework.wire import (
    identity_data,
    path_message,
    read_identity,
    read_json,
    read_object,
    value_message,
)
from provider_bridge.protocol import tfplugin6_pb2 as pb
from provider_bridge.protocol.calls import Message
from provider_bridge.protocol.values import Object, Value


def validate(provider: Provider, request: Message, call: Call) -> Message:
    """The check of a configuration."""
    resource = find(provider.resources, request.type_name, call)
    config = read_object(resource.schema, request.config)
    allowed = request.client_capabilities.write_only_attributes_allowed
    call.write_only_allowed = allowed
    call.diagnostics.extend(validation.check(resource.schema, config, write_only_allowed=allowed))
    if not failed(call.diagnostics):
        call.diagnostics.extend(resource.validate(config))
    return pb.ValidateResourceConfig.Response()


def upgrade(provider: Provider, request: Message, call: Call) -> Message:
    """A stored state in today's form. It is asked for before each use of a state, also of today's version."""
    resource = find(provider.resources, request.type_name, call)
    if request.version > resource.schema.version:
        raise RefusedError(_too_new("state", request.version, resource.schema.version))
    state = read_json(request.raw_state.json)
    if request.version < resource.schema.version:
        state = resource.upgrade(request.version, state)
    state = resource.schema.read_stored(state)
    return pb.UpgradeResourceState.Response(upgraded_state=value_message(conform(resource.schema, state)))


def upgrade_identity(provider: Provider, request: Message, call: Call) -> Message:
    """A stored identity in today's form."""
    resource = find(provider.resources, request.type_name, call)
    schema = resource.schema
    if request.version > schema.identity_version:
        raise RefusedError(_too_new("identity", request.version, schema.identity_version))
    identity = read_json(request.raw_identity.json)
    if request.version < schema.identity_version:
        identity = resource.upgrade_identity(request.version, identity)
    identity = {name: identity.get(name) for name in schema.identity}
    return pb.UpgradeResourceIdentity.Response(upgraded_identity=identity_data(identity))


def read(provider: Provider, request: Message, call: Call) -> Message:
    """The object as it is now."""
    resource = find(provider.resources, request.type_name, call)
    call.private = _read_private(request.private)
    call.identity = read_identity(request.current_identity)
    before = read_object(resource.schema, request.current_state)
    found = resource.read(call, before)
    if found is before or found == before:
        state, message = before, request.current_state
    else:
        state = _state(resource, before, found)
        message = value_message(state)
    return pb.ReadResource.Response(
        new_state=message,
        private=_write_private(call),
        new_identity=_identity(resource, state, call.identity),
    )


def plan(provider: Provider, request: Message, call: Call) -> Message:
    """The planned state. One without a change is the prior state, as it came."""
    resource = find(provider.resources, request.type_name, call)
    schema = resource.schema
    call.private = _read_private(request.prior_private)
    call.write_only_allowed = request.client_capabilities.write_only_attributes_allowed
    call.identity = read_identity(request.prior_identity)
    prior = read_object(schema, request.prior_state)
    if request.proposed_new_state.msgpack == _NULL:
        resource.plan_destroy(call, prior)
        return pb.PlanResourceChange.Response(planned_state=request.proposed_new_state, planned_private=_write_private(call))
    call.config = config = read_object(schema, request.config)
    planned = resource.plan(call, config, prior, planning.plan(schema, config, prior))
    response = pb.PlanResourceChange.Response(planned_private=_write_private(call))
    if prior is not None and planned == prior:
        response.planned_state.CopyFrom(request.prior_state)
    else:
        response.planned_state.CopyFrom(value_message(planned))
        if prior is not None:
            response.requires_replace.extend(path_message(path) for path in resource.replaces(prior, planned))
    identity = _identity(resource, planned, call.identity)
    if identity is not None:
        response.planned_identity.CopyFrom(identity)
    return response


def apply(provider: Provider, request: Message, call: Call) -> Message:
    """The create, update or delete that was planned."""
    resource = find(provider.resources, request.type_name, call)
    schema = resource.schema
    call.private = _read_private(request.planned_private)
    call.identity = read_identity(request.planned_identity)
    prior, planned = read_object(schema, request.prior_state), read_object(schema, request.planned_state)
    state: Object | None = None
    try:
        if planned is None:
            resource.delete(call, prior)
        else:
            call.config = read_object(schema, request.config)
            made = resource.create(call, planned) if prior is None else resource.update(call, prior, planned)
            state = _state(resource, planned, made)
    except Exception as exception:
        # What was there is kept, so that nothing is forgotten; a create that failed leaves nothing behind and no taint.
        refuse(call, exception)
        state = prior
    return pb.ApplyResourceChange.Response(
        new_state=value_message(state), private=_write_private(call), new_identity=_identity(resource, state, call.identity)
    )


def import_state(provider: Provider, request: Message, call: Call) -> Message:
    """The object that a user names, by its id or its identity."""
    resource = find(provider.resources, request.type_name, call)
    call.identity = read_identity(request.identity)
    found = (
        resource.import_state(call, request.id) if call.identity is None else resource.import_by_identity(call, call.identity)
    )
    state = conform(resource.schema, found)
    imported = pb.ImportResourceState.ImportedResource(
        type_name=request.type_name,
        state=value_message(state),
        private=_write_private(call),
        identity=_identity(resource, state, call.identity),
    )
    return pb.ImportResourceState.Response(imported_resources=[imported])


def move(provider: Provider, request: Message, call: Call) -> Message:
    """The state of a resource of another type as one of this type."""
    resource = find(provider.resources, request.target_type_name, call)
    call.private = _read_private(request.source_private)
    call.identity = read_json(request.source_identity.json) if request.source_identity.json else None
    source, kind = request.source_provider_address, request.source_type_name
    state = read_json(request.source_state.json)
    moved = resource.move(call, source, kind, request.source_schema_version, state)
    if moved is None:
        detail = f"A {kind} of {source} can't become a {request.target_type_name}."
        raise RefusedError(error("This move isn't possible", detail, remedy="Remove the `moved` block."))
    state = conform(resource.schema, moved)
    return pb.MoveResourceState.Response(
        target_state=value_message(state), target_private=_write_private(call), target_identity=_identity(resource, state, None)
    )


def generate_config(provider: Provider, request: Message, call: Call) -> Message:
    """A configuration for an object that was imported."""
    resource = find(provider.resources, request.type_name, call)
    config = resource.generate_config(read_object(resource.schema, request.state))
    return pb.GenerateResourceConfig.Response(config=value_message(conform(resource.schema, config)))


_NULL = value_message(None).msgpack


def _too_new(what: str, found: int, known: int) -> Diagnostic:
    return error(
        f"The {what} is of a newer provider",
        f"It is stored in form {found}; this provider knows forms up to {known}.",
        remedy="Use the newer provider again: raise its version in `required_providers` and run `terraform init -upgrade`.",
    )


def _state(resource: Resource, before: Object, found: Object | None) -> Object | None:
    """What an author returns, as Terraform takes it: in full form, and in the texts of `before` where they mean the same."""
    return None if found is None else planning.keep_forms(resource.schema, before, conform(resource.schema, found))


def _identity(resource: Resource, state: Object | None, known: Object | None) -> pb.ResourceIdentityData | None:
    if not resource.schema.identity:
        return None
    return identity_data(known if state is None else resource.identity(state) or known)


def _read_private(encoded: bytes) -> dict[str, Value]:
    """Private state. What another provider wrote, before a move, may be anything: it is dropped if it isn't like ours."""
    try:
        private = json.loads(encoded) if encoded else {}
    except ValueError:
        private = None
    return private if isinstance(private, dict) else {}


def _write_private(call: Call) -> bytes:
    return json.dumps(call.private).encode() if call.private else b""
