"""Why is this waiting? A precise sentence for each thing that can hold a job up, in a number of queries that doesn't grow."""

import pytest
from ims_driver import Agent, Body, Ims
from shop import SERVICE, SYNCED, Shop, module, usual
from sqlalchemy import event

pytestmark = pytest.mark.anyio


async def says(shop: Shop, deploy: Body, component: str = "network", kind: str = "sync") -> str:
    steps = (await shop.look(deploy))["steps"]
    return next(step["waiting_for"] for step in steps if (step["component"], step["kind"]) == (component, kind))


@pytest.fixture
async def deploy(shop: Shop) -> Body:
    await shop.install("acme")
    return await shop.begin("acme")


async def test_an_install_without_an_agent_or_with_a_revoked_one(ims: Ims, shop: Shop) -> None:
    await ims.ok("POST", "/v1/installs", {"app_id": "shop", "name": "acme"})
    deploy = await shop.begin("acme")
    assert await says(shop, deploy) == (
        "no agent has enrolled for install acme; make a token with `exclave agents enroll --install acme`"
    )
    agent = await Agent.enrolled(ims, "acme")
    assert await says(shop, deploy) == "about to be taken"
    await ims.ok("DELETE", f"/v1/agents/{agent.id}")
    assert (await says(shop, deploy)).startswith("the agent was revoked, and no other has enrolled for install acme")


async def test_an_agent_that_is_away(ims: Ims, shop: Shop, deploy: Body) -> None:
    name = (await ims.ok("GET", f"/v1/agents/{shop.agents['acme'].id}"))["name"]
    since = ims.clock.now
    ims.clock.forward(121)
    assert await says(shop, deploy) == f"the agent {name} is offline since {since:%Y-%m-%d %H:%M:%SZ}"


async def test_the_line_before_a_job(shop: Shop, deploy: Body) -> None:
    assert await says(shop, deploy, "service") == "behind 1 job of install acme: 1 that came earlier"
    await shop.agents["acme"].take("sync", "network")
    assert await says(shop, deploy, "service") == "behind 1 job of install acme: 1 in work"


async def test_a_retry_says_which_when_and_after_what(ims: Ims, shop: Shop, deploy: Body) -> None:
    lease = await shop.agents["acme"].take("sync", "network")
    await shop.agents["acme"].fail(lease, "registry_unreachable", retryable=True)
    ims.clock.forward(0.5)
    assert await says(shop, deploy) == "attempt 2 of 4 begins in 2 s, after registry_unreachable"
    ims.clock.forward(2)
    assert await says(shop, deploy) == "attempt 2 of 4, after registry_unreachable: about to be taken"
    await shop.agents["acme"].succeed(await shop.agents["acme"].take("sync", "network"), SYNCED)
    assert await says(shop, deploy) == ""


async def test_a_lost_lease_says_until_when_its_agent_may_come_back(ims: Ims, shop: Shop, deploy: Body) -> None:
    agent = shop.agents["acme"]
    lease = await agent.take("sync", "network")
    name = (await ims.ok("GET", f"/v1/agents/{agent.id}"))["name"]
    assert await says(shop, deploy) == "running since 2026-11-21 09:00:00Z"
    await ims.pass_time(121)
    lost = f"contact with agent {name} is lost since 2026-11-21 09:02:00Z; waiting for it to come back until "
    assert await says(shop, deploy) == lost + "2026-11-21 09:02:30Z; then it is offered again"
    await agent.heartbeat(lease)
    assert await says(shop, deploy) == "running since 2026-11-21 09:00:00Z"
    while lease["payload"]["kind"] != "apply":
        await agent.succeed(lease, usual(lease["payload"]))
        taken = await agent.lease()
        assert taken
        lease = taken
    await ims.pass_time(121)
    assert "then it has failed" in await says(shop, deploy, "network", "apply")


