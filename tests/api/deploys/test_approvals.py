"""Plans that wait for a person: who may answer, to which plan, and until when."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from ims_driver import Agent, Body, Ims, running_ims
from shop import PLAN_DIGEST, Shop, planned, sha, usual

pytestmark = pytest.mark.anyio


async def waiting(shop: Shop, approval: str, **more: Any) -> tuple[Agent, Body]:
    """An install and a deploy of it that waits for the approval of `network`."""
    agent = await shop.install("acme", approval=approval, **more)
    deploy = await shop.begin()
    await agent.work(usual)
    return agent, deploy


async def approve_step(shop: Shop, deploy: Body, component: str = "network") -> Body:
    """The approval step of a component."""
    steps = (await shop.look(deploy))["steps"]
    return next(step for step in steps if (step["kind"], step["component"]) == ("approve", component))


def path_of(deploy: Body, step: Body, verb: str) -> str:
    return f"/v1/deploys/{deploy['id']}/steps/{step['id']}/{verb}"


async def answer(ims: Ims, deploy: Body, step: Body, verb: str = "approve", **more: Any) -> Body:
    return await ims.ok("POST", path_of(deploy, step, verb), {"plan_digest": PLAN_DIGEST, **more})


async def say(ims: Ims, agent: Agent, deploy: Body, step: Body, decision: str = "approved", digest: str = PLAN_DIGEST) -> int:
    """The agent's answer; its status."""
    path = f"/v1/agent/deploys/{deploy['id']}/steps/{step['id']}/approval"
    body = {"decision": decision, "plan_digest": digest}
    return (await ims.send("POST", path, body, token=agent.token)).status_code


async def test_a_plan_waits_for_the_vendor_and_says_so_in_words(ims: Ims, shop: Shop) -> None:
    agent, deploy = await waiting(shop, "vendor")
    step = await approve_step(shop, deploy)
    assert step["status"] == "waiting"
    assert step["waiting_for"] == "waiting for the vendor's approval since 2026-11-21 09:00:00Z; 1 to add"
    assert step["approval"] | {"requested_at": "", "expires_at": None} == {
        "approver": "vendor",
        "plan_digest": PLAN_DIGEST,
        "requested_at": "",
        "expires_at": None,
        "decision": None,
        "decided_by": None,
        "decided_at": None,
        "note": "",
    }
    assert await agent.lease() is None

    await answer(ims, deploy, step, note="looks right")
    step = await approve_step(shop, deploy)
    assert (step["status"], step["approval"]["decision"], step["approval"]["note"]) == ("succeeded", "approved", "looks right")
    assert step["approval"]["decided_by"].startswith("token:")
    (event,) = await ims.events("approval.approved")
    assert (event["actor"], event["after"]["plan_digest"]) == (step["approval"]["decided_by"], PLAN_DIGEST)
    lease = await agent.take("apply", "network")
    assert (lease["payload"]["approval"], lease["payload"]["plan_digest"]) == ("vendor", PLAN_DIGEST)
    await agent.succeed(lease, usual(lease["payload"]))
    await agent.work(usual)
    await answer(ims, deploy, await approve_step(shop, deploy, "service"))
    await agent.work(usual)
    assert (await shop.look(deploy))["status"] == "succeeded"


async def test_waiting_costs_nothing_and_outlives_a_restart(ims: Ims, shop: Shop, tmp_path: Path) -> None:
    agent, deploy = await waiting(shop, "vendor")
    before = (await shop.look(deploy))["version"]
    await ims.pass_time(400 * 24 * 3600)
    assert (await shop.look(deploy))["version"] == before
    shutil.copytree(ims.data, tmp_path / "as it was when the machine stopped")
    url = None if ims.state.settings.database == "sqlite" else ims.state.settings.database
    async with running_ims(tmp_path / "as it was when the machine stopped", ims.clock, ims.token, database_url=url) as again:
        step = next(one for one in (await again.ok("GET", f"/v1/deploys/{deploy['id']}"))["steps"] if one["approval"])
        await answer(again, deploy, step)
        after = Agent(again, agent.key, agent.id)
        await after.sign_in()
        await after.take("apply", "network")


async def test_a_rejected_plan_fails_its_step_and_what_needs_it_is_not_run(ims: Ims, shop: Shop) -> None:
    _, deploy = await waiting(shop, "vendor")
    await answer(ims, deploy, await approve_step(shop, deploy), "reject", note="too dear")
    ended = await shop.look(deploy)
    assert (ended["status"], ended["failure"]["code"]) == ("failed", "approval_rejected")
    assert "too dear" in ended["failure"]["message"]
    assert (await shop.steps(deploy))["network", "apply"] == "cancelled"
    assert [one["name"] for one in (await ims.ok("GET", "/v1/installs/acme"))["components"]] == []


