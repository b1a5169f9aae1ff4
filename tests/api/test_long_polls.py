"""Requests that wait: they answer as soon as there is something to say, and no later than the server's stop."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from ims_driver import Agent, Ims
from shop import SYNCED, Shop, built, module
from starlette.types import Message

pytestmark = pytest.mark.anyio


async def waiting_for(ims: Ims, topic: str, request: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """A request that listens to a topic by now."""
    task = asyncio.create_task(request)
    await ims.doorbell.somebody_listens(topic)
    return task


async def poll(ims: Ims, agent: Agent) -> asyncio.Task[Any]:
    """A build agent's lease request that waits."""
    return await waiting_for(ims, "jobs:build:", agent.lease(wait=50))


async def test_a_waiting_agent_gets_a_job_as_soon_as_there_is_one(ims: Ims, shop: Shop) -> None:
    await shop.builder.sign_in()
    waiting = await poll(ims, shop.builder)
    await shop.change("network", module({"domain": "x"}))
    await ims.ok("POST", "/v1/releases", {"app_id": "shop"})
    lease = await asyncio.wait_for(waiting, 40)
    assert lease["payload"]["kind"] == "build"


async def test_one_of_two_waiting_agents_gets_the_job(ims: Ims, shop: Shop) -> None:
    agents = [shop.builder, await Agent.enrolled(ims)]
    waiting = [await poll(ims, agent) for agent in agents]
    await shop.change("network", module({"domain": "x"}))
    await ims.ok("POST", "/v1/releases", {"app_id": "shop"})
    done, left = await asyncio.wait(waiting, timeout=40, return_when=asyncio.FIRST_COMPLETED)
    assert (len(done), len(left)) == (1, 1)
    ims.doorbell.close()
    assert await left.pop() is None


async def test_a_poll_that_outlived_its_agent_does_not_take_the_job_of_the_next_one(ims: Ims, shop: Shop) -> None:
    orphaned = await poll(ims, shop.builder)
    await shop.builder.sign_in()  # the agent was killed, and started again
    waiting = await poll(ims, shop.builder)
    await shop.change("network", module({"domain": "x"}))
    await ims.ok("POST", "/v1/releases", {"app_id": "shop"})
    assert (await asyncio.wait_for(waiting, 40))["payload"]["kind"] == "build"
    with pytest.raises(AssertionError, match="401"):
        await asyncio.wait_for(orphaned, 40)


async def test_an_agent_that_is_revoked_while_it_waits_gets_nothing(ims: Ims, shop: Shop) -> None:
    waiting = await poll(ims, shop.builder)
    await ims.ok("DELETE", f"/v1/agents/{shop.builder.id}")
    await shop.change("network", module({"domain": "x"}))
    await ims.ok("POST", "/v1/releases", {"app_id": "shop"})
    with pytest.raises(AssertionError, match="401"):
        await asyncio.wait_for(waiting, 40)
    assert (await ims.ok("GET", "/v1/jobs", params={"state": "queued"}))["items"]


async def test_whoever_watches_a_deploy_hears_of_each_change(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    deploy = await shop.begin()
    path = f"/v1/deploys/{deploy['id']}"
    at_once = await ims.ok("GET", path, params={"wait": 50, "seen": deploy["version"] - 1})
    assert at_once["version"] == deploy["version"]

    watch = ims.ok("GET", path, params={"wait": 50, "seen": deploy["version"]})
    watching = await waiting_for(ims, f"deploy:{deploy['id']}", watch)
    lease = await agent.take("sync", "network")
    seen = await asyncio.wait_for(watching, 40)
    assert seen["version"] > deploy["version"]
    await agent.fail(lease)
    await agent.succeed(await agent.take("sync", "service"), SYNCED)
    ended = await shop.look(deploy)
    assert await ims.ok("GET", path, params={"wait": 50, "seen": ended["version"]}) == ended


async def test_whoever_waits_for_a_release_hears_when_it_is_ready(ims: Ims, shop: Shop) -> None:
    await shop.change("network", module({"domain": "x"}))
    release = await ims.ok("POST", "/v1/releases", {"app_id": "shop"})
    wait = ims.ok("GET", f"/v1/releases/{release['id']}", params={"wait": 50})
    waiting = await waiting_for(ims, f"release:{release['id']}", wait)
    lease = await shop.builder.take("build")
    await shop.builder.succeed(lease, built(lease["payload"]))
    assert (await asyncio.wait_for(waiting, 40))["status"] == "ready"


async def test_whoever_follows_a_log_gets_the_next_chunk(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    await shop.begin()
    lease = await agent.take("sync")
    path = f"/v1/jobs/{lease['job_id']}/logs"
    following = await waiting_for(ims, f"job:{lease['job_id']}", ims.send("GET", path, params={"wait": 50}))
    await agent.log(lease, "hello\n")
    assert (await asyncio.wait_for(following, 40)).text == "hello\n"


async def test_a_poll_whose_agent_hung_up_takes_no_job(ims: Ims, shop: Shop) -> None:
    await shop.builder.sign_in()
    hung_up = asyncio.Event()
    body = iter([{"type": "http.request", "body": b'{"wait_seconds": 50}', "more_body": False}])

    async def receive() -> Message:
        if message := next(body, None):
            return message
        await hung_up.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        """To nobody."""

    headers = {"authorization": f"Bearer {shop.builder.token}", "content-type": "application/json", "content-length": "20"}
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/agent/lease",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    poll = await waiting_for(ims, "jobs:build:", ims.app(scope, receive, send))
    hung_up.set()
    await asyncio.wait_for(poll, 40)
    assert not ims.doorbell.requests
    await shop.change("network", module({"domain": "x"}))
    await ims.ok("POST", "/v1/releases", {"app_id": "shop"})
    assert (await ims.ok("GET", "/v1/jobs", params={"state": "queued"}))["items"]


async def test_a_long_poll_ends_with_its_time(ims: Ims, shop: Shop) -> None:
    await shop.builder.sign_in()
    assert await shop.builder.lease(wait=0.01) is None
    assert ims.answers[-1].headers["retry-after"] == "0"
    assert not ims.doorbell.requests
    await ims.refused(422, "POST", "/v1/agent/lease", {"wait_seconds": 61}, token=shop.builder.token)


async def test_a_stop_of_the_server_ends_every_long_poll(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    deploy = await shop.begin()
    lease = await agent.take("sync")
    version = (await shop.look(deploy))["version"]
    watch = ims.ok("GET", f"/v1/deploys/{deploy['id']}", params={"wait": 50, "seen": version})
    follow = ims.send("GET", f"/v1/jobs/{lease['job_id']}/logs", params={"wait": 50})
    polls = [
        await poll(ims, shop.builder),
        await waiting_for(ims, f"deploy:{deploy['id']}", watch),
        await waiting_for(ims, f"job:{lease['job_id']}", follow),
    ]
    ims.doorbell.close()
    answers = await asyncio.wait_for(asyncio.gather(*polls), 40)
    assert answers[0] is None
    assert answers[1]["version"] == version
    assert await asyncio.wait_for(shop.builder.lease(wait=50), 40) is None
    assert ims.answers[-1].headers["retry-after"] == "1"
