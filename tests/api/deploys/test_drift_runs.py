"""Looking for drift: on a schedule or when asked, never in the way of a deploy."""

from typing import Any

import pytest
from ims_driver import Body, Ims, fields
from shop import SERVICE, Shop, module, planned, usual

from api.deploys import planner

pytestmark = pytest.mark.anyio
HOUR = 3600


async def deployed(shop: Shop, **more: Any) -> None:
    await shop.install("acme", **more)
    await shop.deploy("acme")


async def components(ims: Ims) -> dict[str, Body]:
    return {one["name"]: one for one in (await ims.ok("GET", "/v1/installs/acme"))["components"]}


async def runs(ims: Ims) -> list[Body]:
    return (await ims.ok("GET", "/v1/deploys", params={"install": "acme", "kind": "drift"}))["items"]


def drifted(payload: Body) -> Body:
    """`network` has drifted, `service` has not."""
    return planned(add=1 if payload["component"] == "network" else 0)


async def test_a_run_only_plans_and_says_what_has_drifted(ims: Ims, shop: Shop) -> None:
    await deployed(shop)
    run = await ims.ok("POST", "/v1/installs/acme/drift")
    assert (run["kind"], run["release_id"]) == ("drift", None)
    assert sorted(await shop.agents["acme"].work(drifted)) == [("network", "plan"), ("service", "plan")]
    assert (await shop.look(run))["status"] == "succeeded"
    found = await components(ims)
    assert (found["network"]["drifted"], found["network"]["drift"]["add"]) == (True, 1)
    assert found["service"]["drifted"] is False
    assert all(one["status"] == "deployed" and one["drift_checked_at"] for one in found.values())
    (event,) = await ims.events("drift.found")
    assert (event["after"]["component"], event["after"]["add"]) == ("network", 1)


async def test_drift_that_the_customers_rules_would_not_let_be_mended_is_said_as_such(ims: Ims, shop: Shop) -> None:
    await deployed(shop)
    run = await ims.ok("POST", "/v1/installs/acme/drift")
    refused = ["rule 'keep data' (aws_db_instance.main)"]
    await shop.agents["acme"].work(lambda payload: planned(add=0, destroy=1, refused=refused, asks=["rule 'x'"]))
    ended = await shop.look(run)
    assert ended["status"] == "succeeded", "what the rules say is a finding, not a failure of the look"
    assert [step["kind"] for step in ended["steps"]] == ["plan", "plan"], "nobody is asked: nothing is applied"
    assert (await components(ims))["network"]["drift"]["refused"] == refused
    assert {event["after"]["refused"][0] for event in await ims.events("drift.found")} == set(refused)


async def test_the_next_deploy_mends_what_has_drifted(ims: Ims, shop: Shop) -> None:
    await deployed(shop)
    assert await shop.deploy("acme") == []
    await ims.ok("POST", "/v1/installs/acme/drift")
    await shop.agents["acme"].work(drifted)
    assert ("network", "apply") in await shop.deploy("acme")
    assert (await components(ims))["network"]["drifted"] is None


async def test_inputs_that_are_not_deployed_yet_are_no_drift(ims: Ims, shop: Shop) -> None:
    await deployed(shop, inputs={"domain": "old.example"})
    await ims.ok("PUT", "/v1/installs/acme", {"inputs": {"domain": "new.example"}})
    await ims.ok("POST", "/v1/installs/acme/drift")
    lease = await shop.agents["acme"].take("plan")
    assert lease["payload"]["inputs"]["domain"] == "old.example"
    assert set(lease["payload"]["digests"]) == {"network", "service"}


async def test_labels_that_are_not_deployed_yet_are_no_drift(ims: Ims, shop: Shop) -> None:
    await shop.change("network", module({"domain": "{{ install.labels.tier }}"}))
    await shop.install(labels={"tier": "gold"})
    await shop.deploy(release=await shop.new_release())
    await ims.ok("PUT", "/v1/installs/acme", {"labels": {"tier": "free"}})
    await ims.ok("POST", "/v1/installs/acme/drift")
    lease = await shop.agents["acme"].take("plan", "network")
    assert lease["payload"]["install_labels"] == {"tier": "gold"}