async def test_an_answer_to_another_plan_is_refused(ims: Ims, shop: Shop) -> None:
    _, deploy = await waiting(shop, "vendor")
    step = await approve_step(shop, deploy)
    problem = await ims.refused(409, "POST", path_of(deploy, step, "approve"), {"plan_digest": sha("older")})
    assert "another one now" in problem["detail"]
    assert (await approve_step(shop, deploy))["status"] == "waiting"


async def test_a_new_plan_makes_an_earlier_approval_void(ims: Ims, shop: Shop) -> None:
    agent, deploy = await waiting(shop, "vendor")
    step = await approve_step(shop, deploy)
    await answer(ims, deploy, step)
    await agent.fail(await agent.take("apply", "network"), "apply_interrupted", retryable=True)
    await agent.succeed(await agent.take("plan", "network"), {**planned(add=7), "plan_digest": sha("newer")})
    asked = await approve_step(shop, deploy)
    assert (asked["status"], asked["approval"]["decision"]) == ("waiting", None)
    assert "7 to add" in asked["waiting_for"]
    assert await agent.lease() is None
    await ims.refused(409, "POST", path_of(deploy, step, "approve"), {"plan_digest": PLAN_DIGEST})
    await ims.ok("POST", path_of(deploy, step, "approve"), {"plan_digest": sha("newer")})
    await agent.take("apply", "network")


