"""Deploys over HTTP: what may be asked for, and what is shown."""

from typing import Any

import pytest
from ims_driver import Body, Ims, fields
from shop import SYNCED, Shop, module, planned, usual

pytestmark = pytest.mark.anyio


async def test_what_is_wrong_with_a_deploy_is_told_at_its_field(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")
    await ims.ok("POST", "/v1/apps", {"name": "other"})
    await ims.ok("POST", "/v1/apps/other/components", {"name": "x", "config": module()})
    foreign = await ims.ok("POST", "/v1/releases", {"app_id": "other"})
    release = shop.release["id"]
    for body, field in [
        ({"install_id": "nope", "release_id": release}, "install_id"),
        ({"install_id": "acme"}, "release_id"),
        ({"install_id": "acme", "release_id": "rel_nope"}, "release_id"),
        ({"install_id": "acme", "release_id": foreign["id"]}, "release_id"),
        ({"install_id": "acme", "release_id": release, "kind": "teardown"}, "release_id"),
        ({"install_id": "acme", "release_id": release, "inputs_version": 7}, "inputs_version"),
        ({"install_id": "acme", "release_id": release, "kind": "zebra"}, "kind"),
    ]:
        assert fields(await ims.refused(422, "POST", "/v1/deploys", body)) == [field], body
    assert (await ims.ok("GET", "/v1/deploys"))["items"] == []


async def test_a_release_that_is_still_built_can_not_be_deployed(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")
    await shop.change("network", module({"domain": "x"}))
    release = await ims.ok("POST", "/v1/releases", {"app_id": "shop"})
    problem = await ims.refused(409, "POST", "/v1/deploys", {"install_id": "acme", "release_id": release["id"]})
    assert "building" in problem["detail"]


async def test_one_deploy_at_a_time_is_under_way_on_an_install(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")
    await shop.install("umbrella")
    first = await shop.begin("acme")
    for body in ({"release_id": shop.release["id"]}, {"kind": "teardown"}):
        problem = await ims.refused(409, "POST", "/v1/deploys", {"install_id": "acme", **body})
        assert first["id"] in problem["detail"]
        assert first["id"] in problem["remedy"]
    await shop.begin("umbrella")
    await shop.agents["acme"].work(usual)
    await shop.begin("acme")


async def test_a_deploy_that_finds_nothing_to_do_has_succeeded_at_once(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")
    await shop.deploy("acme")
    again = await shop.begin("acme")
    assert (again["status"], again["steps"]) == ("succeeded", [])
    assert again["outputs"]["network"] == {"id": "network-1"}


async def test_a_teardown_of_an_empty_install_has_succeeded_at_once(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")
    done = await ims.ok("POST", "/v1/deploys", {"install_id": "acme", "kind": "teardown"})
    assert (done["status"], done["steps"], done["release_id"]) == ("succeeded", [], None)


async def test_a_step_says_what_it_waits_for(ims: Ims, shop: Shop) -> None:
    await ims.ok("POST", "/v1/installs", {"app_id": "shop", "name": "acme"})
    deploy = await shop.begin("acme")
    steps = {(step["component"], step["kind"]): step["waiting_for"] for step in deploy["steps"]}
    assert "exclave agents enroll --install acme" in steps["network", "sync"]
    assert steps["service", "plan"] == "waiting for network: apply, service: sync"


async def test_deploys_can_be_listed_by_install_newest_first(ims: Ims, shop: Shop) -> None:
    for name in ("acme", "umbrella"):
        await shop.install(name)
        await shop.deploy(name)
    last = await shop.begin("acme")
    listed = await ims.ok("GET", "/v1/deploys", params={"install": "acme", "order": "desc"})
    assert len(listed["items"]) == 2
    assert listed["items"][0]["id"] == last["id"]
    await ims.refused(404, "GET", "/v1/deploys", params={"install": "nope"})
    await ims.refused(404, "GET", "/v1/deploys/dep_nope")


async def test_jobs_can_be_listed_by_state(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")
    await shop.begin("acme")
    queued = (await ims.ok("GET", "/v1/jobs", params={"state": "queued"}))["items"]
    assert [job["kind"] for job in queued] == ["sync", "sync"]
    assert await ims.ok("GET", f"/v1/jobs/{queued[0]['id']}") == queued[0]
    await ims.refused(404, "GET", "/v1/jobs/job_nope")


async def test_a_cancel_of_a_deploy_that_has_ended_is_refused(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")
    deploy = await ims.ok("POST", "/v1/deploys", {"install_id": "acme", "kind": "teardown"})
    await ims.refused(409, "POST", f"/v1/deploys/{deploy['id']}/cancel")
    await ims.refused(404, "POST", "/v1/deploys/dep_nope/cancel")


async def test_a_component_is_planned_though_nothing_differs_also_in_part(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    await shop.deploy("acme")

    async def again(**replan: Any) -> Body:
        body = {"install_id": "acme", "release_id": shop.release["id"], "replan": [{"component": "network", **replan}]}
        return await ims.ok("POST", "/v1/deploys", body)

    whole = await again(replace=["aws_instance.a[0]"])
    await agent.succeed(await agent.take("sync", "network"), SYNCED)
    lease = await agent.take("plan", "network")
    assert lease["payload"]["replan"] == {"component": "network", "targets": [], "replace": ["aws_instance.a[0]"]}
    await agent.succeed(lease, planned())
    applying = await agent.take("apply", "network")
    assert "replan" not in applying["payload"]
    await agent.succeed(applying, usual(applying["payload"]))
    await agent.work(usual)
    assert (await shop.look(whole))["status"] == "succeeded"
    assert await shop.deploy("acme") == [], "what was planned whole is there"

    part = await again(targets=["module.db"])
    await agent.work(usual)
    assert (await shop.look(part))["replan"][0]["targets"] == ["module.db"]
    retried = await ims.ok("POST", f"/v1/deploys/{part['id']}/retry")
    assert retried["replan"] == (await shop.look(part))["replan"]
    await agent.work(usual)
    assert ("network", "plan") in await shop.deploy("acme"), "what was brought in part is planned whole"


@pytest.mark.parametrize(
    ("replan", "field"),
    [
        ([{"component": "nothing"}], "replan.0.component"),
        ([{"component": "network"}, {"component": "network"}], "replan.1.component"),
        ([{"component": "network", "targets": ["a\nb"]}], "replan.0.targets.0"),
    ],
)
async def test_a_wrong_replan_is_refused_where_it_is_wrong(ims: Ims, shop: Shop, replan: list[Body], field: str) -> None:
    await shop.install("acme")
    body = {"install_id": "acme", "release_id": shop.release["id"], "replan": replan}
    assert fields(await ims.refused(422, "POST", "/v1/deploys", body)) == [field]
    teardown = {"install_id": "acme", "kind": "teardown", "replan": [{"component": "network"}]}
    assert fields(await ims.refused(422, "POST", "/v1/deploys", teardown)) == ["replan"]