async def test_a_cancel_that_the_agent_has_yet_to_hear_of(ims: Ims, shop: Shop, deploy: Body) -> None:
    await shop.agents["acme"].take("sync", "network")
    await ims.ok("POST", f"/v1/deploys/{deploy['id']}/cancel")
    assert "cancel was requested; agent " in await says(shop, deploy)
    assert "stops it after its next heartbeat" in await says(shop, deploy)
    assert (await shop.look(deploy))["waiting_for"].startswith("cancelling; network sync: cancel was requested")


async def test_a_deploy_and_a_release_sum_up_what_their_parts_wait_for(ims: Ims, shop: Shop, deploy: Body) -> None:
    assert (await shop.look(deploy))["waiting_for"] == (
        "network sync: about to be taken; service sync: behind 1 job of install acme: 1 that came earlier"
    )
    assert await says(shop, deploy, "service", "plan") == "waiting for network: apply, service: sync"
    await shop.change("service", module({"x": "y"}, path="/src/service"))
    release = await ims.ok("POST", "/v1/releases", {"app_id": "shop"})
    assert release["waiting_for"] == "service: about to be taken"
    await shop.agents["acme"].work(usual)
    await shop.builder.work(usual)
    assert (await shop.look(deploy))["waiting_for"] == ""
    assert (await ims.ok("GET", f"/v1/releases/{release['id']}"))["waiting_for"] == ""


async def test_builds_of_one_app_do_not_hold_up_those_of_another(ims: Ims, shop: Shop) -> None:
    for number in range(6):
        await shop.change("network", module({"domain": str(number)}))
        await ims.ok("POST", "/v1/releases", {"app_id": "shop"})
    await ims.ok("POST", "/v1/apps", {"name": "other"})
    await ims.ok("POST", "/v1/apps/other/components", {"name": "tiny", "config": module()})
    late = await ims.ok("POST", "/v1/releases", {"app_id": "other"})
    assert late["builds"][0]["waiting_for"] == "behind 6 jobs of the build agents: 6 that came earlier"
    apps = []
    for _ in range(3):  # all at once: fewest in work first
        lease = await shop.builder.take("build")
        apps.append(lease["payload"]["app"])
    assert apps == ["other", "shop", "shop"]


async def test_one_slot_serves_two_apps_in_turn(ims: Ims, shop: Shop) -> None:
    await ims.ok("POST", "/v1/apps", {"name": "other"})
    await ims.ok("POST", "/v1/apps/other/components", {"name": "tiny", "config": module()})
    for app, component in [("shop", "network"), ("other", "tiny")]:
        for number in range(3):
            config = module({"domain": f"{app}{number}"})
            await ims.ok("PUT", f"/v1/apps/{app}/components/{component}", {"config": config})
            await ims.ok("POST", "/v1/releases", {"app_id": app})
    apps, versions = [], []
    while lease := await shop.builder.lease():
        apps.append(lease["payload"]["app"])
        versions.append(lease["payload"]["config"]["variables"]["domain"])
        ims.clock.forward(1)
        await shop.builder.succeed(lease, usual(lease["payload"]))
    assert apps == ["other", "shop"] * 3
    assert versions[::2] == ["other0", "other1", "other2"]  # oldest first within an app


async def test_what_a_deploy_waits_for_takes_as_many_queries_for_many_steps_as_for_few(ims: Ims, shop: Shop) -> None:
    counted: list[str] = []

    def count(_: object, __: object, statement: str, *___: object) -> None:
        counted.append(statement)

    async def queries(path: str) -> int:
        counted.clear()
        await ims.ok("GET", path)
        return len(counted)

    await shop.install("acme")
    few = await shop.begin("acme")
    engine = ims.state.db._driver.reader
    event.listen(engine, "before_cursor_execute", count)
    before, listed = await queries(f"/v1/deploys/{few['id']}"), await queries("/v1/deploys")
    for number in range(15):
        config = module(SERVICE, path=f"/src/{number}")
        await ims.ok("POST", "/v1/apps/shop/components", {"name": f"service{number}", "config": config})
    release = await shop.new_release()
    await shop.install("umbrella")
    many = await shop.begin("umbrella", release)
    assert len(many["steps"]) > 45
    assert await queries(f"/v1/deploys/{many['id']}") == before
    assert await queries("/v1/deploys") == listed
    assert before < 15
