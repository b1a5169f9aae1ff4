"""Logs of jobs: chunks come in order or not, once or twice, and are read as one text."""

import asyncio
import gzip
from dataclasses import replace
from pathlib import Path

import pytest
from ims_driver import Agent, Body, Ims, running_ims
from shop import SYNCED, Shop
from sqlalchemy import text

from api import housekeeping
from api.contract.agents import LOG_CHUNK_BYTES
from api.jobs import logs, retention

pytestmark = pytest.mark.anyio


@pytest.fixture
async def leased(shop: Shop) -> tuple[Agent, Body]:
    agent = await shop.install("acme")
    await shop.begin("acme")
    return agent, await agent.take("sync", "network")


async def read(ims: Ims, lease: Body, **params: int) -> tuple[str, int]:
    answer = await ims.send("GET", f"/v1/jobs/{lease['job_id']}/logs", params=params)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    return answer.text, int(answer.headers["x-next-offset"])


async def test_chunks_are_read_as_one_text(ims: Ims, shop: Shop, leased: tuple[Agent, Body]) -> None:
    agent, lease = leased
    assert await read(ims, lease) == ("", 0)
    await agent.log(lease, "für alle\n")
    await agent.log(lease, "second\n", seq=1, offset=10)
    assert await read(ims, lease) == ("für alle\nsecond\n", 17)
    assert await read(ims, lease, offset=10) == ("second\n", 17)
    assert await read(ims, lease, offset=12) == ("cond\n", 17)
    assert await read(ims, lease, offset=17) == ("", 17)
    assert await read(ims, lease, offset=99) == ("", 99)


async def test_the_same_chunk_again_is_harmless(ims: Ims, shop: Shop, leased: tuple[Agent, Body]) -> None:
    agent, lease = leased
    for _ in range(2):
        assert (await agent.log(lease, "once\n")).status_code == 204
    assert await read(ims, lease) == ("once\n", 5)


async def test_the_text_ends_at_a_gap_until_the_gap_is_filled(ims: Ims, shop: Shop, leased: tuple[Agent, Body]) -> None:
    agent, lease = leased
    await agent.log(lease, "a\n")
    await agent.log(lease, "c\n", seq=2, offset=4)
    assert await read(ims, lease) == ("a\n", 2)
    assert await read(ims, lease, offset=4) == ("c\n", 6)
    await agent.log(lease, "b\n", seq=1, offset=2)
    assert await read(ims, lease) == ("a\nb\nc\n", 6)


async def test_each_attempt_has_a_log_of_its_own(ims: Ims, shop: Shop, leased: tuple[Agent, Body]) -> None:
    agent, lease = leased
    await agent.log(lease, "first\n")
    await agent.take("sync", "service")
    await agent.fail(lease, retryable=True)
    assert (await agent.log(lease, "late\n", seq=1, offset=6)).status_code == 410
    ims.clock.forward(2)
    again = await agent.take("sync", "network")
    await agent.log(again, "second\n")
    assert await read(ims, lease) == ("second\n", 7)
    assert await read(ims, lease, attempt=1) == ("first\n", 6)
    assert (await agent.log(lease, "late\n", seq=1, offset=6)).status_code == 410


async def test_the_tail_of_a_log_may_come_a_little_after_the_end(ims: Ims, shop: Shop, leased: tuple[Agent, Body]) -> None:
    agent, lease = leased
    await agent.succeed(lease, SYNCED)
    ims.clock.forward(290)
    assert (await agent.log(lease, "tail\n")).status_code == 204
    ims.clock.forward(20)
    late = await agent.log(lease, "more\n", seq=1, offset=5)
    assert (late.status_code, late.json()["type"]) == (410, "urn:exclave:problem:attempt_closed")


async def test_another_agent_may_not_write_the_log(ims: Ims, shop: Shop, leased: tuple[Agent, Body]) -> None:
    _, lease = leased
    other = await shop.install("umbrella")
    assert (await other.log(lease, "lies\n")).status_code == 410
    assert (await other.log({"job_id": "job_nope", "attempt": 1}, "x")).status_code == 404
    assert await read(ims, lease) == ("", 0)


@pytest.mark.parametrize(
    "chunk",
    [
        b"plain text",
        b"",
        gzip.compress(b"whole")[:-4],
        gzip.compress(b"one") + gzip.compress(b"two"),
        gzip.compress(b"x" * (LOG_CHUNK_BYTES + 1)),
        gzip.compress(b"x" * LOG_CHUNK_BYTES) + b"x" * LOG_CHUNK_BYTES * 2,
    ],
    ids=["text", "nothing", "cut off", "two members", "a bomb", "too large"],
)
async def test_what_is_not_one_small_gzip_member_is_refused(
    ims: Ims, shop: Shop, leased: tuple[Agent, Body], chunk: bytes
) -> None:
    agent, lease = leased
    assert (await agent.log(lease, "", chunk=chunk)).status_code == (413 if len(chunk) > 2 * LOG_CHUNK_BYTES else 422)
    assert await read(ims, lease) == ("", 0)


