"""The calls that Terraform makes beyond plan and apply, one by one, without an engine."""

import json
from typing import Any

import pytest
from sample_provider import Sample, Store
from sample_schemas import THING

from provider_bridge.framework.schema import conform
from provider_bridge.framework.servicer import Servicer
from provider_bridge.framework.wire import read_identity, read_value, value_message
from provider_bridge.protocol import tfplugin6_pb2 as pb

MODERN = pb.ClientCapabilities(write_only_attributes_allowed=True)


@pytest.fixture
def servicer(sample: Sample) -> Servicer:
    return Servicer(sample)


def only(diagnostics: Any) -> tuple[str, str]:
    (found,) = diagnostics
    return found.summary, found.detail


def test_the_schema_says_all_that_there_is(servicer: Servicer) -> None:
    schema = servicer.answer("GetProviderSchema", pb.GetProviderSchema.Request())
    block = schema.resource_schemas["sample_thing"].block
    attributes = {each.name: each for each in block.attributes}
    assert attributes["secret"].write_only
    assert attributes["title"].deprecated
    assert attributes["title"].deprecation_message == "Use `note`."
    nesting = pb.Schema.Object
    assert [attributes[name].nested_type.nesting for name in ("owner", "rules", "peers", "ports")] == [
        nesting.SINGLE,
        nesting.LIST,
        nesting.SET,
        nesting.MAP,
    ]
    blocks = {each.type_name: each for each in block.block_types}
    kinds = pb.Schema.NestedBlock
    assert (blocks["public"].nesting, blocks["mount"].nesting, blocks["grant"].nesting) == (kinds.SINGLE, kinds.LIST, kinds.SET)
    assert (blocks["mount"].max_items, blocks["public"].max_items) == (3, 0)
    assert blocks["mount"].block.block_types[0].type_name == "option"
    assert set(schema.ephemeral_resource_schemas) == {"sample_token"}
    assert set(schema.list_resource_schemas) == {"sample_thing"}
    capabilities = schema.server_capabilities
    assert all([capabilities.plan_destroy, capabilities.move_resource_state, capabilities.generate_resource_config])
    functions = servicer.answer("GetFunctions", pb.GetFunctions.Request()).functions
    assert functions == schema.functions
    assert functions["join"].parameters[0].allow_null_value
    assert functions["join"].variadic_parameter.allow_unknown_values


def test_the_metadata_names_the_same_as_the_schema(servicer: Servicer) -> None:
    schema = servicer.answer("GetProviderSchema", pb.GetProviderSchema.Request())
    metadata = servicer.answer("GetMetadata", pb.GetMetadata.Request())
    assert {each.type_name for each in metadata.resources} == set(schema.resource_schemas)
    assert {each.type_name for each in metadata.data_sources} == set(schema.data_source_schemas)
    assert {each.type_name for each in metadata.ephemeral_resources} == set(schema.ephemeral_resource_schemas)
    assert {each.type_name for each in metadata.list_resources} == set(schema.list_resource_schemas)
    assert {each.name for each in metadata.functions} == set(schema.functions)
    assert metadata.server_capabilities == schema.server_capabilities


def test_naming_the_types_makes_none_of_them(sample: Sample, servicer: Servicer) -> None:
    servicer.answer("GetMetadata", pb.GetMetadata.Request())
    assert not sample.resources._made
    assert "sample_thing" in sample.resources
    assert len(sample.resources) == 2
    assert sample.resources["sample_thing"] is sample.resources["sample_thing"]


def test_identities_have_a_form_of_their_own(servicer: Servicer) -> None:
    schemas = servicer.answer("GetResourceIdentitySchemas", pb.GetResourceIdentitySchemas.Request()).identity_schemas
    needed = {each.name: each.required_for_import for each in schemas["sample_thing"].identity_attributes}
    assert needed == {"id": True, "realm": False}
    raw = pb.RawState(json=b'{"id": "id-7", "dropped": 1}')
    request = pb.UpgradeResourceIdentity.Request(type_name="sample_thing", version=0, raw_identity=raw)
    upgraded = servicer.answer("UpgradeResourceIdentity", request)
    assert read_identity(upgraded.upgraded_identity) == {"id": "id-7", "realm": None}
    request = pb.UpgradeResourceIdentity.Request(type_name="sample_thing", version=3, raw_identity=raw)
    assert "newer provider" in only(servicer.answer("UpgradeResourceIdentity", request).diagnostics)[0]


