"""Apps and their components over HTTP."""

import pytest
from ims_driver import Ims, fields
from shop import Shop, module

pytestmark = pytest.mark.anyio


async def test_an_app_is_made_read_changed_and_deleted(ims: Ims) -> None:
    made = await ims.ok("POST", "/v1/apps", {"name": "shop", "description": "sells", "inputs": [{"name": "domain"}]})
    assert (made["version"], made["inputs"][0]["type"]) == (1, "string")
    assert await ims.ok("GET", "/v1/apps/shop") == await ims.ok("GET", f"/v1/apps/{made['id']}") == made

    changed = await ims.ok("PUT", "/v1/apps/shop", {"description": "sells more", "inputs": []})
    assert (changed["version"], changed["description"], changed["inputs"]) == (2, "sells more", [])

    await ims.ok("DELETE", "/v1/apps/shop")
    await ims.refused(404, "GET", "/v1/apps/shop")
    assert [event["action"] for event in (await ims.ok("GET", "/v1/events", params={"object_id": made["id"]}))["items"]] == [
        "app.created",
        "app.updated",
        "app.deleted",
    ]


async def test_an_update_that_says_nothing_new_is_no_new_version(ims: Ims) -> None:
    await ims.ok("POST", "/v1/apps", {"name": "shop", "description": "sells"})
    assert (await ims.ok("PUT", "/v1/apps/shop", {"description": "sells"}))["version"] == 1
    assert await ims.events("app.updated") == []


async def test_an_app_name_that_is_taken_is_told_at_the_name(ims: Ims) -> None:
    await ims.ok("POST", "/v1/apps", {"name": "shop"})
    problem = await ims.refused(409, "POST", "/v1/apps", {"name": "shop"})
    assert (problem["type"], fields(problem)) == ("urn:exclave:problem:name_taken", ["name"])


async def test_the_name_of_a_deleted_app_is_free_again(ims: Ims) -> None:
    first = await ims.ok("POST", "/v1/apps", {"name": "shop"})
    await ims.ok("DELETE", "/v1/apps/shop")
    assert (await ims.ok("POST", "/v1/apps", {"name": "shop"}))["id"] != first["id"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "Shop"}, "name"),
        ({"name": "-"}, "name"),
        ({"name": "shop", "inputz": []}, "inputz"),
        ({"name": "shop", "inputs": [{"name": "a", "type": "zebra"}]}, "inputs.0.type"),
        ({"name": "shop", "inputs": [{"name": "body", "body": 1}]}, "inputs.0.body"),
        ({"name": "shop", "inputs": [{"name": "a", "type": "number", "default": "x"}]}, "inputs.a.default"),
        ({}, "name"),
    ],
)
async def test_what_is_wrong_with_an_app_is_told_at_its_field(ims: Ims, body: dict, field: str) -> None:
    problem = await ims.refused(422, "POST", "/v1/apps", body)
    assert fields(problem) == [field]
    assert (await ims.ok("GET", "/v1/apps"))["items"] == []


