"""A draft of an app over HTTP: everything that is wrong with it at once, and nothing is stored."""

from typing import Any

import pytest
from ims_driver import Body, Ims
from shop import NETWORK, SERVICE, Shop, module

pytestmark = pytest.mark.anyio

Problem = tuple[str | None, str]


async def check(ims: Ims, app: str = "shop", **draft: Any) -> list[Body]:
    """The problems of a draft."""
    found = await ims.ok("POST", f"/v1/apps/{app}/check" if app else "/v1/apps/check", draft)
    assert found["ok"] is not bool(found["problems"])
    return found["problems"]


def where(problems: list[Body]) -> list[Problem]:
    return [(one["component"], one["field"]) for one in problems]


async def test_what_is_stored_and_can_be_released_has_no_problem(ims: Ims, shop: Shop) -> None:
    assert await check(ims) == []


async def test_all_that_is_wrong_is_told_at_once_where_the_real_writes_tell_it(ims: Ims, shop: Shop) -> None:
    problems = await check(
        ims,
        inputs=[{"name": "domain", "type": "number", "default": "x"}],
        components={
            "network": module({"domain": "{{ inputs.domian }}", "zone": "{{ install.zone }}"}, digest="2"),
            "service": module({"network_id": "{{ components.netwerk.outputs.id }}", "key": "{{ secrets.key }}"}, digest="2"),
            "odd": {"kind": "zebra"},
            "bare": {"kind": "terraform_module", "colour": "red"},
        },
    )
    assert where(problems) == [
        ("odd", "config.kind"),
        ("bare", "config.source"),
        ("bare", "config.colour"),
        (None, "inputs.domain.default"),
        ("network", "config.variables.domain"),
        ("network", "config.variables.zone"),
        ("service", "config.variables.network_id"),
        ("service", "config.variables.key"),
    ]
    said = {one["field"]: one for one in problems}
    assert said["config.variables.domain"]["remedy"] == "Did you mean 'domain'?"
    assert said["config.variables.network_id"]["remedy"] == "Did you mean 'network'?"
    assert "terraform_module" in said["config.kind"]["remedy"]


async def test_a_draft_says_what_the_writes_would_say(ims: Ims, shop: Shop) -> None:
    bad = module({"domain": "{{ inputs.domian }}"})
    (problem,) = await check(ims, components={"network": bad})
    refused = await ims.refused(422, "PUT", "/v1/apps/shop/components/network", {"config": bad})
    assert refused["errors"] == [{name: problem[name] for name in ("field", "message", "remedy")}]
    wrong = {"kind": "helm_chart", "values": {"a": 1}}
    problems = await check(ims, components={"chart": wrong})
    refused = await ims.refused(422, "POST", "/v1/apps/shop/components", {"name": "chart", "config": wrong})
    assert [one["field"] for one in problems] == [one["field"] for one in refused["errors"]]


async def test_components_given_stand_in_place_of_those_stored(ims: Ims, shop: Shop) -> None:
    other = module({"a": "{{ components.network.outputs.id }}"}, path="/src/other")
    assert await check(ims, components={"other": other}) == []
    assert where(await check(ims, components={"other": other}, complete=True)) == [("other", "config.variables.a")]
    assert where(await check(ims, components={"network": None})) == [("service", "config.variables.network_id")]


async def test_a_cycle_is_named_in_its_order(ims: Ims, shop: Shop) -> None:
    back = module({"domain": "{{ components.service.outputs.id }}"})
    problems = await check(ims, components={"network": back})
    assert {one["component"]: one["message"].split(": ")[1] for one in problems} == {
        "network": "network → service → network",
        "service": "service → network → service",
    }


async def test_a_component_that_can_not_be_read_is_there_all_the_same(ims: Ims, shop: Shop) -> None:
    assert where(await check(ims, components={"network": {"kind": "zebra"}})) == [("network", "config.kind")]
    assert where(await check(ims, components={"Not A Name": module()})) == [("Not A Name", "name")]


async def test_what_the_builds_have_found_out_is_known_while_the_source_is_the_same(ims: Ims, shop: Shop) -> None:
    wrong = module({**SERVICE, "network_id": "{{ components.network.outputs.idd }}"}, path="/src/service")
    (problem,) = await check(ims, components={"service": wrong})
    assert (problem["field"], problem["remedy"]) == ("config.variables.network_id", "Did you mean 'id'?")
    (problem,) = await check(ims, components={"network": module({**NETWORK, "zone": "a"})})
    assert problem["field"] == "config.variables.zone"
    new_source = module({**NETWORK, "zone": "a"}, digest="2")
    assert await check(ims, components={"network": new_source, "service": wrong}) == []