async def test_the_largest_chunk_is_taken(ims: Ims, shop: Shop, leased: tuple[Agent, Body]) -> None:
    agent, lease = leased
    text = "x" * LOG_CHUNK_BYTES
    assert (await agent.log(lease, text)).status_code == 204
    assert await read(ims, lease) == (text, LOG_CHUNK_BYTES)


@pytest.mark.parametrize(("seq", "offset"), [(-1, 0), (0, -1), (10**30, 0), (0, 10**30)])
async def test_numbers_that_can_not_be_are_refused(
    ims: Ims, shop: Shop, leased: tuple[Agent, Body], seq: int, offset: int
) -> None:
    agent, lease = leased
    assert (await agent.log(lease, "x", seq=seq, offset=offset)).status_code == 422


async def test_another_text_under_the_number_of_a_chunk_is_refused(ims: Ims, shop: Shop, leased: tuple[Agent, Body]) -> None:
    agent, lease = leased
    assert (await agent.log(lease, "once\n")).status_code == 204
    repacked = gzip.compress(b"once\n", compresslevel=1, mtime=7)
    assert (await agent.log(lease, "", chunk=repacked)).status_code == 204
    for other, offset in [("else\n", 0), ("longer\n", 0), ("once\n", 5)]:
        refused = await agent.log(lease, other, offset=offset)
        assert (refused.status_code, refused.json()["type"]) == (409, "urn:exclave:problem:chunk_conflict")
    assert await read(ims, lease) == ("once\n", 5)


async def test_a_gap_that_no_chunk_will_fill_any_more_is_told(ims: Ims, shop: Shop, leased: tuple[Agent, Body]) -> None:
    agent, lease = leased
    await agent.log(lease, "begin\n", seq=1, offset=100)
    await agent.log(lease, "no end", seq=2, offset=106)
    await agent.log(lease, "tail\n", seq=4, offset=200)
    assert await read(ims, lease) == ("", 0)
    await agent.succeed(lease, SYNCED)
    told = "[exclave: {} bytes of the log are missing]\n"
    whole = told.format(100) + "begin\nno end\n" + told.format(88) + "tail\n"
    assert await read(ims, lease) == (whole, 205)
    assert await read(ims, lease, offset=106) == ("no end\n" + told.format(88) + "tail\n", 205)


