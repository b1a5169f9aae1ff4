"""Writes that wait until there is something to do, and run in the commit that brings it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from held_writer import HeldWriter
from migrated import open_new
from sqlmodel import select

from api.contract.access import TokenCreate
from api.db.database import Database
from api.db.doorbell import Doorbell
from api.db.driver import Ring
from api.db.link import Link
from api.db.standing import Waiting
from api.db.transaction import Read, Write
from api.events.chain import Chain
from api.settings import Settings
from api.tokens import service as tokens
from api.tokens.models import TokenRow

pytestmark = pytest.mark.anyio


@pytest.fixture
async def db(tmp_path: Path, database_url: str | None) -> AsyncIterator[Database]:
    driver = open_new(Settings(tmp_path, "http://ims.test", database=database_url or "sqlite"))
    database = Database(driver, clock=lambda: datetime(2026, 1, 1, tzinfo=UTC), doorbell=Doorbell(), history=Chain())
    yield database
    await database.close()


def add(tx: Write, name: str) -> None:
    tx.ring("tokens")
    tokens.create(tx, TokenCreate(name=name))


def load(tx: Write, calls: list[tuple[str]]) -> None:
    """Nothing."""


def take(tx: Write, who: str) -> str | None:
    """Who took which token; None if there is none."""
    row = tx.first(select(TokenRow))
    if row is None:
        return None
    if row.name == "bad":
        raise ValueError(f"a bad token for {who}")
    tx.session.delete(row)
    return f"{row.name} for {who}"


def left(tx: Read) -> list[str]:
    return [row.name for row in tx.all(select(TokenRow))]


def ask(db: Database, who: str = "one") -> Waiting[str]:
    return db.write_when_rung("tokens", load, "test", take, (f"{who} at first",), (who,))


async def stands(db: Database, count: int = 1) -> None:
    async with asyncio.timeout(60):
        while len(db.doorbell.standing) != count:  # noqa: ASYNC110 - it is another thread that keeps them
            await asyncio.sleep(0.001)


async def test_it_runs_in_the_commit_that_rings_for_it(db: Database) -> None:
    commits: list[int] = []
    db.committed = lambda writes, seconds: commits.append(writes)
    waiting = ask(db)
    await stands(db)
    await db.write("test", add, "a")
    assert await waiting.result(60) == "a for one"
    assert await db.read(left) == []
    await db.write("test", lambda _: None)  # the writer tells of a commit after its callers
    assert commits[:2] == [1, 2]
    assert len(db.doorbell.standing) == 0


async def test_it_does_not_wait_for_what_is_there(db: Database) -> None:
    await db.write("test", add, "a")
    assert await ask(db).result(60) == "a for one at first"


async def test_a_ring_of_the_commit_in_which_it_found_nothing_counts(db: Database) -> None:
    async with HeldWriter(db):
        waiting = ask(db)
        added = asyncio.create_task(db.write_together(load, "test", add, "a", urgent=True))
        await asyncio.sleep(0)
    assert await waiting.result(60) == "a for one"
    await added


async def test_the_longest_waiting_comes_first_and_the_others_wait_on(db: Database) -> None:
    first = ask(db, "one")
    await stands(db, 1)
    second = ask(db, "two")
    await stands(db, 2)
    await db.write("test", add, "a")
    assert await first.result(60) == "a for one"
    await stands(db, 1)
    await db.write("test", add, "b")
    assert await second.result(60) == "b for two"


async def test_it_ends_with_its_time_and_takes_nothing_afterwards(db: Database) -> None:
    waiting = ask(db)
    await stands(db)
    assert await waiting.result(0.01) is None
    await db.write("test", add, "a")
    assert await db.read(left) == ["a"]


async def test_whoever_is_cancelled_takes_nothing(db: Database) -> None:
    waiting = asyncio.create_task(ask(db).result(60))
    await asyncio.sleep(0)
    await stands(db)
    waiting.cancel()
    await asyncio.wait([waiting])
    await db.write("test", add, "a")
    assert await db.read(left) == ["a"]


async def test_what_it_raises_reaches_its_caller_alone(db: Database) -> None:
    waiting = ask(db)
    await stands(db)
    await db.write("test", add, "bad")
    with pytest.raises(ValueError, match="a bad token for one"):
        await waiting.result(60)
    assert await db.read(left) == ["bad"]


async def test_a_commit_that_fails_ends_the_waiting(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(link: Link, topics: set[str]) -> None:
        raise OSError("the disk is full")

    waiting = ask(db)
    await stands(db)
    monkeypatch.setattr(db._driver, "announce", fail)
    with pytest.raises(OSError, match="disk is full"):
        await db.write("test", add, "a")
    with pytest.raises(OSError, match="disk is full"):
        await waiting.result(60)

    monkeypatch.setattr(db._history, "write", lambda link: fail(link, set()))
    with pytest.raises(OSError, match="disk is full"):
        await ask(db).result(60)
    monkeypatch.undo()
    assert len(db.doorbell.standing) == 0
    await db.write("test", add, "later")
    assert await db.read(left) == ["later"]


async def test_a_stop_ends_the_waiting_and_lets_none_begin(db: Database) -> None:
    waiting = ask(db)
    await stands(db)
    assert db.doorbell.waiting == 1
    db.doorbell.close()
    assert await waiting.result(60) is None
    assert await ask(db).result(60) is None
    await db.write("test", add, "a")
    assert await ask(db).result(60) == "a for one at first", "what is there is still given"


@pytest.mark.parametrize("topics", [{"tokens"}, None])
async def test_another_process_rings_for_it(db: Database, monkeypatch: pytest.MonkeyPatch, topics: set[str] | None) -> None:
    rings: list[Ring] = []
    monkeypatch.setattr(db._driver, "listen", rings.append)
    db.listen()
    waiting = ask(db)
    await stands(db)

    def add_unheard(tx: Write) -> None:
        tokens.create(tx, TokenCreate(name="a"))

    await db.write("test", add_unheard)
    await stands(db)
    await asyncio.to_thread(rings[0], topics)
    assert await waiting.result(60) == "a for one"
