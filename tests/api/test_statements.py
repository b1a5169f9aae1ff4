"""No list asks the database once for each of its rows, and none reads a large table from end to end."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from ims_driver import Ims
from shop import Shop, module, usual
from sqlalchemy import event, text

pytestmark = pytest.mark.anyio

LISTS = [
    "/v1/apps",
    "/v1/apps/shop/components",
    "/v1/installs",
    "/v1/installs?selector=tier%3Dgold",
    "/v1/installs?release_number=1",
    "/v1/builds",
    "/v1/builds?component_version=1",
    "/v1/builds?app=shop",
    "/v1/releases",
    "/v1/releases?app=shop",
    "/v1/deploys",
    "/v1/deploys?install=big",
    "/v1/deploys?release_number=1",
    "/v1/agents",
    "/v1/jobs",
    "/v1/jobs?state=queued",
    "/v1/events",
    "/v1/events?install=big",
    "/v1/events?action=deploy.*",
    "/v1/tokens",
    "/v1/secrets",
    "/v1/webhooks",
    "/v1/webhooks/hook-0/deliveries",
    "/v1/installs/big/history",
    "/v1/installs/big/stats",
    "/v1/installs/big",
    "/v1/installs/big/render",
]


@contextmanager
def statements(ims: Ims) -> Iterator[list[tuple[str, Any]]]:
    """What is asked of the database meanwhile."""
    said: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        said.append((statement, parameters))

    engines = [ims.state.db._driver.reader, ims.state.db._driver.writer]
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    yield said
    for engine in engines:
        event.remove(engine, "before_cursor_execute", note)


async def grow(shop: Shop, numbers: range) -> None:
    """One more of everything, for each number: some ended, some waiting for an agent or for an approval."""
    ims = shop.ims
    for n in numbers:
        await ims.ok("POST", "/v1/apps", {"name": f"app-{n}"})
        await ims.ok("POST", "/v1/tokens", {"name": f"token-{n}"})
        await ims.ok("POST", "/v1/secrets", {"name": f"secret-{n}", "value": "hush"})
        await ims.ok("POST", "/v1/webhooks", {"name": f"hook-{n}", "url": "http://127.0.0.1:9/"})
        await ims.ok("POST", "/v1/apps/shop/components", {"name": f"part-{n}", "config": module(path=f"/src/{n}")})
        agent = await shop.install(f"install-{n}", approval="vendor" if n % 2 else "auto", labels={"tier": "gold"})
        await shop.begin(f"install-{n}")
        for _ in range(n % 4):  # some wait for an approval, some for a job, some have ended
            if lease := await agent.lease():
                await agent.succeed(lease, usual(lease["payload"]))
        await shop.change("network", module({"domain": f"d-{n}"}, digest=str(n)))
        await ims.ok("POST", "/v1/releases", {"app_id": "shop", "components": {"network": n + 2, "service": 1}})
        if n % 3:
            await shop.builder.work(usual)
        await shop.deploy("big", release=await _newest_ready(ims))


async def _newest_ready(ims: Ims) -> dict[str, Any]:
    releases = (await ims.ok("GET", "/v1/releases", params={"app": "shop", "order": "desc"}))["items"]
    return next(one for one in releases if one["status"] == "ready")


async def count(ims: Ims) -> dict[str, int]:
    """How many statements each list takes."""
    counts = {}
    for path in LISTS:
        await ims.ok("GET", "/v1/tokens?limit=1")  # the token's last use is noted
        with statements(ims) as said:
            await ims.ok("GET", path)
        counts[path] = len(said)
    return counts


async def test_a_long_list_takes_no_more_statements_than_a_short_one(shop: Shop) -> None:
    await shop.install("big")
    await grow(shop, range(3))
    few = await count(shop.ims)
    await grow(shop, range(3, 15))
    assert await count(shop.ims) == few
    assert max(few.values()) <= 12, few  # three of them say who calls


async def test_a_large_deploy_and_a_large_release_take_no_more_statements_than_small_ones(shop: Shop) -> None:
    async def add(numbers: range, install: str) -> tuple[int, int, int]:
        for n in numbers:
            await shop.ims.ok("POST", "/v1/apps/shop/components", {"name": f"part-{n}", "config": module(path=f"/src/{n}")})
        release = await shop.new_release()
        await shop.install(install, approval="vendor")
        deploy = await shop.begin(install, release)
        counts = []
        for path in (f"/v1/releases/{release['id']}", f"/v1/deploys/{deploy['id']}", f"/v1/installs/{install}"):
            with statements(shop.ims) as said:
                await shop.ims.ok("GET", path)
            counts.append(len(said))
        return counts[0], counts[1], counts[2]

    assert await add(range(1), "small") == await add(range(1, 30), "large")


SCANNED = {
    "sqlite": re.compile(r"^SCAN (job|step|event|log_chunk|webhook_delivery)\b(?!.*USING)"),
    "postgresql": re.compile(r"Seq Scan on (job|step|event|log_chunk|webhook_delivery)\b"),
}


async def test_no_list_reads_a_large_table_from_end_to_end(shop: Shop) -> None:
    await shop.install("big")
    await grow(shop, range(3))
    driver = shop.ims.state.db._driver
    found = []
    for path in LISTS:
        with statements(shop.ims) as said:
            await shop.ims.ok("GET", path)
        found += [(path, statement, parameters) for statement, parameters in said if statement.startswith("SELECT")]
    scans = []
    with driver.reader.connect() as connection:
        kind = connection.dialect.name
        if kind == "postgresql":
            connection.execute(text("SET enable_seqscan = off"))  # few rows are read faster so; what counts is whether it must
        explain = "EXPLAIN QUERY PLAN " if kind == "sqlite" else "EXPLAIN "
        for path, statement, parameters in found:
            for line in connection.exec_driver_sql(explain + statement, parameters):
                if SCANNED[kind].search(str(line[-1])):
                    scans.append((path, line[-1], statement[:200]))
    assert not scans
