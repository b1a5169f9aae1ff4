"""One release for many installs: rows at once, steps soon after."""

import asyncio
from typing import Any

import pytest
from ims_driver import Body, Ims
from shop import Shop, module, usual
from sqlmodel import select

from api.contract.deploy_batches import DeployBatchCreate
from api.db.transaction import Write
from api.deploys import making, planner, service
from api.deploys.models import DeployRow

pytestmark = pytest.mark.anyio


async def batch(ims: Ims, shop: Shop, **chosen: Any) -> Body:
    """A release for many installs, planned."""
    made = await ims.ok("POST", "/v1/deploys/batch", {"release_id": shop.release["id"], **chosen})
    await planner.plan_all(ims.state.db, ims.state.vault)
    return made


async def deploys(ims: Ims) -> dict[str, Body]:
    """The newest deploy of each install, by the install's name."""
    names = {one["id"]: one["name"] for one in (await ims.ok("GET", "/v1/installs"))["items"]}
    return {names[one["install_id"]]: one for one in (await ims.ok("GET", "/v1/deploys"))["items"]}


async def test_every_install_gets_the_release(ims: Ims, shop: Shop) -> None:
    for name in ("acme", "globex", "initech"):
        await shop.install(name)
    made = await batch(ims, shop, all=True)
    assert (made["created"], made["release_number"], made["busy"]) == (3, 1, [])
    for name, agent in shop.agents.items():
        await agent.work(usual)
        assert (await deploys(ims))[name]["status"] == "succeeded"
    assert await ims.chain_is_whole()


async def test_a_deploy_of_many_has_the_steps_of_one_made_alone(ims: Ims, shop: Shop) -> None:
    await shop.install("acme", inputs={"domain": "a.example"}, approval="vendor")
    await shop.install("globex", inputs={"domain": "a.example"}, approval="vendor")
    await batch(ims, shop, installs=["globex"])
    await shop.begin("acme")
    found = await deploys(ims)
    shape = ("kind", "status", "approval", "inputs_version", "release_number", "created_by")
    assert {key: found["acme"][key] for key in shape} == {key: found["globex"][key] for key in shape}
    steps = {name: [(step["component"], step["kind"]) for step in found[name]["steps"]] for name in found}
    assert steps["acme"] == steps["globex"] != []
    (event,) = await ims.events("deploy.created", object_id=found["globex"]["id"])
    assert event["actor"] == found["acme"]["created_by"]


async def test_labels_choose(ims: Ims, shop: Shop) -> None:
    await shop.install("acme", labels={"region": "eu"})
    await shop.install("globex", labels={"region": "us"})
    assert (await batch(ims, shop, selector="region=eu"))["created"] == 1
    assert list(await deploys(ims)) == ["acme"]


async def test_an_install_with_a_deploy_under_way_is_left_out_and_named(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")
    await shop.install("globex")
    running = await shop.begin("acme")
    made = await batch(ims, shop, all=True)
    assert made["created"] == 1
    assert [(one["install"], one["deploy_id"]) for one in made["busy"]] == [("acme", running["id"])]


async def test_a_deploy_that_cannot_be_planned_has_failed_and_says_why(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")
    await shop.install("globex", platform="aws", region="eu-central-1")
    await shop.change("network", module({"domain": "{{ install.region }}"}))
    release = await shop.new_release()
    await ims.ok("POST", "/v1/deploys/batch", {"release_id": release["id"], "all": True})
    await planner.plan_all(ims.state.db, ims.state.vault)
    found = await deploys(ims)
    assert (found["acme"]["status"], found["globex"]["status"]) == ("failed", "running")
    assert "region" in found["acme"]["failure"]["message"]
    assert found["acme"]["steps"] == []


async def test_a_planning_error_that_nobody_foresaw_ends_one_deploy_not_all(
    ims: Ims, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("acme", "globex", "initech"):
        await shop.install(name)
    real = making._plan

    def broken(tx: Any, vault: Any, install: Any, release: Any) -> Any:
        if install.name == "globex":
            raise ZeroDivisionError
        return real(tx, vault, install, release)

    monkeypatch.setattr(making, "_plan", broken)
    await batch(ims, shop, all=True)
    found = await deploys(ims)
    assert {name: one["status"] for name, one in found.items()} == {
        "acme": "running",
        "globex": "failed",
        "initech": "running",
    }
    assert found["globex"]["failure"]["code"] == "internal"


async def test_the_running_server_plans_by_itself(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    install = await ims.ok("GET", "/v1/installs/acme")
    waiting = asyncio.create_task(agent.lease(wait=50))
    await ims.doorbell.somebody_listens(f"jobs:install:{install['id']}")
    await ims.ok("POST", "/v1/deploys/batch", {"release_id": shop.release["id"], "all": True})
    lease = await waiting
    assert lease is not None
    assert lease["payload"]["kind"] == "sync"


async def test_a_pending_deploy_can_be_cancelled(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")

    def change(tx: Write) -> DeployRow:
        made = making.create_many(tx, DeployBatchCreate(release_id=shop.release["id"], all=True))
        assert made.created == 1
        (row,) = tx.all(select(DeployRow))
        return service.cancel(tx, row.id)

    row = await ims.state.db.write("somebody", change)
    assert row.status == "cancelled"
    found = await shop.look({"id": row.id})
    assert (found["steps"], found["waiting_for"]) == ([], "")
    assert await shop.deploy("acme")


async def test_nothing_is_made_for_a_wrong_choice(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")
    for body, field in (
        ({"release_id": shop.release["id"]}, ""),
        ({"release_id": shop.release["id"], "all": True, "installs": ["acme"]}, ""),
        ({"release_id": shop.release["id"], "installs": ["acme", "nobody"]}, "installs.1"),
        ({"release_id": shop.release["id"], "selector": "region in ("}, "selector"),
        ({"release_id": "rel_none", "all": True}, "release_id"),
    ):
        problem = await ims.refused(422, "POST", "/v1/deploys/batch", body)
        assert field in [error["field"] for error in problem["errors"]], problem
    assert await deploys(ims) == {}
