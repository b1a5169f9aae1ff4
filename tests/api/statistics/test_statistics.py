"""How an install has fared, for as long as the vendor wants to know."""

import pytest
from ims_driver import Ims
from shop import Shop, module

from api.jobs import forgetting
from api.statistics.service import percentile

pytestmark = pytest.mark.anyio


def test_percentiles_are_values_that_occurred() -> None:
    assert percentile([], 0.5) is None
    assert [percentile([7.0], part) for part in (0.5, 0.95)] == [7, 7]
    assert [percentile([float(number) for number in range(1, 101)], part) for part in (0.5, 0.95)] == [50, 95]


async def test_each_job_says_how_long_it_waited_and_ran_and_what_became_of_it(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    await shop.begin("acme")
    ims.clock.forward(3)
    lease = await agent.take("sync", "network")
    ims.clock.forward(5)
    await agent.fail(lease, "no_disk")
    (job,) = (await ims.ok("GET", "/v1/installs/acme/history", params={"component": "network"}))["items"]
    assert (job["queued_seconds"], job["run_seconds"], job["attempts"]) == (3, 5, 1)
    assert (job["outcome"], job["failure_code"], job["component"]) == ("failed", "no_disk", "network")
    await ims.refused(404, "GET", "/v1/installs/nobody/history")


async def test_an_installs_jobs_come_in_pages(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")
    await shop.deploy("acme")
    whole = (await ims.ok("GET", "/v1/installs/acme/history"))["items"]
    page = await ims.ok("GET", "/v1/installs/acme/history", params={"limit": 2, "order": "desc"})
    rest = await ims.ok("GET", "/v1/installs/acme/history", params={"order": "desc", "after": page["after"]})
    assert page["items"] + rest["items"] == whole[::-1]
    assert {one["outcome"] for one in whole} == {"succeeded"}


async def test_the_summary_has_rates_and_durations_of_deploys_and_components(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    empty = await ims.ok("GET", "/v1/installs/acme/stats")
    assert (empty["deploys"]["total"], empty["deploys"]["success_rate"], empty["components"]) == (0, None, [])
    await shop.deploy("acme")
    await shop.change("network", module({"domain": "x"}, digest="2"))
    release = await shop.new_release()
    made = await shop.begin("acme", release)
    ims.clock.forward(10)
    await agent.fail(await agent.take("sync", "network"))
    while lease := await agent.lease():
        await agent.fail(lease)
    assert (await shop.look(made))["status"] == "failed"
    stats = await ims.ok("GET", "/v1/installs/acme/stats")
    deploys = stats["deploys"]
    assert (deploys["total"], deploys["succeeded"], deploys["failed"], deploys["success_rate"]) == (2, 1, 1, 0.5)
    assert (deploys["p50_seconds"], deploys["last_outcome"]) == (0, "failed")
    network = next(one for one in stats["components"] if one["component"] == "network")
    assert (network["total"], network["success_rate"], network["last_outcome"]) == (2, 0.5, "failed")
    only = await ims.ok("GET", "/v1/installs/acme/stats", params={"last": 1})
    assert only["deploys"]["total"] == 1


async def test_old_jobs_are_forgotten_with_their_logs_but_neither_open_ones_nor_the_history(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    await shop.deploy("acme")
    await shop.change("network", module({"domain": "x"}, digest="2"))
    made = await shop.begin("acme", await shop.new_release())
    lease = await agent.take("sync", "network")
    await agent.log(lease, "hello\n")
    await agent.succeed(lease, {"kind": "sync", "copied_bytes": 0, "skipped_bytes": 0})
    ims.clock.forward(8 * 86400)
    before = len((await ims.ok("GET", "/v1/jobs", params={"limit": 1000}))["items"])
    db = ims.state.db
    assert await forgetting.forget(db, 30, batches=10) == 0
    pruned = await forgetting.forget(db, 7, batches=10)
    left = (await ims.ok("GET", "/v1/jobs", params={"limit": 1000}))["items"]
    assert pruned > 0
    assert len(left) == before - pruned
    assert lease["job_id"] in [job["id"] for job in left]  # it has ended, but its deploy hasn't
    assert (await ims.send("GET", f"/v1/jobs/{lease['job_id']}/logs")).text == "hello\n"
    assert (await shop.look(made))["status"] == "running"
    assert await ims.chain_is_whole()
    assert (await ims.events("job.pruned"))[0]["after"]["count"] == pruned
