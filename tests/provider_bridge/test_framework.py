"""Schema, planning, validation and the servicer, on a provider made up for the test."""

import json

import pytest

from provider_bridge.framework import durations, planning, validation
from provider_bridge.framework.diagnostics import Diagnostic, Key, RefusedError, error
from provider_bridge.framework.resource import Call, DataSource, Provider, Resource
from provider_bridge.framework.schema import conform, schema_from_json
from provider_bridge.framework.servicer import Servicer
from provider_bridge.framework.wire import diagnostic_messages, read_value, value_message
from provider_bridge.protocol import tfplugin6_pb2 as pb
from provider_bridge.protocol.values import UNKNOWN, Object

THING = schema_from_json(
    {
        "description": "A thing.",
        "version": 2,
        "attributes": {
            "name": {"description": "", "type": "string", "required": True, "replaces": True, "pattern": "^[a-z]+$"},
            "size": {"description": "", "type": "number", "default": 3, "whole": True},
            "note": {"description": "", "type": "string", "optional": True},
            "wait": {"description": "", "type": "string", "optional": True, "duration": True},
            "either": {
                "description": "",
                "optional": True,
                "exactly_one_of": ["one", "two"],
                "nested": {
                    "one": {"description": "", "type": "string", "optional": True},
                    "two": {"description": "", "type": "string", "optional": True},
                },
            },
            "ports": {
                "description": "",
                "optional": True,
                "nesting": "map",
                "key_pattern": "^[a-z]+$",
                "nested": {
                    "port": {"description": "", "type": "number", "required": True},
                    "protocol": {"description": "", "type": "string", "default": "tcp", "one_of": ["tcp", "udp"]},
                },
            },
            "id": {"description": "", "type": "string", "computed": True, "stable": True},
            "revision": {"description": "", "type": "number", "computed": True},
        },
    }
)
ATTRIBUTES = THING.attributes


def thing(**values: object) -> Object:
    return conform(THING, values)


# Planning


def test_a_create_has_defaults_and_unknown_computed_values() -> None:
    config = thing(name="a", ports={"http": {"port": 80, "protocol": None}})
    planned = planning.plan(THING, config, None)
    assert planned == thing(
        name="a", size=3, ports={"http": {"port": 80, "protocol": "tcp"}}, id=UNKNOWN, revision=UNKNOWN
    )  # fmt: skip


def test_a_plan_without_a_change_is_the_prior_state() -> None:
    prior = thing(name="a", size=3, ports={"http": {"port": 80, "protocol": "tcp"}}, id="i", revision=1)
    config = thing(name="a", ports={"http": {"port": 80, "protocol": None}})
    assert planning.plan(THING, config, prior) == prior


def test_a_change_makes_computed_values_unknown_but_for_stable_ones() -> None:
    prior = thing(name="a", size=3, id="i", revision=1)
    config = thing(name="a", size=4)
    planned = planning.plan(THING, config, prior)
    assert planned == thing(name="a", size=4, id="i", revision=UNKNOWN)


def test_a_default_comes_back_when_the_config_leaves_the_attribute_out() -> None:
    prior = thing(name="a", size=9, id="i", revision=1)
    config = thing(name="a")
    assert planning.plan(THING, config, prior)["size"] == 3


def test_unknown_nested_values_stay_unknown() -> None:
    for ports in (UNKNOWN, {"http": UNKNOWN}, {"http": {"port": UNKNOWN, "protocol": None}}):
        config = thing(name="a", ports=ports)
        planned = planning.plan(THING, config, None)["ports"]
        expected = {"http": {"port": UNKNOWN, "protocol": "tcp"}} if ports not in (UNKNOWN, {"http": UNKNOWN}) else ports
        assert planned == expected


def test_replacing_attributes_are_named_when_they_change_or_may() -> None:
    prior = thing(name="a", size=3)
    assert list(planning.replacing_paths(THING, prior, thing(name="b", size=3))) == [("name",)]
    assert list(planning.replacing_paths(THING, prior, thing(name=UNKNOWN, size=3))) == [("name",)]
    assert list(planning.replacing_paths(THING, prior, thing(name="a", size=4))) == []


# Validation


