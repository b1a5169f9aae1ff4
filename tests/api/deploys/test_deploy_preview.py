"""The preview of a deploy: what the real one would do, and nothing is done."""

from typing import Any

import pytest
from ims_driver import Body, Ims
from shop import NETWORK, Shop, module, usual

pytestmark = pytest.mark.anyio


async def preview(ims: Ims, **body: Any) -> Body:
    """The preview of a deploy to `acme`, unless it says otherwise."""
    found = await ims.ok("POST", "/v1/deploys/preview", {"install_id": "acme", **body})
    assert found["ok"] is not bool(found["problems"])
    return found


def actions(found: Body) -> dict[str, tuple[str, int | None]]:
    return {one["name"]: (one["action"], one["wave"]) for one in found["components"]}


def fields(found: Body) -> list[str]:
    return [one["field"] for one in found["problems"]]


async def test_a_preview_has_the_steps_that_the_deploy_then_has(ims: Ims, shop: Shop) -> None:
    await shop.install("acme", approval="vendor")
    found = await preview(ims, release_number=1)
    assert found == await preview(ims, release_id=shop.release["id"])
    assert actions(found) == {"network": ("create", 1), "service": ("create", 2)}
    assert all(one["asks_approval"] for one in found["components"])
    assert (found["release_number"], found["approval"], found["notes"]) == (1, "vendor", [])
    before = (await ims.ok("GET", "/v1/events", params={"limit": 1000}))["items"]
    assert await preview(ims, release_number=1) == found
    assert (await ims.ok("GET", "/v1/events", params={"limit": 1000}))["items"] == before
    assert (await ims.ok("GET", "/v1/jobs", params={"state": "queued"}))["items"] == []
    deploy = await shop.begin("acme")
    names = {step["id"]: f"{step['component']} {step['kind']}" for step in deploy["steps"]}
    assert [(f"{one['component']} {one['kind']}", one["needs"]) for one in found["steps"]] == [
        (names[step["id"]], [names[need] for need in step["needs"]]) for step in deploy["steps"]
    ]


