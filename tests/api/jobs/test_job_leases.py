"""Leases and their fence (`fencing`): what happens when agents come late, go away, or are told to stop."""

from pathlib import Path
from typing import Any

import pytest
from ims_driver import INTERVALS, Agent, Body, Ims, running_ims
from shop import PLAN_DIGEST, SYNCED, Shop, applied, usual

pytestmark = pytest.mark.anyio

LEASE = INTERVALS.lease


async def job(ims: Ims, lease: Body) -> Body:
    return await ims.ok("GET", f"/v1/jobs/{lease['job_id']}")


async def at_apply(shop: Shop, **install: Any) -> tuple[Agent, Body, Body]:
    """A deploy of which the agent has just leased the first apply; the agent, the deploy and the lease."""
    agent = await shop.install("acme", **install)
    deploy = await shop.begin("acme")
    for _ in range(3):
        lease = await agent.lease()
        assert lease
        await agent.succeed(lease, usual(lease["payload"]))
    return agent, deploy, await agent.take("apply", "network")


async def test_a_lease_says_for_how_long_and_how_often(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    await shop.begin("acme")
    lease = await agent.take("sync")
    assert (lease["attempt"], lease["resumed"], lease["lease_seconds"], lease["heartbeat_seconds"]) == (1, False, 120, 15)


async def test_an_apply_is_told_the_plan_and_the_inputs(ims: Ims, shop: Shop) -> None:
    inputs = {"inputs": {"domain": "acme.example"}, "sensitive_inputs": {"password": "hush"}}
    _, _, lease = await at_apply(shop, **inputs)
    payload = lease["payload"]
    assert {name: payload[name] for name in inputs} == inputs
    assert payload["digests"] == {build["component"]: build["digest"] for build in shop.release["builds"]}
    plan = await ims.ok("GET", f"/v1/jobs/{payload['plan_job_id']}")
    assert (plan["kind"], plan["state"]) == ("plan", "succeeded")


async def test_jobs_go_to_the_agent_of_their_install_alone(ims: Ims, shop: Shop) -> None:
    acme, umbrella = await shop.install("acme"), await shop.install("umbrella")
    await shop.begin("acme")
    assert await umbrella.lease() is None
    assert await shop.builder.lease() is None
    lease = await acme.take("sync")
    for answer in (await umbrella.heartbeat(lease), await umbrella.report(lease, "succeeded", result=SYNCED)):
        assert answer.status_code == 409


async def test_two_installs_are_deployed_at_once(ims: Ims, shop: Shop) -> None:
    names = ("acme", "umbrella")
    agents = {name: await shop.install(name, inputs={"domain": f"{name}.example"}) for name in names}
    deploys = {name: await shop.begin(name) for name in names}
    busy = True
    while busy:
        busy = False
        for name in names:
            lease = await agents[name].lease()
            if lease:
                busy = True
                payload = lease["payload"]
                assert payload.get("install_name", name) == name
                if payload["kind"] == "apply":
                    await agents[name].succeed(lease, applied({"id": payload["inputs"]["domain"]}))
                else:
                    await agents[name].succeed(lease, usual(payload))
    for name in names:
        ended = await shop.look(deploys[name])
        assert (ended["status"], ended["outputs"]["network"]) == ("succeeded", {"id": f"{name}.example"})


async def test_a_lease_that_expires_is_unknown_until_a_heartbeat_takes_it_up_again(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    deploy = await shop.begin("acme")
    lease = await agent.take("sync", "network")
    await ims.pass_time(LEASE + 1)
    assert (await job(ims, lease))["state"] == "unknown"
    assert (await shop.steps(deploy))["network", "sync"] == "unknown"
    assert len(await ims.events("job.lost_contact")) == 1

    assert (await agent.heartbeat(lease)).json()["cancel"] == "none"
    assert (await job(ims, lease))["state"] == "leased"
    assert len(await ims.events("job.reattached")) == 1
    await agent.succeed(lease, SYNCED)


async def test_heartbeats_keep_a_lease_alive(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    await shop.begin("acme")
    lease = await agent.take("sync", "network")
    for _ in range(5):
        await ims.pass_time(LEASE - 1)
        assert (await agent.heartbeat(lease)).status_code == 200
    assert await ims.events("job.lost_contact") == []


async def test_a_result_that_comes_while_contact_is_lost_is_taken(ims: Ims, shop: Shop) -> None:
    agent, _, lease = await at_apply(shop)
    await ims.pass_time(LEASE + 1)
    await agent.succeed(lease, applied({"id": "n-1"}))
    assert (await job(ims, lease))["state"] == "succeeded"


async def test_a_job_whose_agent_is_lost_is_offered_again_under_a_later_attempt(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    await shop.begin("acme")
    lease = await agent.take("sync", "network")
    await ims.pass_time(LEASE + 1)
    await ims.pass_time(31)
    again = await agent.take("sync", "network")
    assert (again["job_id"], again["attempt"]) == (lease["job_id"], 2)


async def test_a_late_report_from_an_old_lease_is_refused_and_recorded(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    await shop.begin("acme")
    lease = await agent.take("sync", "network")
    await ims.pass_time(LEASE + 31)
    await ims.sweep()
    again = await agent.take("sync", "network")
    answers = [
        await agent.heartbeat(lease),
        await agent.report(lease, "succeeded", result=SYNCED),
        await agent.report(lease, "failed", failure={"code": "x", "message": "late"}),
    ]
    for answer in answers:
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:exclave:problem:stale_attempt")
    events = await ims.events("job.stale_report", object_id=lease["job_id"])
    assert [event["after"] for event in events] == [{"attempt": 1, "current": 2, "agent": agent.id}] * 3
    assert await ims.chain_is_whole()
    assert (await job(ims, lease))["state"] == "leased"
    await agent.succeed(again, SYNCED)


async def test_an_apply_is_never_offered_again_but_fails_after_an_hour(ims: Ims, shop: Shop) -> None:
    agent, deploy, lease = await at_apply(shop)
    await ims.pass_time(LEASE + 1)
    await ims.pass_time(3500)
    assert (await job(ims, lease))["state"] == "unknown"
    await agent.sign_in()
    assert await agent.lease() is None
    await ims.pass_time(200)
    ended = await shop.look(deploy)
    assert (ended["status"], ended["failure"]["code"]) == ("failed", "agent_lost")
    assert "deploy again" in ended["failure"]["remedy"]
    assert await agent.lease() is None


async def test_a_restarted_agent_takes_its_own_attempt_up_again(ims: Ims, shop: Shop) -> None:
    agent, deploy, lease = await at_apply(shop)
    await agent.sign_in()
    resumed = await agent.lease(resume=lease)
    assert resumed
    assert (resumed["job_id"], resumed["attempt"], resumed["resumed"]) == (lease["job_id"], 1, True)
    assert resumed["payload"] == lease["payload"]
    assert (await ims.events("job.resumed"))[0]["after"]["attempt"] == 1
    await agent.succeed(resumed, applied({"id": "n-1"}))
    assert (await shop.steps(deploy))["network", "apply"] == "succeeded"


async def test_an_attempt_that_another_has_taken_over_is_not_resumed(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    await shop.begin("acme")
    lease = await agent.take("sync", "network")
    await ims.pass_time(LEASE + 31)
    await ims.sweep()
    body = {"wait_seconds": 0, "resume": {"job_id": lease["job_id"], "attempt": 1}}
    await ims.refused(409, "POST", "/v1/agent/lease", body, token=agent.token)
    await ims.refused(404, "POST", "/v1/agent/lease", {"resume": {"job_id": "job_x", "attempt": 1}}, token=agent.token)


async def test_a_failure_that_may_pass_is_tried_again_a_little_later(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    deploy = await shop.begin("acme")
    await agent.take("sync", "network")
    for attempt, wait in ((1, 2), (2, 4), (3, 8)):
        lease = await agent.take("sync", "service")
        assert lease["attempt"] == attempt
        await agent.fail(lease, "registry_unavailable", retryable=True)
        ims.clock.forward(wait - 1)
        assert await agent.lease() is None
        ims.clock.forward(1)
    await agent.fail(await agent.take("sync", "service"), "registry_unavailable", retryable=True)
    assert (await shop.steps(deploy))["service", "sync"] == "failed"


async def test_a_failure_that_will_not_pass_is_not_tried_again(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    deploy = await shop.begin("acme")
    await agent.fail(await agent.take("sync", "network"))
    assert (await shop.steps(deploy))["network", "sync"] == "failed"


async def test_a_failed_apply_is_not_tried_again_however_retryable(ims: Ims, shop: Shop) -> None:
    agent, deploy, lease = await at_apply(shop)
    await agent.fail(lease, retryable=True)
    assert (await shop.look(deploy))["status"] == "failed"


async def test_the_same_report_again_changes_nothing(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    deploy = await shop.begin("acme")
    lease = await agent.take("sync", "network")
    await agent.succeed(lease, SYNCED)
    before = await shop.look(deploy)
    await agent.succeed(lease, SYNCED)
    assert (await agent.report(lease, "cancelled")).status_code == 409
    assert await shop.look(deploy) == before
    assert len(await ims.events("job.succeeded", object_id=lease["job_id"])) == 1


@pytest.mark.parametrize(
    "report",
    [
        {"outcome": "succeeded"},
        {"outcome": "succeeded", "result": {"kind": "plan", "summary": {}, "plan_digest": PLAN_DIGEST}},
        {"outcome": "failed"},
        {"outcome": "zebra"},
    ],
)
async def test_a_report_that_does_not_fit_the_job_is_refused(ims: Ims, shop: Shop, report: Body) -> None:
    agent = await shop.install("acme")
    await shop.begin("acme")
    lease = await agent.take("sync", "network")
    assert (await agent.report(lease, **report)).status_code == 422
    await agent.succeed(lease, SYNCED)


async def test_leases_that_ran_out_while_the_server_was_away_are_kept(tmp_path: Path, database_url: str | None) -> None:
    async with running_ims(tmp_path / "ims", database_url=database_url) as ims:
        shop = await Shop.open(ims)
        agent, _, lease = await at_apply(shop)
    ims.clock.forward(5 * 3600)
    async with running_ims(ims.data, ims.clock, ims.token, database_url=database_url) as restarted:
        await restarted.sweep()
        assert (await job(restarted, lease))["state"] == "leased"
        agent.ims = restarted
        await agent.sign_in()
        assert (await agent.heartbeat(lease)).status_code == 200