@pytest.mark.parametrize(
    ("values", "path", "said"),
    [
        ({"name": "A"}, ("name",), "'A' does not match"),
        ({"size": 1.5}, ("size",), "1.5 is not a whole number"),
        ({"size": "99999999999999999999"}, ("size",), "is not a whole number"),
        ({"wait": "soon"}, ("wait",), "'soon' is not a duration"),
        ({"either": {"one": None, "two": None}}, ("either",), "this has none of them"),
        ({"either": {"one": "1", "two": "2"}}, ("either",), "this has `one` and `two`"),
        ({"ports": {"A": {"port": 1, "protocol": None}}}, ("ports", Key("A")), "'A' does not match"),
        ({"ports": {"a": {"port": 1, "protocol": "icmp"}}}, ("ports", Key("a"), "protocol"), "not one of: tcp, udp"),
    ],
)
def test_a_wrong_value_is_told_on_its_attribute(values: Object, path: tuple[object, ...], said: str) -> None:
    (found,) = validation.check(THING, thing(**values))
    assert found.path == path
    assert said in found.detail


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"name": UNKNOWN, "size": UNKNOWN, "either": UNKNOWN, "ports": UNKNOWN},
        {"either": {"one": "1", "two": UNKNOWN}},
        {"either": {"one": UNKNOWN, "two": None}},
        {"ports": {"a": UNKNOWN}},
        {"ports": {"a": {"port": UNKNOWN, "protocol": UNKNOWN}}},
        {"wait": "1h30m", "name": "abc", "size": 0},
    ],
)
def test_what_is_right_or_unknown_passes(values: Object) -> None:
    assert list(validation.check(THING, thing(**values))) == []


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("20m", 1200), ("1h30m", 5400), ("1.5h", 5400)])
def test_durations(text: str, seconds: float) -> None:
    assert durations.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "m", "1d", "-1s", "1h 5m"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        durations.seconds(text)


# Diagnostics on the wire


def test_a_path_points_at_the_most_exact_lines_that_terraform_can_show() -> None:
    (message,) = diagnostic_messages([error("No", "It is wrong.", remedy="Mend it.", path=("ports", Key("http"), "protocol"))])
    assert [step.WhichOneof("selector") for step in message.attribute.steps] == ["attribute_name", "element_key_string"]
    assert message.detail == "ports.http.protocol: It is wrong.\n\nMend it."
    (message,) = diagnostic_messages([error("No", "", path=("either", "one"))])
    assert message.attribute.steps[1].element_key_string == "one"


# The servicer


class ThingResource(Resource):
    schema = THING

    def create(self, call: Call, planned: Object) -> Object:
        call.private["secret"] = "kept"
        if planned["note"] == "crash":
            raise RuntimeError("a bug")
        if planned["note"] == "refuse":
            raise RefusedError(error("Refused", "by the test", path=("note",)))
        return {**planned, "id": "i", "revision": 1}

    def read(self, call: Call, state: Object) -> Object | None:
        assert call.private in ({}, {"secret": "kept"})
        return None if state["note"] == "gone" else state

    def update(self, call: Call, prior: Object, planned: Object) -> Object:
        raise RefusedError(error("Refused", "by the test"))

    def delete(self, call: Call, prior: Object) -> None:
        if prior["note"] == "refuse":
            raise RefusedError(error("Refused", "by the test"))

    def import_state(self, call: Call, import_id: str) -> Object:
        return {"name": import_id, "unknown to the schema": 1}

    def upgrade(self, version: int, state: Object) -> Object:
        assert version == 1
        return {**state, "note": state["remark"]}


class ThingData(DataSource):
    schema = THING

    def read(self, call: Call, config: Object) -> Object:
        return {**config, "id": "i"}


class ThingProvider(Provider):
    def __init__(self) -> None:
        self.schema = schema_from_json({"description": "", "attributes": {}})
        self.resources = {"test_thing": ThingResource()}
        self.data_sources = {"test_thing": ThingData()}
        self.stop = None

    def configure(self, call: Call, config: Object) -> None:
        self.stop = call.stop


@pytest.fixture
def servicer() -> Servicer:
    return Servicer(ThingProvider())


def apply(servicer: Servicer, prior: Object | None, planned: Object | None) -> pb.ApplyResourceChange.Response:
    request = pb.ApplyResourceChange.Request(
        type_name="test_thing", prior_state=value_message(prior), planned_state=value_message(planned)
    )
    return servicer.answer("ApplyResourceChange", request)


def test_a_create_returns_state_and_private_state(servicer: Servicer) -> None:
    response = apply(servicer, None, thing(name="a", size=3, id=UNKNOWN, revision=UNKNOWN))
    assert read_value(response.new_state)["id"] == "i"
    assert json.loads(response.private) == {"secret": "kept"}


