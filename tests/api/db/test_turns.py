"""Agents' calls come first, and nobody waits for ever."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from held_writer import HeldWriter
from migrated import open_new
from sqlalchemy.exc import OperationalError

from api.db.database import Database
from api.db.doorbell import Doorbell
from api.db.transaction import Write
from api.events.chain import Chain
from api.settings import Settings

pytestmark = pytest.mark.anyio


@pytest.fixture
async def db(tmp_path: Path, database_url: str | None) -> AsyncIterator[Database]:
    settings = Settings(tmp_path / "ims", "http://ims.test", database=database_url or "sqlite")
    settings.data.mkdir()
    database = Database(
        open_new(settings), clock=lambda: datetime(2026, 1, 1, tzinfo=UTC), doorbell=Doorbell(), history=Chain()
    )
    yield database
    await database.close()


def load(tx: Write, calls: list[tuple[list[str], str]]) -> None:
    for order, _ in calls[:1]:
        order.append(f"load {len(calls)}")


def note(tx: Write, order: list[str], name: str) -> None:
    order.append(name)


async def test_agents_calls_come_before_what_was_asked_for_earlier(db: Database) -> None:
    order: list[str] = []
    async with HeldWriter(db) as held:
        slow = [asyncio.create_task(db.write("test", note, order, f"slow {number}")) for number in range(3)]
        await held.queued(3)
        urgent = [
            asyncio.create_task(db.write_together(load, "test", note, order, f"urgent {n}", urgent=True)) for n in range(2)
        ]
        await held.queued(5)
    await asyncio.gather(*slow, *urgent)
    assert order == ["load 2", "urgent 0", "urgent 1", "slow 0", "slow 1", "slow 2"]


async def test_others_get_their_turn_while_agents_never_stop_calling(db: Database) -> None:
    ended = asyncio.Event()
    order: list[str] = []

    async def call_again_and_again() -> None:
        while not ended.is_set():
            await db.write_together(load, "test", note, order, "urgent", urgent=True)

    callers = [asyncio.create_task(call_again_and_again()) for _ in range(20)]
    async with asyncio.timeout(60):
        for number in range(10):
            await db.write("test", note, order, f"slow {number}")
    ended.set()
    await asyncio.gather(*callers)


async def test_a_few_others_of_a_kind_share_what_they_look_up(db: Database) -> None:
    order: list[str] = []
    async with HeldWriter(db) as held:
        writes = [asyncio.create_task(db.write_together(load, "test", note, order, str(number))) for number in range(20)]
        await held.queued(20)
    await asyncio.gather(*writes)
    assert [name for name in order if name.startswith("load")] == ["load 8", "load 8", "load 4"]


@pytest.mark.parametrize("urgent", [True, False])
async def test_without_a_database_all_that_wait_are_told(db: Database, urgent: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise OperationalError("BEGIN", {}, OSError("away"))

    order: list[str] = []
    async with HeldWriter(db) as held:
        monkeypatch.setattr(db._driver, "take_turn", away)
        writes = [
            asyncio.create_task(db.write_together(load, "test", note, order, str(number), urgent=urgent))
            for number in range(20)
        ]
        await held.queued(20)
    async with asyncio.timeout(60):
        results = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(result) for result in results] == [OperationalError] * 20
    monkeypatch.undo()
    await db.write("test", note, order, "after")
    assert order[-1] == "after"
