"""`/v1/events`."""

from typing import Annotated

from fastapi import APIRouter, Query

from api.access import ViewerOfAll
from api.contract.base import Page
from api.contract.resources import Event
from api.events import service
from api.events.schemas import Verification
from api.http import Limit

router = APIRouter(prefix="/v1/events", tags=["events"])


@router.get("")
async def list_events(
    caller: ViewerOfAll,
    limit: Limit = 100,
    after: Annotated[str | None, Query(pattern="^[0-9]{1,18}$", description="The `after` of the page before.")] = None,
    object_id: str | None = None,
    action: str | None = None,
) -> Page[Event]:
    """Page through the history, of one object, one action or all."""
    return await caller.read(service.page, limit=limit, after=after, object_id=object_id, action=action)


@router.get("/verify")
async def verify_events(caller: ViewerOfAll) -> Verification:
    """Check the hash chain from its beginning."""
    broken = await caller.read(service.verify)
    return Verification(whole=broken is None, broken_at=broken)
