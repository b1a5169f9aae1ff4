"""The audit history: its chain shows whatever was changed in it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from ims_driver import Ims, running_ims
from sqlalchemy import text

from api.events.lines import GENESIS, START, follow, hash_of
from api.events.models import EventRow
from api.events.service import line_of


def first_broken(rows: list[EventRow]) -> int | None:
    return follow(START, map(line_of, rows))[1]


def chain(length: int) -> list[EventRow]:
    rows: list[EventRow] = []
    for seq in range(1, length + 1):
        row = EventRow(
            seq=seq,
            at=datetime(2026, 1, 1, 0, 0, seq, 123456, tzinfo=UTC),
            actor="token:admin",
            action="app.created",
            object_id=f"app_{seq}",
            after={"name": "ü", "size": 1.5, "none": None},
            previous_hash=rows[-1].hash if rows else GENESIS,
            hash="",
        )
        row.hash = hash_of(line_of(row))
        rows.append(row)
    return rows


def test_a_whole_chain_is_whole() -> None:
    assert first_broken([]) is None
    assert first_broken(chain(5)) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("actor", "token:mallory"),
        ("action", "app.deleted"),
        ("object_id", "app_9"),
        ("at", datetime(2026, 1, 2, tzinfo=UTC)),
        ("before", {"name": "x"}),
        ("after", None),
        ("previous_hash", GENESIS),
        ("hash", GENESIS),
    ],
)
def test_a_changed_line_is_found(field: str, value: object) -> None:
    rows = chain(5)
    setattr(rows[2], field, value)
    assert first_broken(rows) == 3


def test_a_line_that_was_changed_with_its_hash_is_found_at_the_next_one() -> None:
    rows = chain(5)
    rows[2].actor = "token:mallory"
    rows[2].hash = hash_of(line_of(rows[2]))
    assert first_broken(rows) == 4


@pytest.mark.parametrize("missing", [0, 2])
def test_a_line_that_is_gone_is_found(missing: int) -> None:
    rows = chain(5)
    del rows[missing]
    assert first_broken(rows) == missing + 2


def test_lines_that_swapped_places_are_found() -> None:
    rows = chain(5)
    rows[1], rows[2] = rows[2], rows[1]
    assert first_broken(rows) == 3


@pytest.mark.anyio
async def test_a_line_changed_in_the_file_is_found_by_the_server(tmp_path: Path, database_url: str | None) -> None:
    async with running_ims(tmp_path / "ims", database_url=database_url) as ims:
        for name in ("one", "two", "three"):
            await ims.ok("POST", "/v1/apps", {"name": name})
        assert await ims.chain_is_whole()
    with ims.database() as connection:
        connection.execute(text("UPDATE event SET actor = 'token:mallory' WHERE seq = 3"))
    async with running_ims(ims.data, token=ims.token, database_url=database_url) as again:
        found = await again.ok("GET", "/v1/events/verify")
        assert (found["whole"], found["broken_at"], found["lines"]) == (False, 3, 2)


@pytest.mark.anyio
async def test_the_history_says_who_did_what_before_and_after(ims: Ims) -> None:
    app = await ims.ok("POST", "/v1/apps", {"name": "shop"})
    await ims.ok("PUT", "/v1/apps/shop", {"description": "sells"})
    (event,) = await ims.events("app.updated")
    assert (event["actor"], event["object_id"], event["at"]) == ("token:admin", app["id"], "2026-11-21T09:00:00Z")
    assert (event["before"]["description"], event["after"]["description"]) == ("", "sells")
    mine = await ims.ok("GET", "/v1/events", params={"object_id": app["id"]})
    assert [one["action"] for one in mine["items"]] == ["app.created", "app.updated"]
