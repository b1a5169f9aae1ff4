"""Revoking an agent: it takes effect at the agent's next call."""

import asyncio

import pytest
from ims_driver import Ims
from shop import SYNCED, Shop

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
