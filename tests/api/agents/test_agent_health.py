"""Agents' health: whether they are there, how their machines are, and the history of both."""

from datetime import timedelta
from typing import Any

import pytest
from ims_driver import Agent, Body, Ims
from shop import Shop

from api import housekeeping
from api.agents import versions
from api.contract.problems import UpgradeRequiredError

pytestmark = pytest.mark.anyio


def health(**more: Any) -> Body:
    return {"version": "0.1.0", "uptime_seconds": 61, "jobs": 1, "load": 0.5, "cpus": 2, **more}


async def poll(ims: Ims, agent: Agent, said: Body | None) -> None:
    await agent.sign_in()
    await ims.ok("POST", "/v1/agent/lease", {"wait_seconds": 0, "health": said}, token=agent.token)


async def samples(ims: Ims, agent: Agent, **params: Any) -> Body:
    return await ims.ok("GET", f"/v1/agents/{agent.id}/health", params=params)


async def test_what_an_agent_says_is_kept_once_a_minute_and_shown(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    assert (await ims.ok("GET", f"/v1/agents/{agent.id}"))["load"] is None
    for number in range(4):
        await poll(ims, agent, health(jobs=number))
        ims.clock.forward(30)
    found = (await samples(ims, agent))["items"]
    assert [(one["at"][11:16], one["jobs"]) for one in found] == [("09:00", 0), ("09:01", 2)]
    assert (await ims.ok("GET", f"/v1/agents/{agent.id}"))["load"] == found[-1]
    listed = {one["id"]: one["load"] for one in (await ims.ok("GET", "/v1/agents"))["items"]}
    assert listed == {shop.builder.id: None, agent.id: found[-1]}


async def test_a_heartbeat_says_so_too_and_an_idle_poll_leaves_no_row(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    await poll(ims, agent, None)
    assert (await samples(ims, agent))["items"] == []
    await shop.begin("acme")
    lease = await agent.take("sync")
    path = f"/v1/agent/jobs/{lease['job_id']}/heartbeat"
    await ims.ok("POST", path, {"attempt": 1, "health": health(memory_used_mb=10, memory_total_mb=20)}, token=agent.token)
    assert [one["memory_total_mb"] for one in (await samples(ims, agent))["items"]] == [20]
    await ims.refused(422, "POST", path, {"attempt": 1, "health": health(jobs=-1)}, token=agent.token)


async def test_the_history_is_paged_and_begins_where_one_asks(ims: Ims, shop: Shop) -> None:
    begin = ims.clock.now
    for number in range(5):
        await poll(ims, shop.builder, health(jobs=number))
        ims.clock.forward(60)
    first = await samples(ims, shop.builder, limit=2)
    second = await samples(ims, shop.builder, limit=2, after=first["after"])
    assert [one["jobs"] for one in first["items"] + second["items"]] == [0, 1, 2, 3]
    late = await samples(ims, shop.builder, since=(begin + timedelta(minutes=4)).isoformat())
    assert ([one["jobs"] for one in late["items"]], late["after"]) == ([4], None)
    await ims.refused(404, "GET", "/v1/agents/agt_nope/health")
    for said in ({"since": "yesterday"}, {"since": "0001-01-01T00:00:00+14:00"}, {"after": "9999-12-31T23:59:59-14:00"}):
        await ims.refused(422, "GET", f"/v1/agents/{shop.builder.id}/health", params=said)


async def test_an_old_sample_is_removed(ims: Ims, shop: Shop) -> None:
    await poll(ims, shop.builder, health())
    ims.clock.forward(31 * 86400)
    await poll(ims, shop.builder, health())
    await housekeeping.prune(ims.state.db, ims.state.settings)
    assert len((await samples(ims, shop.builder))["items"]) == 1
    assert (await ims.ok("GET", f"/v1/agents/{shop.builder.id}"))["load"]


async def test_an_agent_is_online_offline_and_online_again_and_the_history_says_each_once(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    path = f"/v1/agents/{agent.id}"
    assert (await ims.ok("GET", path))["status"] == "online"
    seen = (await ims.ok("GET", path))["last_seen_at"]
    for _ in range(3):
        await ims.pass_time(60)
    found = await ims.ok("GET", path)
    assert (found["status"], found["offline_since"]) == ("offline", seen)
    mine = {"object_id": agent.id}
    assert len(await ims.events("agent.offline", **mine)) == 1
    await agent.sign_in()
    found = await ims.ok("GET", path)
    assert (found["status"], found["offline_since"]) == ("online", None)
    await ims.sweep()
    assert len(await ims.events("agent.online", **mine)) == 1
    await ims.ok("DELETE", path)
    await ims.pass_time(300)
    assert (await ims.ok("GET", path))["status"] == "revoked"
    assert len(await ims.events("agent.offline", **mine)) == 1


async def test_a_server_that_was_away_itself_calls_nobody_offline_before_they_could_come_back(ims: Ims, shop: Shop) -> None:
    ims.clock.forward(3600)
    started = ims.clock.now
    for later, told in [(119, 0), (121, 1)]:
        await housekeeping.notice_offline(ims.state.db, ims.state.settings, started, started + timedelta(seconds=later))
        assert len(await ims.events("agent.offline", object_id=shop.builder.id)) == told


async def test_an_agent_that_is_too_old_is_told_which_version_it_needs(
    ims: Ims, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "version", lambda _: "0.4.2")
    problem = await ims.refused(426, "POST", "/v1/agent/session", shop.builder.signed(), token=None)
    assert problem["type"] == "urn:exclave:problem:upgrade_required"
    assert "speaks with 0.2 and newer" in problem["detail"]


@pytest.mark.parametrize(
    ("agent", "server", "taken"),
    [
        ("0.1.0", "0.3.9", True),
        ("0.1.0", "0.4.0", False),
        ("1.9.0", "2.0.0", False),
        ("0.9.0", "0.3.0", True),
        ("main", "0.9.0", True),
        ("0.10.1", "0.12.0", True),
    ],
)
def test_agents_of_the_two_minor_versions_before_are_spoken_with(agent: str, server: str, taken: bool) -> None:
    if taken:
        versions.check_agent_version(agent, server)
    else:
        with pytest.raises(UpgradeRequiredError):
            versions.check_agent_version(agent, server)
