"""Pruning the history: what is left can still be proved, and what was taken is in files."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from ims_driver import Body, Ims
from shop import Shop
from sqlmodel import col, delete

from api import housekeeping
from api.cli.events import events_command
from api.db.transaction import Write
from api.events import pruning
from api.events.models import EventRow
from api.webhooks import deliveries

pytestmark = pytest.mark.anyio


async def prune(ims: Ims, *, days: int = 30, export: bool = True) -> None:
    settings = replace(ims.state.settings, retention_events_days=days, retention_events_export=export)
    await housekeeping.prune(ims.state.db, settings)


async def lines(ims: Ims) -> list[Body]:
    return (await ims.ok("GET", "/v1/events", params={"limit": 1000}))["items"]


def files(ims: Ims) -> list[Path]:
    return sorted((ims.data / pruning.FOLDER).glob("*"))


async def verified(ims: Ims) -> Body:
    return await ims.ok("GET", "/v1/events/verify")


async def test_what_is_left_is_whole_and_what_was_taken_is_in_a_file(
    ims: Ims, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.events.pruning._AT_ONCE", 5)
    before = await lines(ims)
    ims.clock.forward(40 * 86400)
    recent = (await ims.ok("POST", "/v1/apps", {"name": "new"}))["id"]
    await prune(ims)
    left = await lines(ims)
    assert left[0]["object_id"] == recent
    checkpoints = [line for line in left if line["action"] == "events.pruned"]
    assert [(one["after"]["first"], one["after"]["last"]) for one in checkpoints][:2] == [(1, 5), (6, 10)]
    assert checkpoints[-1]["after"]["last_hash"] == left[0]["previous_hash"]
    found = await verified(ims)
    assert (found["whole"], found["pruned"], found["lines"]) == (True, len(before), len(left))
    written = [json.loads(line) for file in files(ims) for line in file.read_text().splitlines()]
    assert written == before
    for file in files(ims):
        assert file.stat().st_mode & 0o777 == 0o600
        assert CliRunner().invoke(events_command, ["verify", str(file)]).exit_code == 0


async def test_nothing_young_is_pruned_and_a_second_time_waits_for_a_day(ims: Ims, shop: Shop) -> None:
    await prune(ims)
    assert not files(ims)
    ims.clock.forward(40 * 86400)
    await prune(ims)
    first = files(ims)
    assert first
    await ims.ok("POST", "/v1/apps", {"name": "new"})
    ims.clock.forward(30.5 * 86400)
    await prune(ims)
    assert files(ims) == first
    ims.clock.forward(86400)
    await prune(ims)
    assert files(ims) > first
    assert (await verified(ims))["whole"]


async def test_without_the_setting_nothing_is_pruned_and_files_can_be_left_out(ims: Ims, shop: Shop) -> None:
    ims.clock.forward(4000 * 86400)
    await prune(ims, days=0)
    assert (await lines(ims))[0]["seq"] == 1
    await prune(ims, export=False)
    assert (await lines(ims))[0]["seq"] > 1
    assert not files(ims)
    assert (await verified(ims))["whole"]


@pytest.mark.parametrize("first", [True, False])
async def test_lines_that_go_missing_without_a_checkpoint_show(ims: Ims, shop: Shop, first: bool) -> None:
    if not first:
        ims.clock.forward(40 * 86400)
        await prune(ims)
        await ims.ok("POST", "/v1/apps", {"name": "new"})
        await ims.ok("POST", "/v1/apps", {"name": "newer"})
    begin = (await lines(ims))[0]["seq"]

    def steal(tx: Write) -> None:
        tx.session.exec(delete(EventRow).where(col(EventRow.seq) <= begin))

    await ims.state.db.write("thief", steal)
    found = await verified(ims)
    assert (found["whole"], found["broken_at"]) == (False, begin + 1)


async def test_a_made_up_checkpoint_shows(ims: Ims, shop: Shop) -> None:
    ims.clock.forward(40 * 86400)
    await ims.ok("POST", "/v1/apps", {"name": "new"})
    await prune(ims)
    await ims.ok("POST", "/v1/apps", {"name": "newer"})

    def forge(tx: Write) -> None:
        rows = tx.all(pruning.select(EventRow).order_by(col(EventRow.seq)))
        checkpoint = next(row for row in rows if row.action == "events.pruned")
        checkpoint.after = {**checkpoint.after, "last": rows[0].seq, "last_hash": rows[0].hash}
        tx.session.add(checkpoint)
        tx.session.delete(rows[0])

    await ims.state.db.write("thief", forge)
    assert not (await verified(ims))["whole"]


async def test_what_a_webhook_has_not_been_sent_yet_stays(ims: Ims, shop: Shop) -> None:
    await ims.ok("POST", "/v1/webhooks", {"name": "hook", "url": "https://93.184.215.14/"})
    cursor = (await ims.ok("GET", "/v1/webhooks/hook"))["cursor"]
    ims.clock.forward(40 * 86400)
    await ims.ok("POST", "/v1/apps", {"name": "new"})
    await prune(ims)
    assert (await lines(ims))[0]["seq"] == cursor + 1


async def test_what_a_webhook_that_is_switched_off_was_still_to_be_sent_does_not_stay(ims: Ims, shop: Shop) -> None:
    hook = {"url": "https://93.184.215.14/", "events": ["app.*"]}
    hook_id = (await ims.ok("POST", "/v1/webhooks", {"name": "hook", **hook}))["id"]
    made = (await ims.ok("POST", "/v1/apps", {"name": "unsent"}))["id"]
    await ims.state.db.write("system", deliveries.make, hook_id)
    await ims.ok("PUT", "/v1/webhooks/hook", {**hook, "enabled": False})
    ims.clock.forward(40 * 86400)
    newest = (await ims.ok("POST", "/v1/apps", {"name": "new"}))["id"]
    await prune(ims)
    left = await lines(ims)
    assert (left[0]["object_id"], made in str(left)) == (newest, False)
    await ims.ok("PUT", "/v1/webhooks/hook", hook)
    assert await ims.state.db.write("system", deliveries.claim, ims.state.vault, hook_id) == []
    (one,) = (await ims.ok("GET", "/v1/webhooks/hook/deliveries"))["items"]
    assert (one["status"], one["due_at"], "was pruned" in one["error"]) == ("failed", None, True)
