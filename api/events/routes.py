"""`/v1/events`."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse

from api.access import PermitOf, State, Viewer, ViewerOfAll
from api.contract.base import Page
from api.contract.problems import InvalidError
from api.contract.resources import Event
from api.events import service
from api.events.filters import Wanted
from api.events.schemas import Verification
from api.http import Limit
from api.sse import EventSourceResponse, LastEventId, ServerSentEvent, stream

router = APIRouter(prefix="/v1/events", tags=["events"])

_SEQ = "^[0-9]{1,18}$"
AfterSeq = Annotated[str | None, Query(pattern=_SEQ, description="Only what comes after the line of this number.")]
_STREAM_PAGE = 200


@router.get("")
async def list_events(caller: Viewer, wanted: Wanted, limit: Limit = 100, after: AfterSeq = None) -> Page[Event]:
    """Page through the history, oldest first."""
    return await caller.read(service.page, wanted, limit=limit, after=after)


@router.get("/verify")
async def verify_events(ims: State, _: ViewerOfAll) -> Verification:
    """Check the hash chain from its beginning, or from the last checkpoint on."""
    begin, end, broken = await service.verify(ims.db)
    lines = end.seq - begin.seq
    return Verification(whole=broken is None, broken_at=broken, lines=lines, pruned=begin.seq, last_hash=end.hash)


@router.get("/export", response_class=StreamingResponse)
async def export_events(ims: State, wanted: Wanted, after: AfterSeq = None) -> StreamingResponse:
    """The history as JSONL, one event a line, up to the newest one when the export begins.

    What is exported with the scope `all` and without a filter can be verified without a server: `exclave events verify FILE`.
    """
    return StreamingResponse(
        service.export(ims.db, wanted, after=int(after or 0)),
        media_type="application/jsonl",
        headers={"Content-Disposition": 'attachment; filename="events.jsonl"'},
    )


async def _begin(ims: State, last_event_id: LastEventId = None, after: AfterSeq = None) -> int:
    """After which line a stream begins: where the reader was, or where it asks for, or now."""
    if last_event_id and (not last_event_id.isdecimal() or len(last_event_id) > 18):
        raise InvalidError.at("Last-Event-ID", "not the number of an event", "Send back the `id` of the last one you had.")
    said, head = last_event_id or after, await ims.db.read(service.head)
    if said is None or int(said) <= head:
        return head if said is None else int(said)
    # It would wait in vain, and then miss what is numbered anew.
    raise InvalidError.at(
        "Last-Event-ID" if last_event_id else "after",
        f"the history ends with event {head}: it has none with the number {said}",
        "If the IMS was restored from a backup, read on from the line `ims.restored`.",
    )


@router.get("/stream", response_class=EventSourceResponse)
async def stream_events(
    ims: State, wanted: Wanted, begin: Annotated[int, Depends(_begin)], permit: PermitOf
) -> AsyncIterator[ServerSentEvent]:
    """Events as they happen (Server-Sent Events): `id` is the number, `event` the action, `data` the event as JSON.

    Begins with the next event; after the one that `Last-Event-ID` or `after` names, if one does.
    """
    at = begin

    async def read() -> list[ServerSentEvent]:
        nonlocal at
        end = await ims.db.read(service.head)
        rows = await ims.db.read(service.read, wanted, after=at, limit=_STREAM_PAGE, upto=end)
        # Lines that nobody wants are passed over once, not at every ring.
        at = rows[-1].seq if len(rows) == _STREAM_PAGE else max(at, end)
        return [
            ServerSentEvent(id=str(row.seq), event=row.action, raw_data=service.public(row).model_dump_json()) for row in rows
        ]

    async for event in stream(ims.db.doorbell, "events", read, permit, begin=str(begin)):
        yield event
