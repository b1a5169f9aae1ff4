"""Revoking an agent: it takes effect at the agent's next call."""

import asyncio

import pytest
from ims_driver import Agent, Ims
from shop import SYNCED, Shop, usual

pytestmark = pytest.mark.anyio

REVOKED = "urn:exclave:problem:agent_revoked"


async def test_the_next_heartbeat_of_a_revoked_agent_is_refused(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    await shop.begin()
    lease = await agent.take("sync")
    assert (await agent.heartbeat(lease)).status_code == 200
    await ims.ok("DELETE", f"/v1/agents/{agent.id}")
    assert (await agent.heartbeat(lease)).status_code == 401
    assert (await agent.report(lease, "succeeded", result=SYNCED)).status_code == 401
    assert (await agent.log(lease, "late")).status_code == 401
    assert (await ims.refused(401, "POST", "/v1/agent/session", agent.signed(), token=None))["type"] == REVOKED


async def test_a_revoked_agent_that_waits_for_a_job_hears_of_it_at_once(ims: Ims, shop: Shop) -> None:
    waiting = asyncio.create_task(ims.send("POST", "/v1/agent/lease", {"wait_seconds": 50}, token=shop.builder.token))
    await ims.doorbell.somebody_listens("jobs:build:")
    await ims.ok("DELETE", f"/v1/agents/{shop.builder.id}")
    assert (await asyncio.wait_for(waiting, 60)).status_code == 401


async def test_an_agent_ends_itself_only_when_nothing_of_it_is_under_way(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    await shop.begin()
    lease = await agent.take("sync")
    problem = await ims.refused(409, "POST", "/v1/agent/disconnect", token=agent.token)
    assert lease["job_id"] in problem["detail"]
    await agent.succeed(lease, SYNCED)
    assert "still under way" in (await ims.refused(409, "POST", "/v1/agent/disconnect", token=agent.token))["detail"]
    await agent.work(usual)

    assert (await ims.send("POST", "/v1/agent/disconnect", token=agent.token)).status_code == 204
    assert (await ims.refused(401, "POST", "/v1/agent/session", agent.signed(), token=None))["type"] == REVOKED
    assert [event["object_id"] for event in await ims.events("agent.disconnected")] == [agent.id]
    found = await ims.ok("GET", "/v1/installs/acme")
    assert found["agent_id"] is None
    assert {one["status"] for one in found["components"]} == {"deployed"}, "what is deployed stays"
    await Agent.enrolled(ims, "acme")