async def test_what_is_as_it_is_to_be_is_left_alone(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")
    await shop.deploy("acme")
    found = await preview(ims, release_number=1)
    assert (actions(found), found["steps"]) == ({"network": ("none", None), "service": ("none", None)}, [])


async def test_changed_inputs_touch_only_what_uses_them(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")
    await shop.deploy("acme")
    found = await preview(ims, release_number=1, install={"inputs": {}, "sensitive_inputs": {"password": "hush"}})
    assert actions(found) == {"service": ("update", 1), "network": ("none", None)}
    assert found["components"][0]["why"] == "inputs or secrets that it uses have changed"
    found = await preview(ims, release_number=1, install={"inputs": {"domain": "a.example"}})
    assert actions(found) == {"network": ("update", 1), "service": ("check", 2)}
    assert found["components"][1]["why"] == "only if outputs of network change"


async def test_the_app_as_it_is_can_be_looked_at_before_it_is_released(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")
    await shop.deploy("acme")
    await shop.change("network", module({"domain": "other"}))
    found = await preview(ims)
    assert (found["ok"], found["release_number"]) == (True, None)
    assert actions(found) == {"network": ("update", 1), "service": ("check", 2)}
    assert {one["name"]: one["build"] for one in found["components"]} == {"network": "to_build", "service": "ready"}
    assert "to be built first: network" in found["notes"]
    assert (await ims.ok("GET", "/v1/releases"))["items"] == [shop.release]


async def test_a_draft_can_be_looked_at_before_it_is_stored(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")
    await shop.deploy("acme")
    same = {"components": {"network": module(NETWORK)}}
    assert (await preview(ims, draft=same))["steps"] == []
    found = await preview(ims, draft={"components": {"service": None}})
    assert actions(found) == {"service": ("destroy", 1), "network": ("none", None)}
    found = await preview(ims, draft={"components": {"extra": module(path="/src/extra")}})
    assert actions(found)["extra"] == ("create", 1)
    found = await preview(ims, draft={"components": {"network": module({"domain": "{{ inputs.nope }}"})}})
    assert (fields(found), found["steps"]) == (["config.variables.domain"], [])
    looping = {"components": {"network": module({"domain": "{{ components.service.outputs.id }}"})}}
    assert fields(await preview(ims, draft=looping)) == ["config.variables.domain", "config.variables.network_id"]


async def test_an_install_that_is_to_be_made_can_be_looked_at(ims: Ims, shop: Shop) -> None:
    found = await preview(ims, install_id=None, app_id="shop", release_number=1, approval="customer")
    assert actions(found) == {"network": ("create", 1), "service": ("create", 2)}
    assert (found["approval"], found["notes"]) == ("customer", ["the install doesn't exist yet"])
    found = await preview(ims, install_id=None, app_id="shop", release_number=1, install={"inputs": {"size": "big"}})
    assert fields(found) == ["inputs.size"]


async def test_a_teardown_can_be_looked_at(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")
    await shop.deploy("acme")
    found = await preview(ims, kind="teardown")
    assert actions(found) == {"service": ("destroy", 1), "network": ("destroy", 2)}
    assert fields(await preview(ims, kind="teardown", release_id=shop.release["id"])) == ["release_id"]


async def test_why_a_deploy_would_be_refused_is_told(ims: Ims, shop: Shop) -> None:
    await ims.ok("POST", "/v1/installs", {"app_id": "shop", "name": "acme"})
    assert "exclave agents enroll --install acme" in (await preview(ims, release_number=1))["notes"][0]
    assert fields(await preview(ims, release_number=9)) == ["release_number"]
    assert fields(await preview(ims, release_id="rel_nope")) == ["release_id"]
    await ims.ok("PUT", "/v1/apps/shop", {"inputs": [{"name": "domain"}, {"name": "password", "sensitive": True}]})
    assert fields(await preview(ims, release_number=1)) == ["inputs", "sensitive_inputs"]
    await ims.ok("PUT", "/v1/apps/shop", {"inputs": [{"name": "domain", "default": "x"}]})
    assert fields(await preview(ims, release_number=1)) == ["config.variables.password"]
    await shop.change("network", module({"domain": "x"}, digest="2"))
    await shop.change("service", module({"x": "y"}, path="/src/service"))
    release = await ims.ok("POST", "/v1/releases", {"app_id": "shop"})
    found = await preview(ims, release_id=release["id"])
    assert "building" in found["problems"][0]["message"]
    assert actions(found) == {"network": ("create", 1), "service": ("create", 1)}


async def test_an_app_that_is_to_be_made_can_be_looked_at(ims: Ims) -> None:
    before = (await ims.ok("GET", "/v1/events", params={"limit": 1000}))["items"]
    service = module({"network_id": "{{ components.network.outputs.id }}"}, path="/src/service")
    inputs = [{"name": "domain", "type": "string", "default": "x"}, {"name": "size", "type": "number", "default": 1}]
    draft = {"inputs": inputs, "components": {"service": service, "network": module(NETWORK)}, "complete": True}
    found = await preview(ims, install_id=None, draft=draft, install={"inputs": {"domain": "x"}}, approval="vendor")
    assert (found["app_id"], found["install_id"], found["release_id"], found["problems"]) == (None, None, None, [])
    assert actions(found) == {"network": ("create", 1), "service": ("create", 2)}
    kinds = [one["kind"] for one in found["steps"] if one["component"] == "service"]
    assert kinds == ["sync", "plan", "approve", "apply"]
    assert found["notes"] == ["the app and the install don't exist yet", "to be built first: network, service"]
    assert fields(await preview(ims, install_id=None, draft=draft, install={"inputs": {"size": "big"}})) == ["inputs.size"]
    wrong = draft | {"components": {"service": service}}
    assert fields(await preview(ims, install_id=None, draft=wrong)) == ["config.variables.network_id"]
    empty = await preview(ims, install_id=None, draft={"components": {}, "complete": True})
    assert [one["message"] for one in empty["problems"]] == ["the app has no components"]
    assert (await ims.ok("GET", "/v1/events", params={"limit": 1000}))["items"] == before


async def test_a_deploy_under_way_stands_in_the_way(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")
    deploy = await shop.begin("acme")
    found = await preview(ims, release_number=1)
    assert fields(found) == ["install_id"]
    assert deploy["id"] in found["problems"][0]["message"]


async def test_what_can_not_be_meant_is_refused(ims: Ims, shop: Shop) -> None:
    for body, field in [
        ({}, "install_id"),
        ({"install_id": "nope"}, "install_id"),
        ({"app_id": "nope"}, "app_id"),
        ({"draft": {}}, "install_id"),
        ({"draft": {"complete": True}, "kind": "teardown"}, "install_id"),
        ({"draft": {"complete": True}, "release_number": 1}, "draft"),
        ({"app_id": "shop", "release_number": 1, "draft": {}}, "draft"),
    ]:
        problem = await ims.refused(422, "POST", "/v1/deploys/preview", body)
        assert [one["field"] for one in problem["errors"]] == [field]


async def test_what_is_planned_anew_or_in_part_is_told(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    await shop.deploy("acme")

    async def told(**replan: Any) -> tuple[str, str]:
        found = await preview(ims, release_number=1, replan=[{"component": "network", **replan}])
        assert actions(found)["service"] == ("check", 2)
        network = next(one for one in found["components"] if one["name"] == "network")
        return network["action"], network["why"]

    assert await told() == ("check", "its plan is asked for")
    assert await told(targets=["module.db", "a.b"]) == ("check", "its plan is asked for: only module.db, a.b")
    assert await told(replace=["a.b"]) == ("update", "its plan is asked for: a.b anew")
    part = [{"component": "network", "targets": ["module.db"]}]
    found = await preview(ims, release_number=1, replan=part)
    body = {"install_id": "acme", "release_id": shop.release["id"], "replan": part}
    made = await ims.ok("POST", "/v1/deploys", body)
    assert [(one["component"], one["kind"]) for one in found["steps"]] == [
        (one["component"], one["kind"]) for one in made["steps"]
    ]
    await agent.work(usual)
    found = await preview(ims, release_number=1)
    assert found["components"][0]["why"] == "its last deploy brought it only in part"
    assert await told(targets=["a.b"]) == ("update", "its last deploy brought it only in part: only a.b")


async def test_a_wrong_replan_is_told_where_the_deploy_tells_it(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")
    image = {"kind": "container_image", "public": {"image_url": "docker.io/library/nginx", "tag": "1"}}
    await ims.ok("POST", "/v1/apps/shop/components", {"name": "image", "config": image})
    wrong = [{"component": "image", "targets": ["a.b"]}]
    assert fields(await preview(ims, replan=wrong)) == ["replan.0.targets"]
    assert fields(await preview(ims, release_number=1, replan=wrong)) == ["replan.0.component"]
    assert fields(await preview(ims, kind="teardown", replan=wrong)) == ["replan"]