async def test_a_secret_that_is_to_be_made_is_known_if_the_draft_says_so(ims: Ims, shop: Shop) -> None:
    component = {"extra": module({"key": "{{ secrets.key }}"}, path="/src/extra")}
    assert where(await check(ims, components=component)) == [("extra", "config.variables.key")]
    assert await check(ims, components=component, secrets=["key"]) == []


async def test_installs_are_looked_at_with_the_inputs_of_the_draft(ims: Ims, shop: Shop) -> None:
    inputs = [{"name": "domain"}, {"name": "size", "type": "number"}, {"name": "password", "sensitive": True}]
    installs = {
        "acme": {"inputs": {"domain": "a.example", "size": "big"}},
        "umbrella": {"inputs": {"size": 3}, "sensitive_inputs": {}, "labels": {"tier": "not allowed"}},
    }
    problems = await check(ims, inputs=inputs, installs=installs, components={"service": None})
    assert [(one["install"], one["field"]) for one in problems] == [
        ("acme", "inputs.size"),
        ("umbrella", "inputs"),
        ("umbrella", "sensitive_inputs"),
        ("umbrella", "labels.tier"),
    ]


async def test_a_default_that_can_not_be_one_is_told_once_also_with_installs(ims: Ims, shop: Shop) -> None:
    inputs = [{"name": "domain", "type": "number", "default": "x"}, {"name": "password", "sensitive": True, "required": False}]
    problems = await check(ims, inputs=inputs, installs={"acme": {}, "umbrella": {"inputs": {"domain": 3}}})
    assert [one["field"] for one in problems] == ["inputs.domain.default"]


async def test_an_app_that_does_not_exist_yet_can_be_checked(ims: Ims) -> None:
    config = module({"domain": "{{ inputs.domain }}"})
    assert await check(ims, "", inputs=[{"name": "domain"}], components={"network": config}) == []
    assert where(await check(ims, "", components={"network": config})) == [("network", "config.variables.domain")]
    await ims.refused(404, "POST", "/v1/apps/nope/check", {})


async def test_of_a_part_of_an_app_only_what_is_certain_is_told(ims: Ims, shop: Shop) -> None:
    elsewhere = module(
        {"a": "{{ components.later.outputs.id }}", "b": "{{ secrets.later }}", "c": "{{ inputs.later }}"}, digest="2"
    )
    assert await check(ims, "", components={"extra": elsewhere}, partial=True) == []
    assert where(await check(ims, components={"extra": elsewhere}, partial=True)) == [("extra", "config.variables.c")]
    assert where(await check(ims, inputs=[], components={"extra": elsewhere}, partial=True)) == [
        ("extra", "config.variables.c")
    ]
    manifest = {"kind": "kubernetes_manifest", "manifest": "kind: A # {{ components.extra.outputs.a }}"}
    image = module({"a": "{{ components.other.image.tag }}"}, path="/src/extra")
    problems = await check(ims, "", components={"extra": image, "other": manifest}, partial=True)
    said = {one["component"]: one["message"] for one in problems if "cycle" not in one["message"]}
    assert said == {"extra": "{{ components.other.image.tag }} refers to an image, but other is of kind kubernetes_manifest"}
    assert {one["component"] for one in problems} == {"extra", "other"}, "a cycle"


async def test_of_a_part_of_an_app_builds_count_and_what_is_stored_does_not(ims: Ims, shop: Shop) -> None:
    back = module({**NETWORK, "domain": "{{ components.service.outputs.id }}"}, digest="2")
    assert await check(ims, components={"network": back}, partial=True) == []
    zone = module({**NETWORK, "zone": "a"})
    assert where(await check(ims, components={"network": zone}, partial=True)) == [("network", "config.variables.zone")]
    wrong = module({**SERVICE, "network_id": "{{ components.network.outputs.idd }}"}, path="/src/service")
    assert await check(ims, components={"service": wrong}, partial=True) == []
    found = await check(ims, components={"service": wrong, "network": module(NETWORK)}, partial=True)
    assert where(found) == [("service", "config.variables.network_id")]


async def test_a_check_leaves_nothing_behind(ims: Ims, shop: Shop) -> None:
    before = (await ims.ok("GET", "/v1/events", params={"limit": 1000}))["items"]
    await check(ims, components={"other": module(path="/src/other")}, inputs=[])
    assert (await ims.ok("GET", "/v1/events", params={"limit": 1000}))["items"] == before
    assert [one["name"] for one in (await ims.ok("GET", "/v1/apps/shop/components"))["items"]] == ["network", "service"]