def test_a_terraform_that_does_not_know_write_only_values_is_told_what_to_do(servicer: Servicer) -> None:
    config = value_message(conform(THING, {"name": "a"}) | {"secret": "s"})
    request = pb.ValidateResourceConfig.Request(type_name="sample_thing", config=config)
    summary, detail = only(servicer.answer("ValidateResourceConfig", request).diagnostics)
    assert summary == "Write-only values need a newer Terraform"
    assert "1.11" in detail
    request.client_capabilities.CopyFrom(MODERN)
    assert not servicer.answer("ValidateResourceConfig", request).diagnostics


@pytest.mark.parametrize(
    ("call", "request_"),
    [
        ("ReadResource", pb.ReadResource.Request(type_name="sample_nothing")),
        ("ReadDataSource", pb.ReadDataSource.Request(type_name="sample_nothing")),
        ("OpenEphemeralResource", pb.OpenEphemeralResource.Request(type_name="sample_nothing")),
        ("MoveResourceState", pb.MoveResourceState.Request(target_type_name="sample_nothing")),
    ],
)
def test_a_type_that_is_not_there_is_refused_in_words(servicer: Servicer, call: str, request_: Any) -> None:
    summary, detail = only(servicer.answer(call, request_).diagnostics)
    assert summary == "Unknown type"
    assert "'sample_nothing'" in detail


def test_a_list_of_a_type_that_is_not_there_is_one_event_that_says_so(servicer: Servicer) -> None:
    (event,) = servicer.answer("ListResource", pb.ListResource.Request(type_name="sample_part"))
    assert only(event.diagnostic)[0] == "Unknown type"


def test_a_list_stops_at_its_limit_and_holds_states_only_if_asked(servicer: Servicer, store: Store) -> None:
    for number in range(5):
        store.objects[f"id-{number}"] = conform(THING, {"id": f"id-{number}", "name": f"n-{number}"})
    request = pb.ListResource.Request(type_name="sample_thing", config=value_message({"prefix": None}), limit=2)
    events = list(servicer.answer("ListResource", request))
    assert [each.display_name for each in events] == ["n-0", "n-1"]
    assert read_identity(events[0].identity) == {"id": "id-0", "realm": None}
    assert not events[0].HasField("resource_object")
    request.include_resource_object = True
    assert read_value(next(iter(servicer.answer("ListResource", request))).resource_object)["name"] == "n-0"


def test_a_function_that_is_not_there_is_refused_in_words(servicer: Servicer) -> None:
    response = servicer.answer("CallFunction", pb.CallFunction.Request(name="nothing"))
    assert response.error.text == "This provider has no function 'nothing'."


def test_private_state_that_is_not_ours_is_dropped_by_a_move(servicer: Servicer) -> None:
    state = pb.RawState(json=json.dumps({"id": "id-1", "name": "n", "gone": 1}).encode())
    request = pb.MoveResourceState.Request(
        source_provider_address="registry.terraform.io/example/sample",
        source_type_name="sample_thing",
        source_state=state,
        target_type_name="sample_part",
        source_private=b"\x00 not JSON",
    )
    response = servicer.answer("MoveResourceState", request)
    assert json.loads(response.target_private) == {"moved_from": "sample_thing"}
    assert read_identity(response.target_identity) == {"id": "id-1"}
    assert read_value(response.target_state)["status"] == "ready"


def test_a_plan_without_a_change_is_the_prior_state_byte_by_byte(servicer: Servicer) -> None:
    config = conform(THING, {"name": "a", "tags": ["x", "y"], "ratio": 0.1})
    create = pb.ApplyResourceChange.Request(
        type_name="sample_thing",
        prior_state=value_message(None),
        planned_state=value_message({**config, "size": 3, "labels": {}}),
        config=value_message(config),
    )
    state = servicer.answer("ApplyResourceChange", create).new_state
    # The elements of the set in another order, as a configuration may have them.
    config["tags"] = ["y", "x"]
    request = pb.PlanResourceChange.Request(
        type_name="sample_thing", prior_state=state, proposed_new_state=state, config=value_message(config)
    )
    response = servicer.answer("PlanResourceChange", request)
    assert response.planned_state == state
    assert not response.requires_replace
