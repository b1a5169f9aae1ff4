"""What is deleted or stopped by force, and what the history says of it."""

import pytest
from ims_driver import Ims
from shop import Shop, module, usual

pytestmark = pytest.mark.anyio
FORCE = {"params": {"force": "true"}}


async def test_an_install_is_forgotten_with_what_runs_on_it(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    await shop.deploy("acme")
    await ims.ok("PUT", "/v1/installs/acme", {"inputs": {"domain": "new.example"}})
    deploy = await shop.begin()
    lease = await agent.take("sync", "network")
    await ims.refused(409, "DELETE", "/v1/installs/acme")
    await ims.ok("DELETE", "/v1/installs/acme", **FORCE)
    assert (await shop.look(deploy))["status"] == "cancelled"
    assert (await agent.heartbeat(lease)).status_code == 401
    (event,) = await ims.events("install.deleted")
    assert event["after"] == {"force": True, "left_behind": ["network", "service"]}
    await ims.ok("DELETE", f"/v1/releases/{shop.release['id']}")


async def test_an_app_is_deleted_with_all_that_is_its(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")
    await shop.deploy("acme")
    assert "install acme" in (await ims.refused(409, "DELETE", "/v1/apps/shop"))["detail"]
    await ims.ok("DELETE", "/v1/apps/shop", **FORCE)
    await ims.refused(404, "GET", "/v1/installs/acme")
    assert [event["after"] for event in await ims.events("app.deleted")] == [{"force": True}]
    assert len(await ims.events("component.deleted")) == 2


async def test_a_release_that_runs_is_deleted_by_force_and_runs_on(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")
    await shop.deploy("acme")
    assert "acme" in (await ims.refused(409, "DELETE", f"/v1/releases/{shop.release['id']}"))["detail"]
    await ims.ok("DELETE", f"/v1/releases/{shop.release['id']}", **FORCE)
    assert (await ims.events("release.deleted"))[0]["after"] == {"force": True, "runs_on": ["acme"]}
    assert {one["status"] for one in (await ims.ok("GET", "/v1/installs/acme"))["components"]} == {"deployed"}


async def test_a_cancel_becomes_more_urgent(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    deploy = await shop.begin()
    lease = await agent.take("sync", "network")
    for force, heard in (({}, "graceful"), (FORCE, "force"), ({}, "force")):
        await ims.ok("POST", f"/v1/deploys/{deploy['id']}/cancel", **force)
        assert (await agent.heartbeat(lease)).json()["cancel"] == heard


async def test_a_build_is_cancelled_and_its_release_fails(ims: Ims, shop: Shop) -> None:
    await shop.change("network", module({"domain": "x"}, digest="2"))
    release = await ims.ok("POST", "/v1/releases", {"app_id": "shop"})
    build = next(one["build_id"] for one in release["builds"] if one["component"] == "network")
    assert (await ims.ok("POST", f"/v1/builds/{build}/cancel"))["status"] == "cancelled"
    assert (await ims.ok("GET", f"/v1/releases/{release['id']}"))["status"] == "failed"
    await ims.refused(409, "POST", f"/v1/builds/{build}/cancel")
    again = await ims.ok("POST", "/v1/releases", {"app_id": "shop"})
    build = next(one["build_id"] for one in again["builds"] if one["component"] == "network")
    lease = await shop.builder.take("build", "network")
    await ims.ok("POST", f"/v1/builds/{build}/cancel")
    assert (await shop.builder.heartbeat(lease)).json()["cancel"] == "graceful"
    await shop.builder.report(lease, "cancelled")
    assert (await ims.ok("GET", f"/v1/builds/{build}"))["status"] == "cancelled"
    assert await shop.builder.work(usual) == []
