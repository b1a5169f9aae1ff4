"""A lease whose answer never reached the agent: found at its next poll, because the agent says what it holds."""

import pytest
from ims_driver import Agent, Body, Ims
from shop import Shop, usual

pytestmark = pytest.mark.anyio


async def poll(ims: Ims, agent: Agent, *holding: Body) -> Body | None:
    """A poll that names the leases that the agent has."""
    held = [{"job_id": lease["job_id"], "attempt": lease["attempt"]} for lease in holding]
    answer = await ims.send("POST", "/v1/agent/lease", {"wait_seconds": 0, "holding": held}, token=agent.token)
    return answer.json() if answer.status_code == 200 else None


async def test_a_lease_that_was_never_received_is_given_again_at_once(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    await shop.begin("acme")
    lost = await agent.take("sync", "network")
    again = await poll(ims, agent)
    assert again
    assert (again["job_id"], again["attempt"]) == (lost["job_id"], lost["attempt"] + 1)
    assert [event["object_id"] for event in await ims.events("job.requeued")] == [lost["job_id"]]


async def test_an_apply_that_was_never_received_is_given_again_too(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    await shop.begin("acme")
    while (lease := await agent.lease()) and lease["payload"]["kind"] != "apply":
        await agent.succeed(lease, usual(lease["payload"]))
    assert lease
    again = await poll(ims, agent)
    assert again
    assert (again["payload"]["kind"], again["attempt"]) == ("apply", 2)


async def test_what_the_agent_names_stays_with_it(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    await shop.begin("acme")
    first = await agent.take("sync", "network")
    second = await poll(ims, agent, first)
    assert second
    assert second["job_id"] != first["job_id"]
    assert await poll(ims, agent, first, second) is None
    assert await ims.events("job.requeued") == []


async def test_a_deploy_keeps_the_inputs_that_it_was_made_with(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme", inputs={"domain": "before.example"}, sensitive_inputs={"password": "before"})
    await shop.begin("acme")
    changed = {"inputs": {"domain": "after.example"}, "sensitive_inputs": {"password": "after"}}
    await ims.ok("PUT", "/v1/installs/acme", changed)
    while (lease := await agent.lease()) and lease["payload"]["kind"] == "sync":
        await agent.succeed(lease, usual(lease["payload"]))
    assert lease
    assert lease["payload"]["inputs"]["domain"] == "before.example"
    assert lease["payload"]["sensitive_inputs"] == {"password": "before"}
