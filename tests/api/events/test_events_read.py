"""Reading the history: what is exported, what is streamed, and whose it is."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from ims_driver import Body, Ims
from server_process import ServerProcess
from shop import Shop

from api.contract.resources import Event
from api.events.lines import GENESIS, START, End, follow
from api.events.service import line_of

pytestmark = pytest.mark.anyio


async def exported(ims: Ims, **params: str) -> list[Body]:
    answer = await ims.send("GET", "/v1/events/export", params=params)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/jsonl"
    return [json.loads(line) for line in answer.text.splitlines()]


async def test_an_export_has_every_line_and_verifies_by_itself(ims: Ims, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.events.service._PAGE", 3)
    lines = await exported(ims)
    assert lines == (await ims.ok("GET", "/v1/events", params={"limit": 1000}))["items"]
    assert lines[0]["previous_hash"] == GENESIS
    events = [line_of(Event.model_validate(line)) for line in lines]
    assert follow(START, events) == (End(len(events), events[-1].hash), None)
    assert await exported(ims, after="2") == lines[2:]
    assert await exported(ims, after="9999") == []


async def test_the_server_verifies_page_by_page(ims: Ims, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.events.service._VERIFY_PAGE", 4)
    lines = await exported(ims)
    assert await ims.ok("GET", "/v1/events/verify") == {
        "whole": True,
        "broken_at": None,
        "lines": len(lines),
        "pruned": 0,
        "last_hash": lines[-1]["hash"],
    }


async def test_the_history_of_one_install_or_app_leaves_out_the_others(ims: Ims, shop: Shop) -> None:
    await ims.ok("POST", "/v1/apps", {"name": "other"})
    await shop.install("acme")
    await shop.install("umbrella")
    await shop.deploy("acme")
    acme = await exported(ims, install="acme")
    actions = {line["action"] for line in acme}
    assert {"install.created", "agent.enrolled", "deploy.created", "step.succeeded", "job.leased", "ticket.issued"} <= actions
    assert len({line["install_id"] for line in acme}) == 1
    app = await exported(ims, app="shop")
    assert [line for line in app if line["install_id"] == acme[0]["install_id"]] == acme
    assert {"app.created", "release.ready", "build.succeeded", "component.created"} <= {line["action"] for line in app}
    assert "other" not in str(app)
    await ims.refused(404, "GET", "/v1/events/export", params={"install": "nobody"})
    await ims.refused(404, "GET", "/v1/events/stream", params={"app": "nobody"})


async def test_a_deleted_installs_history_is_found_by_its_id(ims: Ims, shop: Shop) -> None:
    made = await ims.ok("POST", "/v1/installs", {"app_id": "shop", "name": "acme"})
    await ims.ok("DELETE", "/v1/installs/acme")
    assert [line["action"] for line in await exported(ims, install=made["id"])] == ["install.created", "install.deleted"]
    await ims.refused(404, "GET", "/v1/events", params={"install": "acme"})


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"action": "app.*"}, {"app.created", "app.updated"}),
        ({"action": "app.updated"}, {"app.updated"}),
        ({"actor": "token:admin", "action": "token.*"}, set()),
        ({"since": "2026-11-21T09:00:00Z", "action": "*"}, {"app.updated"}),
        ({"until": "2026-11-21T09:00:00Z", "action": "app.*"}, {"app.created"}),
    ],
)
async def test_the_history_can_be_narrowed(ims: Ims, shop: Shop, params: dict[str, str], expected: set[str]) -> None:
    await ims.ok("PUT", "/v1/apps/shop", {"description": "sells"})
    assert {line["action"] for line in await exported(ims, **params)} == expected


@pytest.mark.parametrize(
    "params",
    [
        {"action": "*.created"},
        {"action": "a%"},
        {"since": "2026-11-21T09:00:00"},
        {"since": "2026"},
        {"until": "20261121"},
        {"since": "0001-01-01T00:00:00+14:00"},
        {"until": "9999-12-31T23:59:59-14:00"},
        {"after": "x"},
    ],
)
async def test_a_filter_that_makes_no_sense_is_refused(ims: Ims, params: dict[str, str]) -> None:
    for path in ("/v1/events", "/v1/events/export", "/v1/events/stream"):
        await ims.refused(422, "GET", path, params=params)


async def test_taking_a_line_out_of_an_installs_history_breaks_the_chain(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")
    lines = await exported(ims)
    at = next(number for number, line in enumerate(lines) if line["install_id"])
    lines[at] = {**lines[at], "install_id": None}
    assert follow(START, (line_of(Event.model_validate(line)) for line in lines))[1] == at + 1


async def frames(response: httpx.Response) -> AsyncIterator[dict[str, str]]:
    """The events of a stream, as the HTML standard reads them."""
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line.startswith(":"):
            yield {"comment": line[1:].strip()}
        elif line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            yield fields
            fields = {}


async def streamed(http: httpx.AsyncClient, url: str, token: str, count: int, **more: Any) -> list[dict[str, str]]:
    headers = {"authorization": f"Bearer {token}", **more.pop("headers", {})}
    found: list[dict[str, str]] = []
    async with asyncio.timeout(60), http.stream("GET", f"{url}/v1/events/stream", headers=headers, **more) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        async for frame in frames(response):
            if "data" in frame:
                found.append(frame)
            if len(found) == count:
                break
    return found


@pytest.mark.parametrize("where", [{"headers": {"last-event-id": "99"}}, {"params": {"after": "99"}}])
async def test_a_stream_does_not_begin_behind_the_end_of_the_history(ims: Ims, where: dict[str, dict[str, str]]) -> None:
    problem = await ims.refused(422, "GET", "/v1/events/stream", **where)
    assert "the history ends with event 1:" in problem["detail"]
    assert "restored" in problem["errors"][0]["remedy"]


async def test_a_stream_that_ends_before_an_event_has_said_where_to_go_on(ims: Ims) -> None:
    await ims.ok("POST", "/v1/apps", {"name": "one"})
    reading = asyncio.create_task(ims.send("GET", "/v1/events/stream"))
    await ims.doorbell.somebody_listens("events")
    ims.doorbell.close()
    assert (await reading).text.startswith("id: 2\nretry: ")


@pytest.mark.e2e
async def test_events_are_streamed_over_a_socket_and_go_on_where_the_reader_was(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "ims")
    try:
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
            ims = server.client(http)
            await ims.ok("POST", "/v1/apps", {"name": "one"})
            first = await streamed(http, server.url, server.token, 2, params={"after": "0"})
            assert [frame["event"] for frame in first] == ["token.created", "app.created"]
            assert json.loads(first[1]["data"])["after"]["name"] == "one"
            last = {"last-event-id": first[1]["id"]}
            waiting = asyncio.create_task(streamed(http, server.url, server.token, 1, headers=last))
            await asyncio.sleep(0)
            await ims.ok("POST", "/v1/apps", {"name": "two"})
            (frame,) = await waiting
            assert (int(frame["id"]), json.loads(frame["data"])["after"]["name"]) == (int(first[1]["id"]) + 1, "two")

            async with http.stream("GET", "/v1/events/stream", headers={"authorization": f"Bearer {server.token}"}) as open_one:
                reading = open_one.aiter_lines()
                assert (await anext(reading), (await anext(reading))[:5]) == (f"id: {frame['id']}", "retry")
                took = await asyncio.to_thread(server.end, signal.SIGTERM)
                assert [line async for line in reading if line] == []
            assert took < 30
    finally:
        server.end(signal.SIGKILL)