async def test_a_full_log_says_so_and_stops_the_uploader_not_the_job(
    ims: Ims, shop: Shop, leased: tuple[Agent, Body], monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, lease = leased
    monkeypatch.setattr(logs, "JOB_LOG_BYTES", 10)
    assert (await agent.log(lease, "12345678\n")).status_code == 204
    for seq in (1, 2):
        full = await agent.log(lease, "more\n", seq=seq, offset=9)
        assert (full.status_code, full.json()["type"]) == (413, "urn:exclave:problem:log_full")
    text, _ = await read(ims, lease)
    assert text == "12345678\n[exclave: the log ends here; of one job, 256 MiB are kept]\n"
    await agent.fail(lease, retryable=True)
    ims.clock.forward(2)
    again = await agent.take("sync", "network")  # all attempts of a job share what is kept
    assert (await agent.log(again, "more\n")).status_code == 413
    assert "the log ends here" in (await read(ims, again))[0]
    await agent.succeed(again, SYNCED)


async def test_a_long_log_is_read_in_parts(ims: Ims, shop: Shop, leased: tuple[Agent, Body]) -> None:
    agent, lease = leased
    for seq in range(70):
        await agent.log(lease, f"{seq:03}\n", seq=seq, offset=4 * seq)
    text, end = await read(ims, lease)
    assert end == 4 * 64
    rest, end = await read(ims, lease, offset=end)
    assert (text + rest, end) == ("".join(f"{seq:03}\n" for seq in range(70)), 280)


async def test_an_attempt_that_is_not_there_is_not_found(ims: Ims, shop: Shop, leased: tuple[Agent, Body]) -> None:
    _, lease = leased
    problem = await ims.refused(404, "GET", f"/v1/jobs/{lease['job_id']}/logs", params={"attempt": 2})
    assert "its newest is attempt 1" in problem["detail"]
    problem = await ims.refused(404, "GET", f"/v1/jobs/{lease['job_id']}/logs/stream", params={"attempt": 2})
    assert "has no attempt 2" in problem["detail"]


async def test_nobody_waits_for_more_of_a_log_whose_job_has_ended(ims: Ims, shop: Shop, leased: tuple[Agent, Body]) -> None:
    agent, lease = leased
    path = f"/v1/jobs/{lease['job_id']}/logs"
    waiting = asyncio.create_task(ims.send("GET", path, params={"wait": 60}))
    await ims.doorbell.somebody_listens(f"job:{lease['job_id']}")
    await agent.succeed(lease, SYNCED)
    answer = await asyncio.wait_for(waiting, 60)
    assert (answer.text, answer.headers["x-log-closed"]) == ("", "true")
    assert (await asyncio.wait_for(ims.send("GET", path, params={"wait": 60}), 40)).text == ""


async def test_the_agent_is_told_to_send_at_once_while_somebody_watches(
    ims: Ims, shop: Shop, leased: tuple[Agent, Body]
) -> None:
    agent, lease = leased
    assert lease["log_seconds"] == 15
    assert (await agent.heartbeat(lease)).json()["log_seconds"] == 15
    await ims.send("GET", f"/v1/jobs/{lease['job_id']}/logs", params={"wait": 0.01})
    assert (await agent.heartbeat(lease)).json()["log_seconds"] == 1
    ims.clock.forward(50)
    assert (await agent.heartbeat(lease)).json()["log_seconds"] == 15


async def test_old_logs_are_removed_and_those_of_open_jobs_are_kept(
    ims: Ims, shop: Shop, leased: tuple[Agent, Body], monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, lease = leased
    monkeypatch.setattr(retention, "_CHUNKS_A_BATCH", 2)
    still = await agent.take("sync", "service")
    for held in (lease, still):
        for seq in range(5):
            await agent.log(held, "text\n", seq=seq, offset=5 * seq)
    await agent.succeed(lease, SYNCED)
    body = {"older_than_seconds": 86400}
    assert (await ims.ok("POST", "/v1/jobs/prune-logs", body))["chunks"] == 0
    ims.clock.forward(86401)
    pruned = await ims.ok("POST", "/v1/jobs/prune-logs", body)
    assert (pruned["jobs"], pruned["chunks"], pruned["bytes"], pruned["more"]) == (1, 5, 25, False)
    told = [event["after"] for event in await ims.events("logs.pruned")]
    assert [(one["jobs"], one["chunks"]) for one in told] == [(0, 2), (0, 2), (1, 1)]
    gone = await ims.refused(410, "GET", f"/v1/jobs/{lease['job_id']}/logs")
    assert gone["type"] == "urn:exclave:problem:log_pruned"
    assert (await read(ims, still))[1] == 25


async def test_the_running_server_removes_what_is_older_than_its_settings_say(
    ims: Ims, shop: Shop, leased: tuple[Agent, Body]
) -> None:
    agent, lease = leased
    await agent.log(lease, "text\n")
    await agent.succeed(lease, SYNCED)
    ims.clock.forward(91 * 86400)
    for_ever = replace(ims.state.settings, retention_logs_days=0)
    await housekeeping.prune(ims.state.db, for_ever)
    assert await ims.events("logs.pruned") == []
    await housekeeping.prune(ims.state.db, ims.state.settings)
    assert len(await ims.events("logs.pruned")) == 1


async def test_files_of_an_earlier_version_are_taken_over_at_the_start(tmp_path: Path, database_url: str | None) -> None:
    async with running_ims(tmp_path / "ims", database_url=database_url) as first:
        shop = await Shop.open(first)
        agent = await shop.install("acme")
        await shop.begin("acme")
        lease = await agent.take("sync", "network")
        for seq, line in enumerate(["one\n", "two\n", "end\n"]):
            await agent.log(lease, line, seq=seq, offset=4 * seq)
        await agent.succeed(lease, SYNCED)
    folder = tmp_path / "ims" / "logs" / lease["job_id"]
    folder.mkdir(parents=True)
    with first.database() as connection:
        for seq, data in connection.execute(text("SELECT seq, data FROM log_chunk")):
            (folder / f"1-{seq}.gz").write_bytes(data)
        connection.execute(text("UPDATE log_chunk SET data = NULL"))
    (folder / "1-1.gz").unlink()
    async with running_ims(tmp_path / "ims", token=first.token, database_url=database_url) as ims:
        assert (await read(ims, lease))[0] == "one\n[exclave: 4 bytes of the log are missing]\nend\n"
        assert not (tmp_path / "ims" / "logs").exists()


async def test_the_log_of_a_job_that_is_not_there_is_not_found(ims: Ims, shop: Shop) -> None:
    await ims.refused(404, "GET", "/v1/jobs/job_nope/logs")
