"""A log as server-sent events: in order, from where the reader was, to the job's end."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator

import httpx
import pytest
import uvicorn
from ims_driver import Agent, Body, Ims
from prompt_server import PromptServer
from shop import SYNCED, Shop

from api.client import ImsClient
from api.event_stream import SentEvent, read_events

pytestmark = pytest.mark.anyio


@pytest.fixture
async def leased(shop: Shop) -> tuple[Agent, Body]:
    agent = await shop.install("acme")
    await shop.begin("acme")
    return agent, await agent.take("sync", "network")


@pytest.fixture
async def client(ims: Ims) -> AsyncIterator[ImsClient]:
    """The IMS over real sockets: in process, an answer comes only as a whole."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        server = PromptServer(uvicorn.Config(ims.app, lifespan="off", log_level="error", ws="none"))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        async with httpx.AsyncClient(timeout=None, trust_env=False) as http:
            yield ImsClient(f"http://127.0.0.1:{listener.getsockname()[1]}", ims.token, http)
        server.end()
        ims.doorbell.close()
        await asyncio.wait_for(task, 60)


async def whole(ims: Ims, lease: Body, headers: dict[str, str] | None = None, **params: int) -> list[SentEvent]:
    """Every event of a stream that ends."""
    answer = await asyncio.wait_for(
        ims.send("GET", f"/v1/jobs/{lease['job_id']}/logs/stream", params=params, headers=headers or {}), 60
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")

    async def lines() -> AsyncIterator[str]:
        for line in answer.text.split("\n"):
            yield line

    return [event async for event in read_events(lines())]


def kinds(events: list[SentEvent]) -> list[tuple[str, str]]:
    return [(event.event, event.id) for event in events]


async def test_a_log_that_is_complete_is_sent_and_ended(ims: Ims, shop: Shop, leased: tuple[Agent, Body]) -> None:
    agent, lease = leased
    await agent.log(lease, "für alle\n\n  lines\n")
    await agent.succeed(lease, SYNCED)
    events = await whole(ims, lease)
    assert kinds(events) == [("attempt", "1-0"), ("log", "1-19"), ("end", "1-19")]
    assert events[1].data == "für alle\n\n  lines\n"
    assert json.loads(events[2].data) == {"outcome": "succeeded", "message": ""}


async def test_a_reader_goes_on_from_where_it_was(ims: Ims, shop: Shop, leased: tuple[Agent, Body]) -> None:
    agent, lease = leased
    await agent.log(lease, "one\n")
    await agent.log(lease, "two\n", seq=1, offset=4)
    await agent.fail(lease)
    for given in ({"headers": {"last-event-id": "1-4"}}, {"headers": {"last-event-id": "4"}}, {"offset": 4}):
        events = await whole(ims, lease, **given)
        assert [event.data for event in events if event.event == "log"] == ["two\n"]
        assert json.loads(events[-1].data) == {"outcome": "failed", "message": "broken indeed"}
    await ims.refused(422, "GET", f"/v1/jobs/{lease['job_id']}/logs/stream", headers={"last-event-id": "nonsense"})


async def test_a_reader_who_missed_an_attempt_gets_the_rest_of_it_then_the_next(
    ims: Ims, shop: Shop, leased: tuple[Agent, Body]
) -> None:
    agent, lease = leased
    await agent.log(lease, "first\n")
    await agent.take("sync", "service")
    await agent.fail(lease, retryable=True)
    ims.clock.forward(2)
    again = await agent.take("sync", "network")
    await agent.log(again, "second\n")
    await agent.succeed(again, SYNCED)
    events = await whole(ims, lease, headers={"last-event-id": "1-2"})
    assert kinds(events) == [("log", "1-6"), ("attempt", "2-0"), ("log", "2-7"), ("end", "2-7")]
    assert events[0].data == "rst\n"
    one = await whole(ims, lease, attempt=1)
    assert kinds(one) == [("attempt", "1-0"), ("log", "1-6"), ("end", "1-6")][1:]
    assert json.loads(one[-1].data)["outcome"] == "retried"


async def test_lines_come_as_they_are_written_and_a_new_attempt_is_told(
    ims: Ims, shop: Shop, leased: tuple[Agent, Body], client: ImsClient
) -> None:
    agent, lease = leased
    path = f"/v1/jobs/{lease['job_id']}/logs/stream"
    async with asyncio.timeout(60), client.lines(path) as lines, contextlib.aclosing(read_events(lines)) as events:
        assert (await anext(events)).event == "attempt"
        await agent.log(lease, "one\n")
        assert (await anext(events)).data == "one\n"
        assert (await agent.heartbeat(lease)).json()["log_seconds"] == 1
        await agent.take("sync", "service")
        await agent.fail(lease, retryable=True)
        ims.clock.forward(2)
        again = await agent.take("sync", "network")
        await agent.log(again, "two\n")
        assert (await anext(events)).data == "2"
        assert (await anext(events)).data == "two\n"
        await agent.succeed(again, SYNCED)
        assert (await anext(events)).event == "end"
        with pytest.raises(StopAsyncIteration):
            await anext(events)


async def test_a_reader_who_goes_away_leaves_nothing_behind(
    ims: Ims, shop: Shop, leased: tuple[Agent, Body], client: ImsClient
) -> None:
    _, lease = leased
    path = f"/v1/jobs/{lease['job_id']}/logs/stream"
    async with client.lines(path) as lines:
        assert await anext(lines)
        assert ims.doorbell.requests
    async with asyncio.timeout(60):
        while ims.doorbell.requests:  # noqa: ASYNC110 - nothing tells a test that the server has noticed
            await asyncio.sleep(0)


async def test_a_stop_of_the_server_ends_a_stream_without_an_end(
    ims: Ims, shop: Shop, leased: tuple[Agent, Body], client: ImsClient
) -> None:
    _, lease = leased
    async with asyncio.timeout(60), client.lines(f"/v1/jobs/{lease['job_id']}/logs/stream") as lines:
        events = read_events(lines)
        assert (await anext(events)).event == "attempt"
        ims.doorbell.close()
        assert [event async for event in events] == []


async def test_the_stream_of_a_job_that_is_not_there_is_not_found(ims: Ims, shop: Shop) -> None:
    await ims.refused(404, "GET", "/v1/jobs/job_nope/logs/stream")
