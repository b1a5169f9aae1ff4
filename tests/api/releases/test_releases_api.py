"""Releases and builds over HTTP, with a scripted build agent."""

from typing import Any

import pytest
from ims_driver import Agent, Body, Ims, fields
from shop import Shop, built, module

pytestmark = pytest.mark.anyio


async def release_now(ims: Ims, **components: int) -> Body:
    return await ims.ok("POST", "/v1/releases", {"app_id": "shop", "components": components})


async def test_a_release_builds_each_component_and_is_ready_when_all_are_built(ims: Ims, shop: Shop) -> None:
    assert (shop.release["number"], shop.release["status"]) == (1, "ready")
    assert [(one["component"], one["status"], one["reused"]) for one in shop.release["builds"]] == [
        ("network", "succeeded", False),
        ("service", "succeeded", False),
    ]
    build = await ims.ok("GET", f"/v1/builds/{shop.release['builds'][0]['build_id']}")
    assert (build["source_revision"], build["artifact"]["repository"]) == ("rev-1", "shop/network")
    (event,) = await ims.events("release.ready")
    assert list(event["after"]["digests"]) == ["network", "service"]


async def test_only_what_has_changed_is_built_again(ims: Ims, shop: Shop) -> None:
    await shop.change("network", module({"domain": "other"}))
    release = await release_now(ims)
    assert [(one["component"], one["status"], one["reused"]) for one in release["builds"]] == [
        ("network", "queued", False),
        ("service", "succeeded", True),
    ]
    lease = await shop.builder.take("build", "network")
    assert lease["payload"]["registry"]["repository"] == "shop/network"
    assert await shop.builder.lease() is None


async def test_a_release_that_changes_nothing_is_ready_at_once(ims: Ims, shop: Shop) -> None:
    release = await release_now(ims)
    assert (release["number"], release["status"]) == (2, "ready")
    assert all(build["reused"] for build in release["builds"])


@pytest.mark.parametrize("source", [{"path": {"path": "/src"}}, {"git": {"url": "https://example.com/x", "ref": "main"}}])
async def test_a_source_that_may_have_moved_is_built_again(ims: Ims, shop: Shop, source: Body) -> None:
    await shop.change("network", {**module(), "source": source})
    assert [await _reused(shop), await _reused(shop)] == [False, False]


async def test_a_build_that_has_begun_is_not_used_for_a_source_that_may_have_moved_since(ims: Ims, shop: Shop) -> None:
    await shop.change("network", {**module(), "source": {"git": {"url": "https://example.com/x", "ref": "main"}}})
    first, second = await release_now(ims), await release_now(ims)
    assert second["builds"][0]["build_id"] == first["builds"][0]["build_id"], "nobody has fetched the source yet"
    await shop.builder.take("build", "network")
    third = await release_now(ims)
    assert (third["builds"][0]["reused"], third["builds"][0]["status"]) == (False, "queued")


async def test_a_commit_is_built_once(ims: Ims, shop: Shop) -> None:
    await shop.change("network", {**module(), "source": {"git": {"url": "https://example.com/x", "ref": "a" * 40}}})
    assert [await _reused(shop), await _reused(shop)] == [False, True]


async def _reused(shop: Shop) -> bool:
    return (await shop.new_release())["builds"][0]["reused"]


async def test_two_releases_share_a_build_that_is_under_way(ims: Ims, shop: Shop) -> None:
    await shop.change("network", module({"domain": "other"}))
    first, second = await release_now(ims), await release_now(ims)
    assert first["builds"][0]["build_id"] == second["builds"][0]["build_id"]
    lease = await shop.builder.take("build")
    await shop.builder.succeed(lease, built(lease["payload"]))
    for release in (first, second):
        assert (await ims.ok("GET", f"/v1/releases/{release['id']}"))["status"] == "ready"


async def test_a_failed_build_fails_the_release_and_the_next_release_builds_again(ims: Ims, shop: Shop) -> None:
    await shop.change("network", module({"domain": "other"}))
    release = await release_now(ims)
    await shop.builder.fail(await shop.builder.take("build"), "source_missing", field="config.source.path")
    failed = await ims.ok("GET", f"/v1/releases/{release['id']}")
    assert failed["status"] == "failed"
    assert (failed["failure"]["code"], failed["failure"]["field"]) == ("source_missing", "components.network.source.path")
    assert failed["failure"]["message"].startswith("component network:")
    await shop.install("acme")
    await ims.refused(409, "POST", "/v1/deploys", {"install_id": "acme", "release_id": release["id"]})
    assert (await shop.new_release())["status"] == "ready"


