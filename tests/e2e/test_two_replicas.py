"""Two replicas on one PostgreSQL: one is killed, the database is killed, connections are cut; agents go on, nothing is lost.

The replicas, the database and the sockets are real; the agents are scripted, and speak the protocol through a proxy before both
replicas. `test_kill_loop` has the real agents.
"""

import asyncio
import contextlib
import statistics
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from ims_driver import Agent, Body, Ims
from postgresql import programs
from replicas import Replicas, persistent, two_replicas, work
from shop import Shop, usual
from webhook_receiver import receiving

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(programs() is None, reason="no PostgreSQL server is installed")]

INSTALLS = ("north", "south", "east")
HEARD_SECONDS = 10
"""A poll at one replica that hears of a write at the other ends long before its 20 seconds, also on a slow machine."""


@pytest.fixture
async def replicas(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Replicas]:
    async with two_replicas(tmp_path, lease=getattr(request, "param", 2)) as found:
        yield found


@contextlib.asynccontextmanager
async def working(*agents: Agent) -> AsyncIterator[None]:
    """Agents at work, each on connections of its own."""
    tasks = [asyncio.create_task(work(agent)) for agent in agents]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert [one for one in ended if not isinstance(one, asyncio.CancelledError)] == []


async def deploy_again_and_again(ims: Ims, install: str, release: Body, made: list[str], until: asyncio.Event) -> None:
    """Change an input, deploy, wait for the end; every create with a key, until it is acknowledged."""
    while not until.is_set():
        inputs = {"inputs": {"domain": f"{uuid.uuid4().hex}.example"}}
        assert (await persistent(ims, "PUT", f"/v1/installs/{install}", inputs)).status_code == 200
        body, key = {"install_id": install, "release_id": release["id"]}, {"idempotency-key": uuid.uuid4().hex}
        answer = await persistent(ims, "POST", "/v1/deploys", body, headers=key)
        assert answer.status_code == 201, answer.text
        deploy = answer.json()
        made.append(deploy["id"])
        async with asyncio.timeout(240):
            while deploy["ended_at"] is None:
                path = f"/v1/deploys/{deploy['id']}?wait=2&seen={deploy['version']}"
                deploy = (await persistent(ims, "GET", path)).json()
        assert deploy["status"] == "succeeded", deploy


async def opened(replicas: Replicas) -> Shop:
    shop = await Shop.open(replicas.ims())
    for install in INSTALLS:
        await shop.install(install)
    return shop


async def under_load(replicas: Replicas, shop: Shop, disturb: "asyncio.Task[None]") -> list[str]:
    """Deploy on all installs while `disturb` runs, and for two more deploys each after it. The deploys that were made."""
    made: list[str] = []
    until = asyncio.Event()
    agents = [Agent(replicas.ims(), agent.key, agent.id, agent.token) for agent in shop.agents.values()]
    async with working(*agents):
        load = [
            asyncio.create_task(deploy_again_and_again(replicas.ims(), install, shop.release, made, until))
            for install in INSTALLS
        ]
        await disturb
        so_far = len(made)
        async with asyncio.timeout(240):
            while len(made) < so_far + 2 * len(INSTALLS):
                await asyncio.wait(load, timeout=0.1, return_when=asyncio.FIRST_EXCEPTION)
                assert not any(task.done() and task.exception() for task in load), load
        until.set()
        await asyncio.gather(*load)
    return made


async def nothing_lost_nothing_twice(ims: Ims, made: list[str]) -> None:
    deploys = await pages(ims, "/v1/deploys")
    assert Counter(deploy["id"] for deploy in deploys) == Counter(made)
    assert {deploy["status"] for deploy in deploys} == {"succeeded"}
    jobs = await pages(ims, "/v1/jobs")
    ended = Counter(event["object_id"] for event in await ims.events("job.succeeded"))
    assert ended == Counter(job["id"] for job in jobs)
    assert await ims.chain_is_whole()


async def until_there_is(ims: Ims, action: str) -> None:
    """Wait for an event."""
    give_up = time.monotonic() + 240
    while not await ims.events(action):
        assert time.monotonic() < give_up, action
        await asyncio.sleep(0.2)


async def pages(ims: Ims, path: str) -> list[Body]:
    found: list[Body] = (await ims.ok("GET", path, params={"limit": 1000}))["items"]
    return found


async def test_agents_go_on_at_the_other_replica_when_one_is_killed(replicas: Replicas) -> None:
    shop = await opened(replicas)

    async def kill_and_start_again() -> None:
        await asyncio.sleep(1)
        await asyncio.to_thread(replicas.kill, "a")
        await asyncio.sleep(2)  # the other one serves alone
        await replicas.start("a")

    made = await under_load(replicas, shop, asyncio.create_task(kill_and_start_again()))
    await nothing_lost_nothing_twice(replicas.ims("b"), made)
    assert await replicas.ims("a").chain_is_whole()