async def test_an_empty_plan_needs_no_approval(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme", approval="customer")
    deploy = await shop.begin()
    await agent.work(lambda payload: planned(add=0) if payload["kind"] == "plan" else usual(payload))
    steps = await shop.steps(deploy)
    assert steps["network", "approve"] == steps["service", "approve"] == "skipped"
    assert (await shop.look(deploy))["status"] == "succeeded"


async def test_where_the_customer_approves_the_vendor_cannot(ims: Ims, shop: Shop) -> None:
    agent, deploy = await waiting(shop, "customer")
    step = await approve_step(shop, deploy)
    assert "the customer's approval" in step["waiting_for"]
    problem = await ims.refused(403, "POST", path_of(deploy, step, "approve"), {"plan_digest": PLAN_DIGEST})
    assert problem["type"] == "urn:exclave:problem:not_the_approver"
    assert len(await ims.events("approval.refused")) == 1
    other = await shop.install("other", approval="customer")
    assert await say(ims, other, deploy, step) == 404
    assert await say(ims, shop.builder, deploy, step) == 404

    (pending,) = (await ims.ok("GET", "/v1/agent/approvals", token=agent.token))["items"]
    assert (pending["component"], pending["action"], pending["plan"]["add"]) == ("network", "apply", 1)
    assert await say(ims, agent, deploy, step, digest=sha("another")) == 409
    assert await say(ims, agent, deploy, step) == 204
    assert await say(ims, agent, deploy, step) == 204, "the same answer again is harmless"
    assert await say(ims, agent, deploy, step, "rejected") == 409
    assert (await approve_step(shop, deploy))["approval"]["decided_by"] == f"agent:{agent.id}"
    assert (await agent.take("apply", "network"))["payload"]["approval"] == "customer"


async def test_the_vendor_may_always_say_no_and_an_agent_has_no_say_where_the_vendor_approves(ims: Ims, shop: Shop) -> None:
    _, deploy = await waiting(shop, "customer")
    await answer(ims, deploy, await approve_step(shop, deploy), "reject")
    assert (await shop.look(deploy))["status"] == "failed"
    await ims.ok("PUT", "/v1/installs/acme", {"approval": "vendor"})
    deploy = await shop.begin()
    await shop.agents["acme"].work(usual)
    assert await say(ims, shop.agents["acme"], deploy, await approve_step(shop, deploy)) == 403


async def test_a_teardown_is_approved_too_and_who_approves_is_fixed_when_it_begins(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    await shop.deploy("acme")
    await ims.ok("PUT", "/v1/installs/acme", {"approval": "customer"})
    deploy = await ims.ok("POST", "/v1/deploys", {"install_id": "acme", "kind": "teardown"})
    await ims.ok("PUT", "/v1/installs/acme", {"approval": "auto"})
    await agent.work(usual)
    (pending,) = (await ims.ok("GET", "/v1/agent/approvals", token=agent.token))["items"]
    assert (pending["component"], pending["action"]) == ("service", "destroy")
    for component in ("service", "network"):
        assert await say(ims, agent, deploy, await approve_step(shop, deploy, component)) == 204
        await agent.work(usual)
    assert (await shop.look(deploy))["status"] == "succeeded"


async def test_an_approval_that_does_not_come_in_time_fails_the_step(ims: Ims, shop: Shop) -> None:
    _, deploy = await waiting(shop, "vendor", approval_timeout_hours=2)
    step = await approve_step(shop, deploy)
    assert step["approval"]["expires_at"] == "2026-11-21T11:00:00Z"
    await ims.pass_time(7199)
    assert (await shop.look(deploy))["status"] == "running"
    await ims.pass_time(2)
    ended = await shop.look(deploy)
    assert (ended["status"], ended["failure"]["code"]) == ("failed", "approval_expired")
    await ims.refused(409, "POST", path_of(deploy, step, "approve"), {"plan_digest": PLAN_DIGEST})


async def test_a_cancel_ends_a_deploy_that_waits_for_an_approval(ims: Ims, shop: Shop) -> None:
    _, deploy = await waiting(shop, "vendor", approval_timeout_hours=2)
    assert (await ims.ok("POST", f"/v1/deploys/{deploy['id']}/cancel"))["status"] == "cancelled"
    await ims.pass_time(3 * 3600)
    assert await ims.events("approval.expired") == []


async def test_only_a_step_that_asks_can_be_answered(ims: Ims, shop: Shop) -> None:
    _, deploy = await waiting(shop, "vendor")
    plan = next(step for step in (await shop.look(deploy))["steps"] if step["kind"] == "plan")
    await ims.refused(409, "POST", path_of(deploy, plan, "approve"), {"plan_digest": PLAN_DIGEST})
    await ims.refused(404, "POST", path_of(deploy, {"id": "stp_none"}, "approve"), {"plan_digest": PLAN_DIGEST})
    await ims.refused(
        409, "POST", path_of(deploy, await approve_step(shop, deploy, "service"), "approve"), {"plan_digest": PLAN_DIGEST}
    )


ASKS = ["rule 'no loss' (aws_db_instance.main)"]


def asking(payload: Body) -> Body:
    """The plan of `network` is one for which the customer's rules ask."""
    return planned(asks=ASKS) if (payload["kind"], payload["component"]) == ("plan", "network") else usual(payload)


@pytest.mark.parametrize("approval", ["auto", "vendor"])
async def test_a_rule_of_the_customers_asks_for_their_yes_whatever_the_installs_mode(
    ims: Ims, shop: Shop, approval: str
) -> None:
    agent = await shop.install("acme", approval=approval)
    deploy = await shop.begin()
    await agent.work(asking)
    if approval == "vendor":
        await answer(ims, deploy, await approve_step(shop, deploy))
    steps = (await shop.look(deploy))["steps"]
    assert [step["kind"] for step in steps if step["component"] == "network"] == [
        "sync", "plan", *["approve"] * (1 + (approval == "vendor")), "apply",
    ]  # fmt: skip
    (step,) = [one for one in steps if one["status"] == "waiting" and one["approval"]]
    assert step["approval"]["approver"] == "customer"
    assert "waiting for the customer's approval" in step["waiting_for"]
    assert "the customer's policy asks for it: rule 'no loss' (aws_db_instance.main)" in step["waiting_for"]
    assert await agent.lease() is None
    problem = await ims.refused(403, "POST", path_of(deploy, step, "approve"), {"plan_digest": PLAN_DIGEST})
    assert "exclave agent approve" in problem["remedy"]

    (pending,) = (await ims.ok("GET", "/v1/agent/approvals", token=agent.token))["items"]
    assert (pending["step_id"], pending["plan"]["asks"]) == (step["id"], ASKS)
    assert await say(ims, agent, deploy, step) == 204
    assert ("network", "apply") in await agent.work(usual)
    if approval == "vendor":
        service = await approve_step(shop, deploy, "service")
        assert await say(ims, agent, deploy, service) == 403, "what no rule asks for waits for the vendor alone"
        await answer(ims, deploy, service)
        await agent.work(usual)
    assert (await shop.look(deploy))["status"] == "succeeded"


async def test_a_new_plan_for_which_no_rule_asks_waits_for_nobody(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    deploy = await shop.begin()
    await agent.work(asking)
    step = await approve_step(shop, deploy)
    assert await say(ims, agent, deploy, step) == 204
    await agent.fail(await agent.take("apply", "network"), "apply_interrupted", retryable=True)
    await agent.work(usual)
    assert (await approve_step(shop, deploy))["status"] == "skipped"
    assert (await shop.look(deploy))["status"] == "succeeded"


async def test_a_destroy_waits_for_the_customer_too_and_their_no_ends_it(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    await shop.deploy("acme")
    deploy = await ims.ok("POST", "/v1/deploys", {"install_id": "acme", "kind": "teardown"})
    await agent.work(lambda payload: planned(add=0, destroy=1, asks=ASKS))
    assert await say(ims, agent, deploy, await approve_step(shop, deploy, "service"), "rejected") == 204
    ended = await shop.look(deploy)
    assert (ended["status"], ended["failure"]["code"]) == ("failed", "approval_rejected")
    assert [one["name"] for one in (await ims.ok("GET", "/v1/installs/acme"))["components"]] == ["network", "service"]