@pytest.mark.parametrize(
    ("result", "code", "field"),
    [
        ({"outputs": ("ident",)}, "unresolved_reference", "components.service.variables.network_id"),
        ({"outputs": ()}, "unresolved_reference", "components.service.variables.network_id"),
        ({"variables": []}, "unknown_variable", "components.network.variables.domain"),
        (
            {"variables": [{"name": "domain"}, {"name": "region", "required": True}]},
            "missing_variable",
            "components.network.variables",
        ),
    ],
)
async def test_what_only_the_built_module_can_tell_fails_the_release(
    ims: Ims, shop: Shop, result: dict[str, Any], code: str, field: str
) -> None:
    await shop.change("network", module({"domain": "other"}, digest="2"))
    release = await release_now(ims)
    lease = await shop.builder.take("build")
    await shop.builder.succeed(lease, built(lease["payload"], **result))
    failed = await ims.ok("GET", f"/v1/releases/{release['id']}")
    assert (failed["status"], failed["failure"]["code"], failed["failure"]["field"]) == ("failed", code, field)
    assert failed["failure"]["remedy"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"app_id": "nope"}, "app_id"),
        ({"app_id": "shop", "components": {"netwrok": 1}}, "components.netwrok"),
        ({"app_id": "shop", "components": {"network": 7}}, "components.network"),
        ({"app_id": "shop", "components": {"network": 10**30}}, "components.network"),
        ({"app_id": "shop", "components": {"network": -(10**30)}}, "components.network"),
        ({"app_id": "shop", "components": {"network": "newest"}}, "components.network"),
        ({"app_id": "shop", "components": {"service": 1}}, "components.service.variables.network_id"),
        ({"app_id": "empty"}, "components"),
    ],
)
async def test_what_is_wrong_with_a_release_is_told_at_its_field(ims: Ims, shop: Shop, body: Body, field: str) -> None:
    await ims.ok("POST", "/v1/apps", {"name": "empty"})
    assert fields(await ims.refused(422, "POST", "/v1/releases", body)) == [field]
    assert len((await ims.ok("GET", "/v1/releases"))["items"]) == 1


async def test_components_that_refer_to_each_other_are_not_released(ims: Ims, shop: Shop) -> None:
    await shop.change("network", module({"domain": "{{ components.service.outputs.id }}"}))
    problem = await ims.refused(422, "POST", "/v1/releases", {"app_id": "shop"})
    assert fields(problem) == ["components.network.variables.domain", "components.service.variables.network_id"]
    assert "network → service → network" in problem["errors"][0]["message"]


async def test_an_input_that_is_gone_from_the_app_stops_the_release_that_needs_it(ims: Ims, shop: Shop) -> None:
    await ims.ok("PUT", "/v1/apps/shop", {"inputs": []})
    problem = await ims.refused(422, "POST", "/v1/releases", {"app_id": "shop"})
    assert "components.network.variables.domain" in fields(problem)


async def test_a_release_that_an_install_runs_is_not_deleted(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")
    await shop.deploy("acme")
    problem = await ims.refused(409, "DELETE", f"/v1/releases/{shop.release['id']}")
    assert "acme" in problem["detail"]
    newer = await release_now(ims)
    await ims.ok("DELETE", f"/v1/releases/{newer['id']}")
    await ims.refused(404, "GET", f"/v1/releases/{newer['id']}")
    assert (await release_now(ims))["number"] == 3


async def test_a_release_that_an_install_is_about_to_run_is_not_deleted(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")
    deploy = await shop.begin("acme")
    problem = await ims.refused(409, "DELETE", f"/v1/releases/{shop.release['id']}")
    assert "is being deployed to: acme" in problem["detail"]
    await ims.ok("POST", f"/v1/deploys/{deploy['id']}/cancel")
    await ims.ok("DELETE", f"/v1/releases/{shop.release['id']}")


async def test_releases_can_be_listed_by_app_and_number_newest_first(ims: Ims, shop: Shop) -> None:
    second = await release_now(ims)
    newest = await ims.ok("GET", "/v1/releases", params={"app": "shop", "order": "desc", "limit": 1})
    assert ([one["number"] for one in newest["items"]], newest["after"]) == ([2], second["id"])
    numbered = await ims.ok("GET", "/v1/releases", params={"app": "shop", "number": 1})
    assert [one["id"] for one in numbered["items"]] == [shop.release["id"]]
    await ims.refused(422, "GET", "/v1/releases", params={"number": 10**30})


async def test_a_build_waits_and_says_for_what(ims: Ims, shop: Shop) -> None:
    await shop.change("network", module({"domain": "other"}))
    release = await release_now(ims)

    async def waiting_for() -> str:
        return (await ims.ok("GET", f"/v1/releases/{release['id']}"))["builds"][0]["waiting_for"]

    assert await waiting_for() == "about to be taken"
    await ims.pass_time(200)
    assert "offline since 2026-11-21" in await waiting_for()
    await ims.ok("DELETE", f"/v1/agents/{shop.builder.id}")
    assert "no build agent" in await waiting_for()
    builder = await Agent.enrolled(ims)
    lease = await builder.take("build")
    assert "running since" in await waiting_for()
    await builder.fail(lease, retryable=True)
    assert await waiting_for() == "attempt 2 of 4 begins in 2 s, after broken"