async def test_an_app_with_components_or_installs_is_not_deleted(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")
    problem = await ims.refused(409, "DELETE", "/v1/apps/shop")
    assert problem["type"] == "urn:exclave:problem:in_use"
    for user in ("install acme", "component network", "component service"):
        assert user in problem["detail"]


async def test_a_component_has_versions_that_never_change(ims: Ims, shop: Shop) -> None:
    before = await ims.ok("GET", "/v1/apps/shop/components/network")
    changed = await shop.change("network", module({"domain": "fixed"}))
    assert (before["version"], changed["version"]) == (1, 2)
    assert (await shop.change("network", module({"domain": "fixed"})))["version"] == 2
    old = await ims.ok("POST", "/v1/releases", {"app_id": "shop", "components": {"network": 1}})
    assert [(build["component"], build["component_version"], build["reused"]) for build in old["builds"]] == [
        ("network", 1, True)
    ]


async def test_a_component_made_again_under_its_name_goes_on_counting(ims: Ims, shop: Shop) -> None:
    """At version 1 again, it would seem to be what the release that has version 1 was made of, and no new one would follow."""
    await ims.ok("DELETE", "/v1/apps/shop/components/network")
    again = {"name": "network", "config": module({"domain": "other"})}
    assert (await ims.ok("POST", "/v1/apps/shop/components", again))["version"] == 2
    problem = await ims.refused(422, "POST", "/v1/releases", {"app_id": "shop", "components": {"network": 1}})
    assert fields(problem) == ["components.network"]


async def test_a_source_of_the_same_content_in_another_folder_is_no_new_version(ims: Ims, shop: Shop) -> None:
    await shop.change("network", module({"a": "b"}, path="/here"))
    moved = await shop.change("network", module({"a": "b"}, path="/there"))
    assert (moved["version"], moved["config"]["source"]["path"]["path"]) == (2, "/there")
    assert (await shop.change("network", module({"a": "b"}, path="/there", digest="2")))["version"] == 3


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"kind": "zebra", "source": {}}, "config.kind"),
        ({**module(), "source": {}}, "config.source"),
        ({**module(), "source": {"path": {"path": ""}}}, "config.source.path.path"),
        (module({"a": 1}), "config.variables.a"),  # type: ignore[dict-item]
        (module({"a": "{{ inputs.zebra }}"}), "config.variables.a"),
        (module({"a": "{{ nonsense }}"}), "config.variables.a"),
        (module({"a": "{{ components.new.outputs.x }}"}), "config.variables.a"),
        ({**module(), "variabels": {}}, "config.variabels"),
    ],
)
async def test_what_is_wrong_with_a_component_is_told_at_its_field(ims: Ims, shop: Shop, config: dict, field: str) -> None:
    problem = await ims.refused(422, "POST", "/v1/apps/shop/components", {"name": "new", "config": config})
    assert fields(problem) == [field]
    await ims.refused(404, "GET", "/v1/apps/shop/components/new")


async def test_an_unknown_kind_is_answered_with_those_that_there_are(ims: Ims, shop: Shop) -> None:
    body = {"name": "new", "config": {"kind": "zebra"}}
    problem = await ims.refused(422, "POST", "/v1/apps/shop/components", body)
    assert "terraform_module" in problem["errors"][0]["remedy"]


async def test_a_component_that_refers_to_itself_is_refused_and_nothing_changes(ims: Ims, shop: Shop) -> None:
    body = {"config": module({"a": "{{ components.network.outputs.id }}"})}
    problem = await ims.refused(422, "PUT", "/v1/apps/shop/components/network", body)
    assert fields(problem) == ["config.variables.a"]
    assert (await ims.ok("GET", "/v1/apps/shop/components/network"))["version"] == 1


async def test_a_component_keeps_its_kind_and_its_name_is_unique_in_the_app(ims: Ims, shop: Shop) -> None:
    other = {"config": {"kind": "kubernetes_manifest", "manifest": "kind: Pod"}}
    assert fields(await ims.refused(422, "PUT", "/v1/apps/shop/components/network", other)) == ["config.kind"]
    again = {"name": "network", "config": module()}
    assert fields(await ims.refused(409, "POST", "/v1/apps/shop/components", again)) == ["name"]
    await ims.ok("POST", "/v1/apps", {"name": "other"})
    await ims.ok("POST", "/v1/apps/other/components", again)


async def test_a_component_may_be_deleted_while_an_install_runs_it_and_the_next_release_destroys_it(
    ims: Ims, shop: Shop
) -> None:
    await shop.install("acme")
    await shop.deploy("acme")
    await ims.ok("DELETE", "/v1/apps/shop/components/service")
    await ims.refused(404, "GET", "/v1/apps/shop/components/service")
    assert [one["name"] for one in (await ims.ok("GET", "/v1/installs/acme"))["components"]] == ["network", "service"]
    done = await shop.deploy("acme", await shop.new_release())
    assert done == [("service", "plan_destroy"), ("service", "destroy")]


async def test_what_is_not_there_is_not_found_with_a_suggestion(ims: Ims, shop: Shop) -> None:
    assert "'network'" in (await ims.refused(404, "GET", "/v1/apps/shop/components/netwrok"))["remedy"]
    for path in ("/v1/apps/nope", "/v1/apps/nope/components", "/v1/apps/nope/components/x"):
        await ims.refused(404, "GET", path)
    await ims.refused(404, "PUT", "/v1/apps/nope", {})
    await ims.refused(404, "DELETE", "/v1/apps/nope")
