"""The embedded database: one writer, many readers, commits that are shared."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from held_writer import HeldWriter
from migrated import open_new
from postgresql import PostgresServer
from sqlalchemy.exc import DBAPIError
from sqlmodel import select

from api.contract.access import TokenCreate
from api.db.database import Database
from api.db.doorbell import Doorbell
from api.db.link import Link
from api.db.schema import open_database
from api.db.transaction import Read, Write
from api.events import service as events
from api.events.chain import Chain
from api.events.models import EventRow
from api.settings import Settings, UnusableDataError
from api.tokens import service as tokens
from api.tokens.models import TokenRow

pytestmark = pytest.mark.anyio


@pytest.fixture
async def db(tmp_path: Path, database_url: str | None) -> AsyncIterator[Database]:
    # A name that means something in a URL must not matter.
    settings = Settings(tmp_path / "an odd?name%", "http://ims.test", database=database_url or "sqlite")
    settings.data.mkdir()
    driver = open_new(settings)
    database = Database(driver, clock=lambda: datetime(2026, 1, 1, tzinfo=UTC), doorbell=Doorbell(), history=Chain())
    yield database
    await database.close()


def add(tx: Write, name: str) -> str:
    tx.ring("tokens")
    return tokens.create(tx, TokenCreate(name=name)).id


def add_and_fail(tx: Write, name: str) -> None:
    add(tx, name)
    tx.note_refusal("token.refused", name, {"why": "test"})
    raise RuntimeError(f"no {name}")


def names(tx: Read) -> list[str]:
    return [row.name for row in tx.all(select(TokenRow))]


def history(tx: Read) -> list[str]:
    return [row.action for row in tx.all(select(EventRow))]


async def test_a_write_that_fails_takes_nothing_else_of_its_batch_with_it(db: Database) -> None:
    async with HeldWriter(db):
        writes = [
            asyncio.create_task(db.write("test", add if number % 2 else add_and_fail, f"t{number}")) for number in range(10)
        ]
        await asyncio.sleep(0)
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert [isinstance(result, RuntimeError) for result in results] == [True, False] * 5
    assert await db.read(names) == [f"t{number}" for number in range(1, 10, 2)]
    assert await db.read(history) == ["token.refused", "token.created"] * 5
    assert (await events.verify(db))[2] is None


async def test_a_line_about_something_that_has_no_place_in_a_database_fails_nobody(db: Database) -> None:
    def note(tx: Write) -> None:
        tx.note_refusal("token.refused", "a\x00b\ud800", {})
        raise RuntimeError("refused")

    async with HeldWriter(db):
        refused = asyncio.create_task(db.write("some\x00body", note))
        added = asyncio.create_task(db.write("test", add, "good"))
        await asyncio.sleep(0)
    results = await asyncio.gather(refused, added, return_exceptions=True)
    assert isinstance(results[0], RuntimeError)
    assert await db.read(names) == ["good"]
    assert (await events.verify(db))[2] is None


async def test_a_commit_that_fails_is_told_to_everyone_of_its_batch(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async with HeldWriter(db):
        writes = [asyncio.create_task(db.write("test", add, f"t{number}")) for number in range(3)]
        await asyncio.sleep(0)

        def fail(link: Link, topics: set[str]) -> None:
            raise OSError("the disk is full")

        monkeypatch.setattr(db._driver, "announce", fail)  # the last that a batch does before its commit
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert [str(result) for result in results] == ["the disk is full"] * 3
    monkeypatch.undo()
    await db.write("test", add, "later")
    assert await db.read(names) == ["later"]


async def test_a_rehearsal_gives_the_answer_and_undoes_the_change(db: Database) -> None:
    assert (await db.rehearse("test", add, "dry")).startswith("tok_")
    with pytest.raises(RuntimeError, match="no wet"):
        await db.rehearse("test", add_and_fail, "wet")
    assert await db.read(names) == []
    assert await db.read(history) == ["token.refused"]


async def test_a_reader_can_not_write(db: Database) -> None:
    def sneak(tx: Read) -> None:
        tx.session.add(TokenRow(id="x", name="x", role="admin", secret_hash="x", created_at=tx.now))
        tx.session.flush()

    with pytest.raises(DBAPIError, match=r"read-?only"):
        await db.read(sneak)
    assert await db.read(names) == []


async def test_a_change_is_visible_as_soon_as_it_is_answered(db: Database) -> None:
    for number in range(5):
        await db.write("test", add, f"t{number}")
        assert len(await db.read(names)) == number + 1


async def test_the_bell_rings_after_the_commit_and_only_for_what_was_committed(db: Database) -> None:
    with db.doorbell.listen("tokens") as listener:
        with pytest.raises(RuntimeError):
            await db.write("test", add_and_fail, "no")
        assert not await listener.wait(0.01)
        await db.write("test", add, "yes")
        assert await listener.wait(60)
        assert await db.read(names) == ["yes"]


async def test_a_write_runs_even_if_its_caller_has_gone(db: Database) -> None:
    async with HeldWriter(db):
        task = asyncio.create_task(db.write("test", add, "gone"))
        await asyncio.sleep(0)
        task.cancel()
    await db.write("test", add, "after")
    assert await db.read(names) == ["gone", "after"]


async def test_a_close_finishes_what_is_queued(tmp_path: Path) -> None:
    settings = Settings(tmp_path, "http://ims.test")
    database = Database(open_database(settings), clock=lambda: datetime.now(UTC), doorbell=Doorbell(), history=Chain())
    writes = [asyncio.create_task(database.write("test", add, f"t{number}")) for number in range(100)]
    await asyncio.sleep(0)
    await database.close()
    assert len(await asyncio.gather(*writes)) == 100
    with sqlite3.connect(settings.database_file) as connection:
        assert connection.execute("SELECT count(*) FROM token").fetchone() == (100,)
    connection.close()


async def test_commits_are_on_the_disk_when_they_are_answered(db: Database, database_url: str | None) -> None:
    def pragmas(tx: Read) -> tuple[str, int, int]:
        connection = tx.session.connection()
        return tuple(
            connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        )  # type: ignore[return-value]

    if database_url:
        pytest.skip("these are SQLite's settings")
    assert await db.write("test", pragmas) == ("wal", 2, 1)


async def test_a_batch_sees_the_one_that_it_waited_for_whatever_the_database_s_isolation(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    url = postgres.new_database()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = serializable', "
            "current_database()); END $$"
        )
    settings = Settings(tmp_path, "http://ims.test", database=url)
    one, other = (
        Database(open_database(settings), clock=lambda: datetime.now(UTC), doorbell=Doorbell(), history=Chain())
        for _ in range(2)
    )
    try:
        async with HeldWriter(one, lambda tx: add(tx, "one")):  # it has the lock; the other's batch begins now, and waits
            write = asyncio.create_task(other.write("test", add, "other"))
            with psycopg.connect(url, autocommit=True) as connection:
                waits = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
                async with asyncio.timeout(60):
                    while connection.execute(waits).fetchone() is None:  # noqa: ASYNC110 - the server's own state
                        await asyncio.sleep(0.01)
        await write
        assert await one.read(names) == ["one", "other"]
        assert (await events.verify(one))[2] is None
    finally:
        await one.close()
        await other.close()
        postgres.drop(url)


@pytest.mark.parametrize(("language", "fits"), [("en-US", True), ("de", True), ("cs", False), ("et", False), ("da", False)])
def test_a_database_that_would_not_sort_ids_by_time_is_refused(
    tmp_path: Path, postgres: PostgresServer, language: str, fits: bool
) -> None:
    name = f"sorted_{language.replace('-', '_').lower()}"
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(
            f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C' LOCALE_PROVIDER icu ICU_LOCALE '{language}'"
        )
    settings = Settings(tmp_path, "http://ims.test", database=postgres.url(name))
    with contextlib.nullcontext() if fits else pytest.raises(UnusableDataError, match="LOCALE 'C'"):
        open_database(settings).close()
