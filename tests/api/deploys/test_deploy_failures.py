"""Deploys that don't end well: what is left, and how the next one heals it."""

import pytest
from ims_driver import INTERVALS, Agent, Body, Ims
from shop import SYNCED, Shop, applied, module, planned, usual

pytestmark = pytest.mark.anyio


async def work_until(agent: Agent, kind: str, component: str) -> Body:
    """Do the jobs that come before one of this kind, and lease that one."""
    while True:
        lease = await agent.lease()
        assert lease, f"no {kind} of {component} came"
        payload = lease["payload"]
        if (payload["kind"], payload["component"]) == (kind, component):
            return lease
        await agent.succeed(lease, usual(payload))


async def component(ims: Ims, name: str) -> Body:
    install = await ims.ok("GET", "/v1/installs/acme")
    return next(one for one in install["components"] if one["name"] == name)


async def test_a_failure_cancels_what_depends_on_it_and_says_why(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    deploy = await shop.begin()
    await agent.fail(await work_until(agent, "plan", "network"), "plan_failed")
    assert await agent.lease() is None
    ended = await shop.look(deploy)
    assert (ended["status"], ended["failure"]["code"]) == ("failed", "plan_failed")
    assert await shop.steps(deploy) == {
        ("network", "sync"): "succeeded",
        ("network", "plan"): "failed",
        ("network", "apply"): "cancelled",
        ("service", "sync"): "succeeded",
        ("service", "plan"): "cancelled",
        ("service", "apply"): "cancelled",
    }
    held_up = next(step for step in ended["steps"] if (step["component"], step["kind"]) == ("service", "plan"))
    assert held_up["failure"] == {
        "code": "dependency_failed",
        "message": "not run, because network did not end well",
        "remedy": "",
        "field": None,
        "retryable": False,
    }
    assert (await ims.ok("GET", "/v1/installs/acme"))["components"] == []


async def test_the_next_deploy_heals_a_failed_apply(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    await shop.begin()
    await agent.fail(await work_until(agent, "apply", "service"), "apply_failed")
    assert ((await component(ims, "network"))["status"], (await component(ims, "service"))["status"]) == ("deployed", "failed")
    assert await shop.deploy("acme") == [("service", kind) for kind in ("sync", "plan", "apply")]
    assert (await component(ims, "service"))["status"] == "deployed"


async def test_a_user_that_could_not_take_a_new_output_is_planned_again_by_the_next_deploy(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    await shop.deploy("acme")
    await ims.ok("PUT", "/v1/installs/acme", {"inputs": {"domain": "new.example"}})
    await shop.begin()
    apply = await work_until(agent, "apply", "network")
    await agent.succeed(apply, applied({"id": "network-2"}))
    await agent.fail(await agent.take("plan", "service"), "plan_failed")

    assert await shop.deploy("acme") == [("service", kind) for kind in ("sync", "plan", "apply")]


async def test_a_release_is_not_shown_on_a_component_that_it_did_not_reach(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    await shop.deploy("acme")
    await shop.change("service", module({"network_id": "{{ components.network.outputs.id }}"}, digest="2"))
    await shop.begin("acme", await shop.new_release())
    await agent.fail(await work_until(agent, "plan", "service"))
    assert ((await component(ims, "network"))["release_number"], (await component(ims, "service"))["release_number"]) == (2, 1)


async def test_an_interrupted_apply_is_planned_anew_twice_and_then_fails(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    deploy = await shop.begin()
    plans = []
    for _ in range(3):
        lease = await work_until(agent, "apply", "network")
        plans.append(lease["payload"]["plan_job_id"])
        await agent.fail(lease, "apply_interrupted", retryable=True)
    ended = await shop.look(deploy)
    assert (ended["status"], ended["failure"]["code"]) == ("failed", "apply_interrupted")
    assert len(set(plans)) == 3
    assert len(await ims.events("step.replanned")) == 2


async def test_an_interrupted_apply_that_had_done_it_all_is_applied_for_its_outputs(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    deploy = await shop.begin()
    await agent.fail(await work_until(agent, "apply", "network"), "apply_interrupted", retryable=True)
    await agent.succeed(await agent.take("plan", "network"), planned(add=0))
    await agent.succeed(await agent.take("apply", "network"), applied({"id": "n-1"}))
    await agent.work(usual)
    ended = await shop.look(deploy)
    assert (ended["status"], ended["outputs"]["network"]) == ("succeeded", {"id": "n-1"})


async def test_after_an_apply_whose_agent_was_lost_outputs_and_users_are_brought_up_to_date(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    await shop.deploy("acme")
    await ims.ok("PUT", "/v1/installs/acme", {"inputs": {"domain": "new.example"}})
    await shop.begin()
    await work_until(agent, "apply", "network")
    await ims.pass_time(INTERVALS.lease + 1)
    await ims.pass_time(INTERVALS.unknown_before_failure)
    assert (await component(ims, "network"))["status"] == "failed"

    await agent.sign_in()
    await shop.begin()

    def result_of(payload: Body) -> Body:
        match payload["kind"], payload["component"]:
            case "plan", "network":
                return planned(add=0)
            case "apply", "network":
                return applied({"id": "network-2"}, changed=False)
            case _:
                return usual(payload)

    done = await agent.work(result_of)
    assert sorted(done) == sorted((name, kind) for name in ("network", "service") for kind in ("sync", "plan", "apply"))
    assert (await component(ims, "network"))["outputs"] == {"id": "network-2"}


async def test_a_cancel_ends_queued_jobs_at_once(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")
    deploy = await shop.begin()
    cancelled = await ims.ok("POST", f"/v1/deploys/{deploy['id']}/cancel")
    assert cancelled["status"] == "cancelled"
    assert {step["status"] for step in cancelled["steps"]} == {"cancelled"}
    assert await shop.agents["acme"].lease() is None
    await shop.begin()


async def test_a_running_job_hears_of_the_cancel_with_its_heartbeat(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    deploy = await shop.begin()
    lease = await work_until(agent, "apply", "network")
    cancelling = await ims.ok("POST", f"/v1/deploys/{deploy['id']}/cancel")
    assert cancelling["status"] == "cancelling"
    assert (await ims.ok("POST", f"/v1/deploys/{deploy['id']}/cancel"))["status"] == "cancelling"
    assert (await agent.heartbeat(lease)).json()["cancel"] == "graceful"
    assert (await agent.report(lease, "cancelled")).status_code == 204
    assert (await shop.look(deploy))["status"] == "cancelled"
    assert (await component(ims, "network"))["status"] == "failed"
    assert len(await ims.events("deploy.cancel_requested")) == 1


async def test_a_cancelled_deploy_keeps_what_was_applied_in_time(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    deploy = await shop.begin()
    lease = await work_until(agent, "apply", "network")
    await ims.ok("POST", f"/v1/deploys/{deploy['id']}/cancel")
    await agent.succeed(lease, applied({"id": "n-1"}))
    assert (await shop.look(deploy))["status"] == "cancelled"
    assert (await component(ims, "network"))["status"] == "deployed"


async def test_a_failure_under_cancel_is_not_tried_again(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    deploy = await shop.begin()
    leases = [await agent.take("sync", "network"), await agent.take("sync", "service")]
    await ims.ok("POST", f"/v1/deploys/{deploy['id']}/cancel")
    await agent.fail(leases[0], retryable=True)
    await agent.succeed(leases[1], SYNCED)
    assert (await shop.look(deploy))["status"] == "failed"


async def test_a_cancelled_job_whose_agent_is_lost_ends_too(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    deploy = await shop.begin()
    await agent.take("sync", "network")
    await ims.ok("POST", f"/v1/deploys/{deploy['id']}/cancel")
    await ims.pass_time(INTERVALS.lease + 1)
    await ims.pass_time(INTERVALS.unknown_before_requeue + 1)
    assert (await shop.look(deploy))["status"] == "cancelled"


async def test_a_failed_teardown_can_be_tried_again(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    await shop.deploy("acme")
    await ims.ok("POST", "/v1/deploys", {"install_id": "acme", "kind": "teardown"})
    await agent.fail(await work_until(agent, "destroy", "service"), "destroy_failed")
    assert (await component(ims, "service"))["status"] == "failed"
    assert (await component(ims, "network"))["status"] == "deployed"
    again = await ims.ok("POST", "/v1/deploys", {"install_id": "acme", "kind": "teardown"})
    await agent.work(usual)
    assert (await shop.look(again))["status"] == "succeeded"


async def test_a_component_that_was_never_applied_is_torn_down_too(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    deploy = await shop.begin()
    lease = await work_until(agent, "apply", "network")
    await agent.fail(lease, "apply_failed")
    assert (await shop.look(deploy))["status"] == "failed"
    await ims.ok("POST", "/v1/deploys", {"install_id": "acme", "kind": "teardown"})
    assert await agent.work(usual) == [("network", "plan_destroy"), ("network", "destroy")]


# An agent that was given up comes back with its report: what it did counts, and nothing is done twice.


async def given_up(ims: Ims, agent: Agent, component: str = "network") -> Body:
    """The lease of an apply whose agent was away for too long. The agent is back, and signed in."""
    lease = await work_until(agent, "apply", component)
    await ims.pass_time(INTERVALS.lease + 1)
    await ims.pass_time(INTERVALS.unknown_before_failure)
    await agent.sign_in()
    return lease


async def test_a_report_after_more_than_an_hour_is_taken(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    deploy = await shop.begin()
    lease = await given_up(ims, agent)
    assert (await shop.look(deploy))["failure"]["code"] == "agent_lost"
    assert (await agent.heartbeat(lease)).json()["cancel"] == "none", "what it has begun it may as well end"
    assert (await agent.log(lease, "and it is done\n")).status_code == 204

    for _ in range(2):  # the same report again changes nothing
        assert (await agent.report(lease, "succeeded", result=applied({"id": "n-1"}))).status_code == 204
    ended = await shop.look(deploy)
    assert ended["status"] == "failed", "what has ended stays what it is"
    assert "has reported since that it succeeded" in ended["failure"]["message"]
    assert (await shop.steps(deploy))["network", "apply"] == "succeeded"
    found = await component(ims, "network")
    assert (found["status"], found["outputs"]) == ("deployed", {"id": "n-1"})
    assert len(await ims.events("job.reported_late")) == 1
    assert await agent.lease() is None, "nothing is offered anew"
    assert await shop.deploy("acme") == [("service", "sync"), ("service", "plan"), ("service", "apply")]


async def test_nobody_waits_for_the_report_of_a_revoked_agent(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    deploy = await shop.begin()
    await work_until(agent, "apply", "network")
    await ims.ok("DELETE", f"/v1/agents/{agent.id}")
    await ims.pass_time(INTERVALS.lease + 1)
    (waiting,) = [step["waiting_for"] for step in (await shop.look(deploy))["steps"] if step["status"] == "unknown"]
    assert "is revoked and can't report any more" in waiting
    await ims.pass_time(INTERVALS.unknown_before_requeue + 1)
    ended = await shop.look(deploy)
    assert (ended["status"], ended["failure"]["code"]) == ("failed", "agent_lost")


async def test_a_late_report_of_a_failure_says_why(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    deploy = await shop.begin()
    lease = await given_up(ims, agent)
    await agent.fail(lease, "apply_failed")
    (step,) = [one for one in (await shop.look(deploy))["steps"] if (one["component"], one["kind"]) == ("network", "apply")]
    assert (step["status"], step["failure"]["code"]) == ("failed", "apply_failed")
    assert (await component(ims, "network"))["status"] == "failed"


async def test_a_late_report_changes_nothing_that_a_later_deploy_has_done(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    await shop.begin()
    lease = await given_up(ims, agent)
    await shop.deploy("acme")
    assert (await agent.report(lease, "succeeded", result=applied({"id": "older"}))).status_code == 204
    assert (await component(ims, "network"))["outputs"] == {"id": "network-1"}


async def test_a_retry_that_has_begun_is_not_disturbed_by_a_late_report(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    deploy = await shop.begin()
    lease = await given_up(ims, agent)
    again = await ims.ok("POST", f"/v1/deploys/{deploy['id']}/retry")
    syncing = await agent.take("sync", "network")
    assert (await agent.report(lease, "succeeded", result=applied({"id": "n-1"}))).status_code == 204
    assert (await shop.look(again))["status"] == "running"
    await agent.succeed(syncing, SYNCED)
    assert await agent.work(usual) == [
        ("service", "sync"), ("network", "plan"), ("network", "apply"), ("service", "plan"), ("service", "apply")
    ]  # fmt: skip
    assert (await component(ims, "network"))["outputs"] == {"id": "network-1"}


async def test_another_agents_late_report_is_refused(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    await shop.begin()
    lease = await given_up(ims, agent)
    other = await shop.install("other")
    refused = await other.report(lease, "succeeded", result=applied({"id": "n-1"}))
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:exclave:problem:stale_attempt")
