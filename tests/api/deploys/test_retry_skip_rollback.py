"""What people do to a deploy that doesn't go as it should."""

import pytest
from ims_driver import Agent, Body, Ims
from shop import Shop, module, usual

pytestmark = pytest.mark.anyio


async def step_id(shop: Shop, deploy: Body, component: str, kind: str) -> str:
    steps = (await shop.look(deploy))["steps"]
    return next(step["id"] for step in steps if (step["component"], step["kind"]) == (component, kind))


async def work_until(agent: Agent, component: str, kind: str) -> Body:
    while True:
        lease = await agent.lease()
        assert lease, f"no {kind} of {component}"
        if (lease["payload"]["component"], lease["payload"]["kind"]) == (component, kind):
            return lease
        await agent.succeed(lease, usual(lease["payload"]))


async def ask(shop: Shop, deploy: Body, component: str, kind: str, verb: str) -> str:
    """The path of a request about a step."""
    return f"/v1/deploys/{deploy['id']}/steps/{await step_id(shop, deploy, component, kind)}/{verb}"


async def test_a_failed_step_is_tried_again_while_others_still_run(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    deploy = await shop.begin()
    network, service = await agent.take("sync", "network"), await agent.take("sync", "service")
    await agent.fail(network)
    assert (await shop.steps(deploy))["service", "plan"] == "cancelled"
    retried = await ims.ok("POST", await ask(shop, deploy, "network", "sync", "retry"))
    assert {step["status"] for step in retried["steps"]} == {"ready", "running", "waiting"}
    await agent.succeed(service, usual(service["payload"]))
    await agent.work(usual)
    assert (await shop.look(deploy))["status"] == "succeeded"
    assert len(await ims.events("step.retry_requested")) == 1


async def test_only_what_failed_can_be_retried_and_only_while_the_deploy_runs(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    deploy = await shop.begin()
    network, service = await agent.take("sync", "network"), await agent.take("sync", "service")
    await agent.fail(network)
    problem = await ims.refused(409, "POST", await ask(shop, deploy, "service", "plan", "retry"))
    assert "retry the one that failed" in problem["detail"]
    assert "has not failed" in (await ims.refused(409, "POST", await ask(shop, deploy, "service", "sync", "retry")))["detail"]
    problem = await ims.refused(409, "POST", f"/v1/deploys/{deploy['id']}/retry")
    assert "--step" in problem["remedy"]
    await agent.succeed(service, usual(service["payload"]))
    problem = await ims.refused(409, "POST", await ask(shop, deploy, "network", "sync", "retry"))
    assert "has ended" in problem["detail"]
    assert "exclave deploys retry" in problem["remedy"]


async def test_a_deploy_is_retried_as_a_new_one_that_does_only_what_is_left(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    deploy = await shop.begin()
    await agent.fail(await work_until(agent, "service", "apply"), "apply_failed")
    again = await ims.ok("POST", f"/v1/deploys/{deploy['id']}/retry")
    assert (again["retry_of"], again["release_id"]) == (deploy["id"], deploy["release_id"])
    assert await agent.work(usual) == [("service", "sync"), ("service", "plan"), ("service", "apply")]
    assert (await shop.look(again))["status"] == "succeeded"


async def test_a_skipped_component_is_left_out_with_all_that_needs_it_and_planned_by_the_next_deploy(
    ims: Ims, shop: Shop
) -> None:
    agent = await shop.install("acme")
    deploy = await shop.begin()
    path = await ask(shop, deploy, "network", "plan", "skip")
    skipped = await ims.ok("POST", path, {"note": "not today"})
    assert skipped["left_out"] == ["network", "service"]
    assert await agent.work(usual) == [("service", "sync")]
    ended = await shop.look(deploy)
    assert (ended["status"], ended["left_out"]) == ("succeeded", ["network", "service"])
    why = next(step["failure"]["message"] for step in ended["steps"] if step["kind"] == "apply")
    assert why.startswith("not run: left out by token:")
    assert (await ims.events("step.skip_requested"))[0]["after"]["note"] == "not today"
    assert (await ims.ok("GET", "/v1/installs/acme"))["components"] == []
    assert len(await shop.deploy("acme")) == 6


async def test_a_skipped_update_leaves_what_is_there_and_is_not_taken_for_deployed(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme", approval="vendor")
    await ims.ok("PUT", "/v1/installs/acme", {})
    await shop.deploy("acme")
    await ims.ok("PUT", "/v1/installs/acme", {"inputs": {"domain": "new.example"}, "approval": "vendor"})
    deploy = await shop.begin()
    await agent.work(usual)
    await ims.ok("POST", await ask(shop, deploy, "network", "approve", "skip"), {})
    assert (await shop.look(deploy))["status"] == "succeeded"
    assert {one["status"] for one in (await ims.ok("GET", "/v1/installs/acme"))["components"]} == {"deployed"}
    again = await shop.begin()
    assert ("network", "plan") in await shop.steps(again)


async def test_what_runs_or_has_ended_is_not_skipped(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    deploy = await shop.begin()
    lease = await agent.take("sync", "network")
    problem = await ims.refused(409, "POST", await ask(shop, deploy, "network", "apply", "skip"), {})
    assert "its sync is running" in problem["detail"]
    await agent.succeed(lease, usual(lease["payload"]))
    await agent.work(usual)
    assert "has ended" in (await ims.refused(409, "POST", await ask(shop, deploy, "network", "apply", "skip"), {}))["detail"]


async def test_an_install_is_rolled_back_one_release_after_the_other(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    await ims.refused(409, "POST", "/v1/installs/acme/rollback", {})
    await shop.deploy("acme")
    await ims.refused(409, "POST", "/v1/installs/acme/rollback", {})
    releases = [shop.release]
    for number in (2, 3):
        await shop.change("network", module({"domain": "{{ inputs.domain }}"}, digest=f"n{number}"))
        releases.append(await shop.new_release())
        await shop.deploy("acme", releases[-1])
    for number in (2, 1):
        back = await ims.ok("POST", "/v1/installs/acme/rollback", {})
        assert (back["kind"], back["release_number"]) == ("deploy", number)
        assert back["rollback_of"]
        await agent.work(usual)
    assert {one["release_number"] for one in (await ims.ok("GET", "/v1/installs/acme"))["components"]} == {1}
    forth = await ims.ok("POST", "/v1/installs/acme/rollback", {"release_id": releases[2]["id"]})
    assert forth["release_number"] == 3


async def test_a_rollback_goes_past_releases_that_never_went_well(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    await shop.deploy("acme")
    for number in (2, 3):
        await shop.change("network", module({"domain": "{{ inputs.domain }}"}, digest=f"n{number}"))
        deploy = await shop.begin("acme", await shop.new_release())
        await agent.fail(await work_until(agent, "network", "apply"), "apply_failed")
        await agent.work(usual)
        assert (await shop.look(deploy))["status"] == "failed"
    assert (await ims.ok("POST", "/v1/installs/acme/rollback", {}))["release_number"] == 1
