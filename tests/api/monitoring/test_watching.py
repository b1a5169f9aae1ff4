"""What watches the IMS: health, readiness, metrics."""

import asyncio
import re
from dataclasses import replace
from pathlib import Path

import pytest
from ims_driver import Agent, Ims, running_ims
from pydantic import ByteSize
from shop import Shop
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from api.db.transaction import Write

pytestmark = pytest.mark.anyio


async def scrape(ims: Ims) -> dict[str, float]:
    answer = await ims.send("GET", "/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {name: float(value) for name, value in re.findall(r"^([a-z][^#\n]*?) (\S+)$", answer.text, re.MULTILINE)}


async def test_a_live_process_is_healthy_and_a_whole_one_is_ready(ims: Ims) -> None:
    assert await ims.ok("GET", "/healthz", token=None) == {"status": "ok"}
    assert await ims.ok("GET", "/readyz", token=None) == {"ready": True, "reasons": []}


async def not_ready(ims: Ims) -> str:
    answer = await ims.send("GET", "/readyz", token=None)
    assert (answer.status_code, answer.json()["ready"]) == (503, False)
    return "; ".join(answer.json()["reasons"])


async def test_it_is_not_ready_while_another_schema_is_in_the_database(fresh_ims: Ims) -> None:
    def change(tx: Write) -> None:
        tx.session.connection().execute(text("UPDATE alembic_version SET version_num = '0001'"))

    await fresh_ims.state.db.write("test", change)
    assert "schema is at 0001, and must be at 00" in await not_ready(fresh_ims)


async def test_it_is_not_ready_on_a_full_disk_and_while_it_stops(fresh_ims: Ims) -> None:
    state = fresh_ims.state
    fresh_ims.app.state.ims = replace(state, settings=replace(state.settings, disk_reserve=ByteSize(2**60)))
    assert "less than disk_reserve (1.0EiB)" in await not_ready(fresh_ims)
    fresh_ims.app.state.ims = state
    fresh_ims.doorbell.close()
    assert await not_ready(fresh_ims) == "the server stops"


async def test_it_is_not_ready_once_the_writer_has_ended(tmp_path: Path, database_url: str | None) -> None:
    async with running_ims(tmp_path / "ims", database_url=database_url) as ims:
        ims.state.db._turns.end()
        await asyncio.to_thread(ims.state.db._writer.join)
        assert "the database's writer has ended" in await not_ready(ims)


async def test_it_is_not_ready_without_an_answer_of_the_database(fresh_ims: Ims, monkeypatch: pytest.MonkeyPatch) -> None:
    for error, said in [
        (TimeoutError(), "doesn't answer"),
        (OperationalError("SELECT canary", {}, OSError()), "can't be read"),
    ]:

        async def fail(*_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(fresh_ims.state.db, "read", fail)
        assert said in await not_ready(fresh_ims)
        assert "canary" not in fresh_ims.answers[-1].text


async def test_metrics_need_a_token_unless_the_operator_says_otherwise(fresh_ims: Ims) -> None:
    await fresh_ims.refused(401, "GET", "/metrics", token=None)
    state = fresh_ims.state
    fresh_ims.app.state.ims = replace(state, settings=replace(state.settings, metrics_public=True))
    assert (await fresh_ims.send("GET", "/metrics", token=None)).status_code == 200


async def test_metrics_tell_of_requests_by_route_never_by_path(shop: Shop, ims: Ims) -> None:
    await ims.ok("GET", "/v1/apps/shop")
    await ims.refused(404, "GET", "/v1/apps/canary")
    await ims.refused(404, "GET", "/nowhere/canary")
    await ims.send("CANARY", "/v1/apps")
    await ims.send("GET", "/v2/canary/manifests/x", token=None)
    found = await scrape(ims)
    assert found['exclave_http_requests_total{method="GET",route="/v1/apps/{app}",status="200"}'] == 1
    assert found['exclave_http_requests_total{method="GET",route="/v1/apps/{app}",status="404"}'] == 1
    assert found['exclave_http_requests_total{method="GET",route="none",status="404"}'] == 1
    assert found['exclave_http_requests_total{method="GET",route="/v2",status="401"}'] == 1
    assert found['exclave_http_request_seconds_count{method="GET",route="/v1/apps/{app}"}'] == 2
    assert "canary" not in str(found).lower()


async def test_metrics_tell_of_jobs_agents_deploys_and_the_database(shop: Shop, ims: Ims) -> None:
    await shop.install("acme")
    await shop.begin("acme")
    ims.clock.forward(30)
    found = await scrape(ims)
    assert found['exclave_jobs{kind="sync",state="queued"}'] == 2
    assert found["exclave_oldest_queued_job_seconds"] == 30
    assert found['exclave_deploys{status="running"}'] == 1
    assert found['exclave_agents{kind="build",state="online"}'] == 1
    assert found["exclave_events"] > 5
    assert found["exclave_db_write_batch_size_count"] > 0
    assert found["exclave_db_write_batch_seconds_count"] == found["exclave_db_write_batch_size_count"]
    assert found["exclave_db_queued_writes"] == 0
    assert found["process_cpu_seconds_total"] > 0
    assert found["process_open_fds"] > 0
    ims.clock.forward(3600)
    assert (await scrape(ims))['exclave_agents{kind="build",state="offline"}'] == 1


async def test_metrics_tell_of_long_polls_that_wait(ims: Ims, shop: Shop) -> None:
    agent = await Agent.enrolled(ims)
    before = (await scrape(ims))["exclave_long_polls"]  # the sender of webhooks listens, too
    waiting = asyncio.create_task(agent.lease(wait=30))
    await ims.doorbell.somebody_listens("jobs:build:")
    assert (await scrape(ims))["exclave_long_polls"] == before + 1
    ims.doorbell.close()
    await waiting


async def test_two_apps_count_for_themselves(ims: Ims, tmp_path: Path) -> None:
    async with running_ims(tmp_path / "other") as other:
        await other.ok("GET", "/v1")
        assert 'route="/v1"' not in str(await scrape(ims))