@pytest.mark.parametrize(("note", "said"), [("crash", "RuntimeError: a bug"), ("refuse", "by the test")])
def test_a_create_that_fails_leaves_no_state_to_taint(servicer: Servicer, note: str, said: str) -> None:
    response = apply(servicer, None, thing(name="a", note=note))
    assert read_value(response.new_state) is None
    assert said in response.diagnostics[0].detail


def test_an_update_or_delete_that_fails_keeps_the_prior_state(servicer: Servicer) -> None:
    prior = thing(name="a", note="refuse")
    assert read_value(apply(servicer, prior, thing(name="a", size=9)).new_state) == prior
    assert read_value(apply(servicer, prior, None).new_state) == prior
    assert read_value(apply(servicer, thing(name="a"), None).new_state) is None


def test_a_read_keeps_private_state_and_may_find_nothing(servicer: Servicer) -> None:
    request = pb.ReadResource.Request(
        type_name="test_thing", current_state=value_message(thing(note="gone")), private=b'{"secret": "kept"}'
    )
    response = servicer.answer("ReadResource", request)
    assert read_value(response.new_state) is None
    assert json.loads(response.private) == {"secret": "kept"}


def test_an_import_has_every_attribute_of_the_schema_and_no_other(servicer: Servicer) -> None:
    response = servicer.answer("ImportResourceState", pb.ImportResourceState.Request(type_name="test_thing", id="a"))
    assert read_value(response.imported_resources[0].state) == thing(name="a")


def test_an_old_state_is_upgraded_and_brought_into_form(servicer: Servicer) -> None:
    old = {"name": "a", "remark": "old", "gone": 1}
    request = pb.UpgradeResourceState.Request(
        type_name="test_thing", version=1, raw_state=pb.RawState(json=json.dumps(old).encode())
    )
    response = servicer.answer("UpgradeResourceState", request)
    assert read_value(response.upgraded_state) == thing(name="a", note="old")


def test_the_schema_says_what_terraform_has_to_know(servicer: Servicer) -> None:
    response = servicer.answer("GetProviderSchema", pb.GetProviderSchema.Request())
    block = response.resource_schemas["test_thing"].block
    by_name = {attribute.name: attribute for attribute in block.attributes}
    assert by_name["size"].optional
    assert by_name["size"].computed, "what has a default is computed to Terraform"
    assert by_name["ports"].nested_type.nesting == pb.Schema.Object.MAP
    assert response.resource_schemas["test_thing"].version == 2
    assert response.server_capabilities.get_provider_schema_optional
    metadata = servicer.answer("GetMetadata", pb.GetMetadata.Request())
    assert [each.type_name for each in metadata.resources] == ["test_thing"]


def test_stop_reaches_the_run_that_is_configured_and_not_the_next_one(servicer: Servicer) -> None:
    configure = pb.ConfigureProvider.Request(config=value_message({}))
    servicer.answer("ConfigureProvider", configure)
    first = servicer._provider.stop
    servicer.answer("StopProvider", pb.StopProvider.Request())
    assert first.is_set()
    servicer.answer("ConfigureProvider", configure)
    assert not servicer._provider.stop.is_set()


def test_every_call_of_the_protocol_has_an_answer_of_its_own_type(servicer: Servicer) -> None:
    for name, method in pb.DESCRIPTOR.services_by_name["Provider"].methods_by_name.items():
        request = method.input_type._concrete_class()
        if name in ("UpgradeResourceState", "ReadResource", "PlanResourceChange", "ApplyResourceChange", "ImportResourceState"):
            request.type_name = "test_thing"
        response = servicer.answer(name, request)
        for each in response if method.server_streaming else [response]:
            assert each.DESCRIPTOR is method.output_type, name


def test_what_is_not_offered_is_refused_in_words(servicer: Servicer) -> None:
    response = servicer.answer("PlanAction", pb.PlanAction.Request())
    assert response.diagnostics[0].severity == pb.Diagnostic.ERROR
    assert "PlanAction" in response.diagnostics[0].detail


def test_a_data_source_reads(servicer: Servicer) -> None:
    request = pb.ReadDataSource.Request(type_name="test_thing", config=value_message(thing(name="a")))
    assert read_value(servicer.answer("ReadDataSource", request).state)["id"] == "i"


def test_diagnostics_are_values() -> None:
    assert error("a", "b", remedy="c") == Diagnostic("error", "a", "b\n\nc")
