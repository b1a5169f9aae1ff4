"""What many calls of agents and people do to each other that share one commit, and calls of sessions that have ended."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import httpx
import pytest
from held_writer import HeldWriter
from ims_driver import Agent, Body, Ims
from shop import PLAN_DIGEST, SYNCED, Shop, usual

pytestmark = pytest.mark.anyio


async def in_one_commit(ims: Ims, *calls: Coroutine[Any, Any, httpx.Response]) -> list[httpx.Response]:
    """The answers to calls that the writer finds in its queue in this order."""
    async with HeldWriter(ims.state.db) as writer:
        tasks = []
        for count, call in enumerate(calls, 1):
            tasks.append(asyncio.create_task(call))
            await writer.queued(count)
    return await asyncio.gather(*tasks)


def ask(ims: Ims, agent: Agent, **body: Any) -> Coroutine[Any, Any, httpx.Response]:
    return ims.send("POST", "/v1/agent/lease", {"wait_seconds": 0, **body}, token=agent.token)


async def actions_of(ims: Ims, object_id: str) -> list[str]:
    return [event["action"] for event in (await ims.ok("GET", "/v1/events", params={"object_id": object_id}))["items"]]


@pytest.mark.parametrize("how", ["revoked", "superseded"])
async def test_a_session_that_has_ended_resumes_nothing(ims: Ims, shop: Shop, how: str) -> None:
    agent = await shop.install("acme")
    await shop.begin()
    lease = await agent.take("sync")
    assert (await agent.heartbeat(lease)).status_code == 200  # its session is remembered
    old = agent.token
    if how == "revoked":
        await ims.ok("DELETE", f"/v1/agents/{agent.id}")
    else:
        await agent.sign_in()
    held = {"job_id": lease["job_id"], "attempt": lease["attempt"]}
    for _ in range(2):
        await ims.refused(401, "POST", "/v1/agent/lease", {"wait_seconds": 0, "resume": held}, token=old)
    assert await ims.events("job.resumed") == []


async def test_a_session_that_has_ended_says_nothing_of_its_machine(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    await shop.begin()
    lease = await agent.take("sync")
    assert (await agent.heartbeat(lease)).status_code == 200
    await ims.ok("DELETE", f"/v1/agents/{agent.id}")
    body = {"attempt": 1, "health": {"version": "6.6.6", "uptime_seconds": 1, "jobs": 0}}
    await ims.refused(401, "POST", f"/v1/agent/jobs/{lease['job_id']}/heartbeat", body, token=agent.token)
    assert (await ims.ok("GET", f"/v1/agents/{agent.id}"))["version"] == "0.1.0"


async def test_a_session_that_has_ended_is_refused_without_a_write_from_then_on(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    await agent.lease()
    await ims.ok("DELETE", f"/v1/agents/{agent.id}")
    assert (await ask(ims, agent)).status_code == 401
    async with HeldWriter(ims.state.db):
        assert (await asyncio.wait_for(ask(ims, agent), 40)).status_code == 401


async def test_an_agent_that_asks_twice_in_one_commit_has_the_job_from_its_last_answer(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    await shop.begin()
    first, last = await in_one_commit(ims, ask(ims, agent, holding=[]), ask(ims, agent, holding=[]))
    assert first.json()["job_id"] == last.json()["job_id"]
    assert (first.json()["attempt"], last.json()["attempt"]) == (1, 2)
    assert (await agent.heartbeat(first.json())).status_code == 409
    assert (await agent.heartbeat(last.json())).status_code == 200
    assert (await actions_of(ims, last.json()["job_id"]))[:3] == ["job.leased", "job.requeued", "job.leased"]


async def test_a_lost_lease_is_taken_back_once_though_two_polls_lack_it(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    await shop.begin()
    lost = await agent.take("sync")
    held = {"job_id": lost["job_id"], "attempt": 2}
    again, other = await in_one_commit(ims, ask(ims, agent, holding=[]), ask(ims, agent, holding=[held]))
    assert (again.json()["job_id"], again.json()["attempt"]) == (lost["job_id"], 2)
    assert other.status_code == 204 or other.json()["job_id"] != lost["job_id"]
    assert (await agent.heartbeat(again.json())).status_code == 200


async def leases_of(shop: Shop, count: int) -> list[tuple[Agent, Body]]:
    """So many installs, each with a deploy whose agent has its first job."""
    found = []
    for number in range(count):
        agent = await shop.install(f"i{number}")
        await shop.begin(f"i{number}")
        found.append((agent, await agent.take("sync")))
    return found


async def test_reports_that_are_refused_take_nothing_from_the_good_ones_of_their_commit(ims: Ims, shop: Shop) -> None:
    leases = await leases_of(shop, 4)
    (a, a1), (b, b1), (c, c1), (d, d1) = leases
    answers = await in_one_commit(
        ims,
        a.report(a1, "succeeded", result=SYNCED),
        b.report(a1, "succeeded", result=SYNCED),  # another agent's job
        b.report(b1, "succeeded", result=SYNCED),
        a.report(a1, "succeeded", result=SYNCED),  # the same again
        c.report({**c1, "attempt": 7}, "succeeded", result=SYNCED),  # no attempt of it
        d.report(d1, "succeeded"),  # without its result
        c.report(c1, "succeeded", result=SYNCED),
    )
    assert [answer.status_code for answer in answers] == [204, 409, 204, 204, 409, 422, 204]
    for _, lease in leases[:3]:
        assert (await actions_of(ims, lease["job_id"])).count("job.succeeded") == 1
        assert (await ims.ok("GET", f"/v1/jobs/{lease['job_id']}"))["state"] == "succeeded"
    assert (await ims.ok("GET", f"/v1/jobs/{d1['job_id']}"))["state"] == "leased"
    assert len(await ims.events("job.stale_report")) == 2
    assert len(await ims.events("step.succeeded")) == 3
    assert await ims.chain_is_whole()
    assert (await d.report(d1, "succeeded", result=SYNCED)).status_code == 204
    for agent, _ in leases:
        await agent.work(usual)
    deploys = (await ims.ok("GET", "/v1/deploys"))["items"]
    assert [deploy["status"] for deploy in deploys] == ["succeeded"] * 4
    assert await ims.chain_is_whole()


async def test_leases_and_tickets_are_not_doubled_when_one_of_a_commit_is_refused(ims: Ims, shop: Shop) -> None:
    agents = [await shop.install(f"i{number}") for number in range(4)]
    for number in range(4):
        await shop.begin(f"i{number}")
    for agent in agents:
        assert (
            await ims.send("POST", "/v1/agent/jobs/job_none/heartbeat", {"attempt": 1}, token=agent.token)
        ).status_code == 404
    await ims.ok("DELETE", f"/v1/agents/{agents[1].id}")
    tickets = len(await ims.events("ticket.issued"))
    leased = len(await ims.events("job.leased"))
    answers = await in_one_commit(ims, *(ask(ims, agent) for agent in agents))
    assert [answer.status_code for answer in answers] == [200, 401, 200, 200]
    assert len(await ims.events("ticket.issued")) == tickets + 3
    assert len(await ims.events("job.leased")) == leased + 3
    assert await ims.chain_is_whole()


@pytest.mark.parametrize("first", ["cancel", "report"])
async def test_a_cancel_and_a_report_in_one_commit_end_the_deploy_once(ims: Ims, shop: Shop, first: str) -> None:
    agent = await shop.install("acme")
    deploy = await shop.begin()
    lease = await agent.take("sync")
    cancel = ims.send("POST", f"/v1/deploys/{deploy['id']}/cancel")
    report = agent.report(lease, "succeeded", result=SYNCED)
    answers = await in_one_commit(ims, *((cancel, report) if first == "cancel" else (report, cancel)))
    assert {answer.status_code for answer in answers} <= {200, 204}
    await agent.work(usual)
    ended = await shop.look(deploy)
    assert ended["status"] == "cancelled"
    assert len(await ims.events("deploy.cancelled")) == 1
    assert len([one for one in await ims.events("step.succeeded") if one["after"]["deploy"] == deploy["id"]]) == 1
    assert {step["kind"] for step in ended["steps"] if step["status"] == "succeeded"} == {"sync"}
    assert await ims.chain_is_whole()


async def test_an_answer_to_a_step_that_can_not_be_is_refused_alone(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme", approval="customer")
    deploy = await shop.begin()
    await agent.work(usual)
    path = f"/v1/deploys/{deploy['id']}/steps/%00/approve"
    answers = await in_one_commit(
        ims,
        ims.send("POST", "/v1/apps", {"name": "one"}),
        ims.send("POST", path, {"plan_digest": PLAN_DIGEST}),
        ims.send("POST", "/v1/apps", {"name": "two"}),
    )
    assert [answer.status_code for answer in answers][::2] == [201, 201]
    assert answers[1].status_code in (404, 422)