async def test_runs_come_by_their_schedule_and_stay_out_of_the_list_of_deploys(ims: Ims, shop: Shop) -> None:
    await deployed(shop, drift_check_hours=6)
    assert (await ims.ok("GET", "/v1/installs/acme"))["drift_due_at"] == "2026-11-21T15:00:00Z"
    await ims.pass_time(6 * HOUR - 1)
    assert await runs(ims) == []
    await ims.pass_time(1)
    assert len(await runs(ims)) == 1
    await ims.pass_time(1)
    assert len(await runs(ims)) == 1
    assert (await ims.ok("GET", "/v1/installs/acme"))["drift_due_at"] == "2026-11-21T21:00:00Z"
    assert len((await ims.ok("GET", "/v1/deploys", params={"install": "acme"}))["items"]) == 1
    await ims.ok("PUT", "/v1/installs/acme", {})
    assert (await ims.ok("GET", "/v1/installs/acme"))["drift_due_at"] is None


async def test_a_run_that_is_due_waits_until_the_deploy_has_ended(ims: Ims, shop: Shop) -> None:
    await deployed(shop, drift_check_hours=1)
    await ims.ok("PUT", "/v1/installs/acme", {"inputs": {"domain": "new.example"}, "drift_check_hours": 1})
    deploy = await shop.begin()
    await ims.pass_time(2 * HOUR)
    assert await runs(ims) == []
    problem = await ims.refused(409, "POST", "/v1/installs/acme/drift")
    assert deploy["id"] in problem["detail"]
    await shop.agents["acme"].sign_in()
    await shop.agents["acme"].work(usual)
    await ims.sweep()
    assert len(await runs(ims)) == 1


async def test_a_deploy_takes_the_place_of_a_run_even_while_a_plan_of_it_still_stops(ims: Ims, shop: Shop) -> None:
    await deployed(shop)
    agent = shop.agents["acme"]
    run = await ims.ok("POST", "/v1/installs/acme/drift")
    lease = await agent.take("plan", "network")
    await ims.ok("PUT", "/v1/installs/acme", {"inputs": {"domain": "new.example"}})
    deploy = await shop.begin()
    assert (await shop.look(run))["status"] == "cancelling"
    assert (await agent.heartbeat(lease)).json()["cancel"] == "graceful"
    assert (await agent.report(lease, "cancelled")).status_code == 204
    assert (await shop.look(run))["status"] == "cancelled"
    assert (await agent.work(usual))[:3] == [("network", kind) for kind in ("sync", "plan", "apply")]
    assert (await shop.look(deploy))["status"] == "succeeded"


async def test_a_run_that_fails_leaves_everything_deployed(ims: Ims, shop: Shop) -> None:
    await deployed(shop)
    run = await ims.ok("POST", "/v1/installs/acme/drift")
    await shop.agents["acme"].fail(await shop.agents["acme"].take("plan", "network"), "plan_failed")
    await shop.agents["acme"].work(usual)
    assert (await shop.look(run))["status"] == "failed"
    assert {one["status"] for one in (await components(ims)).values()} == {"deployed"}
    assert (await components(ims))["network"]["drifted"] is None
    assert await shop.deploy("acme") == [("service", "sync"), ("service", "plan"), ("service", "apply")], "usual() finds drift"


async def test_where_nothing_is_deployed_there_is_nothing_to_look_at(ims: Ims, shop: Shop) -> None:
    await shop.install("acme", drift_check_hours=1)
    await ims.refused(409, "POST", "/v1/installs/acme/drift")
    await ims.pass_time(HOUR)
    assert await runs(ims) == []
    body = {"install_id": "acme", "kind": "drift"}
    assert fields(await ims.refused(422, "POST", "/v1/deploys", body)) == ["kind"]


async def healed(ims: Ims, shop: Shop) -> list[Body]:
    """The deploys of the install, after a drift run that finds drift, newest first."""
    await ims.pass_time(1)
    await ims.ok("POST", "/v1/installs/acme/drift")
    agent = shop.agents["acme"]
    for _ in ("network", "service"):  # and no more: the server may begin with the healing deploy at once
        lease = await agent.take("plan")
        await agent.succeed(lease, drifted(lease["payload"]))
    await planner.plan_all(ims.state.db, ims.state.vault)
    return (await ims.ok("GET", "/v1/deploys", params={"install": "acme", "order": "desc"}))["items"]


