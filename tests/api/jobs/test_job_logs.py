"""Logs of jobs: chunks come in order or not, once or twice, and are read as one text."""

import gzip

import pytest
from ims_driver import Agent, Body, Ims
from shop import SYNCED, Shop

from api.contract.agents import LOG_CHUNK_BYTES

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
    assert not list(ims.data.rglob("*.gz"))


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


async def test_logs_are_files_that_only_their_owner_reads(ims: Ims, shop: Shop, leased: tuple[Agent, Body]) -> None:
    agent, lease = leased
    await agent.log(lease, "text\n")
    folder = ims.data / "logs" / lease["job_id"]
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [file.name for file in folder.iterdir()] == ["1-0.gz"]


async def test_the_log_of_a_job_that_is_not_there_is_not_found(ims: Ims, shop: Shop) -> None:
    await ims.refused(404, "GET", "/v1/jobs/job_nope/logs")
