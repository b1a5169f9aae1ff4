"""What a running IMS forgets by itself, whatever the settings say."""

from datetime import timedelta

import pytest
from ims_driver import Ims
from sqlmodel import SQLModel, func, select

from api import housekeeping
from api.db.idempotency import IdempotencyRow
from api.logins import service as logins
from api.logins.models import DeviceLoginRow, SessionRow
from api.logins.service import Person

pytestmark = pytest.mark.anyio

ANN = Person("s1", "ann@vendor.example", "viewer", "all")


async def count(ims: Ims, table: type[SQLModel]) -> int:
    """How many rows a table has."""
    return await ims.state.db.read(lambda tx: tx.session.exec(select(func.count()).select_from(table)).one())


async def prune_after(ims: Ims, **time: float) -> None:
    """Let time pass, and tidy up."""
    ims.clock.forward(timedelta(**time).total_seconds())
    await housekeeping.prune(ims.state.db, ims.state.settings)


async def test_the_answer_to_a_create_is_remembered_for_a_week(ims: Ims) -> None:
    key = {"Idempotency-Key": "once"}
    first = await ims.ok("POST", "/v1/apps", {"name": "shop"}, headers=key)
    await prune_after(ims, days=6.9)
    assert await ims.ok("POST", "/v1/apps", {"name": "shop"}, headers=key) == first
    await prune_after(ims, days=0.2)
    await ims.refused(409, "POST", "/v1/apps", {"name": "shop"}, headers=key)
    assert await count(ims, IdempotencyRow) == 0


async def test_a_login_is_forgotten_a_week_after_its_end_and_so_is_what_it_confirmed(ims: Ims) -> None:
    db = ims.state.db
    session, _ = await db.write("person:ann", logins.open_session, ANN, seconds=3600)
    begun = await db.write("login", logins.begin_device, "https://ims.test")
    assert await db.write("person:ann", logins.answer_device, begun.user_code, session.id, confirmed=True)
    await prune_after(ims, days=7)
    assert (await count(ims, SessionRow), await count(ims, DeviceLoginRow)) == (1, 1)
    newer, _ = await db.write("person:ann", logins.open_session, ANN, seconds=3600)
    await prune_after(ims, hours=2)
    assert (await count(ims, SessionRow), await count(ims, DeviceLoginRow)) == (1, 0)
    assert await db.read(lambda tx: tx.session.get(SessionRow, newer.id))
    assert await ims.events("session.opened", object_id=session.id), "the history keeps who it was"