async def test_nothing_is_mended_by_itself_unless_the_install_says_so(ims: Ims, shop: Shop) -> None:
    await deployed(shop)
    assert len(await healed(ims, shop)) == 1


async def test_an_install_that_wants_it_gets_its_release_again_when_something_has_drifted(ims: Ims, shop: Shop) -> None:
    await deployed(shop, heal_drift=True)
    newest, first = await healed(ims, shop)
    assert (newest["release_id"], newest["created_by"], newest["status"]) == (first["release_id"], "system", "running")
    assert ("network", "apply") in await shop.agents["acme"].work(usual)
    assert (await components(ims))["network"]["drifted"] is None
    await ims.ok("POST", "/v1/installs/acme/drift")
    await shop.agents["acme"].work(lambda _: planned(add=0))
    await planner.plan_all(ims.state.db, ims.state.vault)
    assert len((await ims.ok("GET", "/v1/deploys", params={"install": "acme"}))["items"]) == 2, "nothing has drifted"


async def test_a_healing_deploy_waits_for_approval_like_any_other(ims: Ims, shop: Shop) -> None:
    await deployed(shop)
    await ims.ok("PUT", "/v1/installs/acme", {"heal_drift": True, "approval": "vendor"})
    newest, _ = await healed(ims, shop)
    await shop.agents["acme"].work(usual)
    steps = (await ims.ok("GET", f"/v1/deploys/{newest['id']}"))["steps"]
    assert [step["status"] for step in steps if (step["component"], step["kind"]) == ("network", "apply")] == ["waiting"]


async def test_inputs_that_are_not_deployed_yet_are_not_brought_by_healing(ims: Ims, shop: Shop) -> None:
    await deployed(shop, heal_drift=True)
    await ims.ok("PUT", "/v1/installs/acme", {"inputs": {"domain": "new.example"}, "heal_drift": True})
    assert len(await healed(ims, shop)) == 1


async def healed_after(ims: Ims, shop: Shop, deploy: Body) -> list[str]:
    """Who made the deploys of the install, newest first, once a deploy and a drift run that finds drift have ended."""
    await shop.agents["acme"].work(usual)
    assert (await shop.look(deploy))["status"] == "succeeded"
    ims.clock.forward(1)
    await ims.ok("POST", "/v1/installs/acme/drift")
    await shop.agents["acme"].work(drifted)
    await planner.plan_all(ims.state.db, ims.state.vault)
    found = await ims.ok("GET", "/v1/deploys", params={"install": "acme", "order": "desc"})
    return [one["created_by"] for one in found["items"]]


async def test_what_somebody_left_out_is_not_brought_by_healing(ims: Ims, shop: Shop) -> None:
    await deployed(shop, heal_drift=True)
    ims.clock.forward(1)
    await shop.change("service", module(SERVICE, path="/src/service", digest="2"))
    deploy = await shop.begin("acme", await shop.new_release())
    await ims.ok("POST", f"/v1/deploys/{deploy['id']}/steps/{deploy['steps'][0]['id']}/skip", {})
    assert await healed_after(ims, shop, deploy) == ["token:admin", "token:admin"]


async def test_what_was_never_brought_because_it_was_left_out_is_not_brought_by_healing(ims: Ims, shop: Shop) -> None:
    await shop.install(heal_drift=True)
    deploy = await shop.begin("acme")
    service = next(step for step in deploy["steps"] if step["component"] == "service")
    await ims.ok("POST", f"/v1/deploys/{deploy['id']}/steps/{service['id']}/skip", {})
    assert await healed_after(ims, shop, deploy) == ["token:admin"]


async def test_what_was_brought_in_part_is_not_brought_whole_by_healing(ims: Ims, shop: Shop) -> None:
    await deployed(shop, heal_drift=True)
    ims.clock.forward(1)
    replan = [{"component": "service", "targets": ["aws_instance.one"]}]
    body = {"install_id": "acme", "release_id": shop.release["id"], "replan": replan}
    assert await healed_after(ims, shop, await ims.ok("POST", "/v1/deploys", body)) == ["token:admin", "token:admin"]