async def test_a_restart_of_the_database_is_told_as_503_and_needs_no_restart_of_a_replica(replicas: Replicas) -> None:
    shop = await opened(replicas)
    refused = []

    async def restart() -> None:
        await asyncio.sleep(1)
        await asyncio.to_thread(replicas.postgres.control, "stop", "-m", "immediate")
        for name, method in [("a", "GET"), ("b", "GET"), ("a", "POST"), ("b", "POST")]:
            refused.append(await replicas.ims(name).send(method, "/v1/apps", {"name": "lost"} if method == "POST" else None))
        await asyncio.to_thread(replicas.postgres.control, "start", "-l", str(replicas.postgres.folder / "log"))

    made = await under_load(replicas, shop, asyncio.create_task(restart()))
    for answer in refused:
        problem = answer.json()
        assert (answer.status_code, problem["type"]) == (503, "urn:exclave:problem:unavailable"), problem
        assert problem["retryable"]
        assert "psycopg" not in answer.text
    for name in ("a", "b"):
        await nothing_lost_nothing_twice(replicas.ims(name), made)
        assert (await replicas.ims(name).send("GET", "/readyz")).status_code == 200
    assert [app["name"] for app in await pages(replicas.ims("a"), "/v1/apps")] == ["shop"]


@pytest.mark.parametrize("replicas", [600], indirect=True, ids=["no lease ends"])
async def test_a_poll_at_one_replica_hears_of_a_write_at_the_other(replicas: Replicas) -> None:
    shop = await opened(replicas)
    a, b = replicas.ims("a"), replicas.ims("b")
    watched = (await a.ok("POST", "/v1/deploys", {"install_id": "north", "release_id": shop.release["id"]}))["id"]
    waited = []
    agent = Agent(a, shop.agents["north"].key, shop.agents["north"].id, shop.agents["north"].token)
    for _ in range(4):
        for outcome in ("lease", "finish"):
            seen = (await b.ok("GET", f"/v1/deploys/{watched}"))["version"]
            poll = asyncio.create_task(b.ok("GET", f"/v1/deploys/{watched}?wait=20&seen={seen}"))
            await asyncio.wait([poll], timeout=0.3)  # it is on its way, and parked
            assert not poll.done()
            if outcome == "lease":
                lease = await agent.lease()
                assert lease
            else:
                await agent.succeed(lease, usual(lease["payload"]))
            written = time.perf_counter()
            assert (await poll)["version"] != seen
            waited.append(time.perf_counter() - written)
    print(f"heard after {statistics.median(waited) * 1000:.1f} ms (median), {max(waited) * 1000:.1f} ms at most")
    assert statistics.median(waited) < HEARD_SECONDS

    # The connection on which a replica listens is cut: what is written meanwhile isn't missed.
    seen = (await b.ok("GET", f"/v1/deploys/{watched}"))["version"]
    poll = asyncio.create_task(b.ok("GET", f"/v1/deploys/{watched}?wait=50&seen={seen}"))
    await asyncio.wait([poll], timeout=0.3)
    listeners = "FROM pg_stat_activity WHERE application_name = 'exclave-listener'"
    cut = await asyncio.to_thread(replicas.sql, f"SELECT pid, pg_terminate_backend(pid) {listeners}")
    assert len(cut) == 2
    await a.ok("POST", f"/v1/deploys/{watched}/cancel")
    async with asyncio.timeout(49):
        assert (await poll)["version"] != seen


async def test_what_replicas_do_by_themselves_is_done_once(replicas: Replicas) -> None:
    shop = await opened(replicas)
    async with receiving() as receiver:
        hook = {"name": "all", "url": receiver.url, "events": ["*"]}
        made = await replicas.ims("a").ok("POST", "/v1/webhooks", hook)
        body = {"install_id": "north", "release_id": shop.release["id"]}
        await replicas.ims("b").ok("POST", "/v1/deploys", body)
        assert await shop.agents["north"].lease()  # and nothing more is heard of the agent
        ims = replicas.ims("b")
        for action in ("job.requeued", "agent.offline"):
            await until_there_is(ims, action)
        lost = [(event["action"], event["object_id"]) for event in (await pages(ims, "/v1/events"))]
        once = Counter(one for one in lost if one[0] in ("job.lost_contact", "job.requeued", "agent.offline"))
        assert set(once.values()) == {1}, once
        assert {action for action, _ in once} == {"job.lost_contact", "job.requeued", "agent.offline"}
        wanted = [event for event in await pages(ims, "/v1/events") if event["object_id"] != made["id"]]
        last = wanted[-1]["seq"]
        async with asyncio.timeout(240), receiver.arrived:
            await receiver.arrived.wait_for(lambda: any(one.message["data"].get("seq") == last for one in receiver.got))
        seqs = Counter(one.message["data"]["seq"] for one in receiver.got)
        assert set(seqs.values()) == {1}, "each event was sent once"
        assert await ims.chain_is_whole()
