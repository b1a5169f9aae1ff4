"""`/v1/jobs`, for people: what agents do is in `agents/routes.py`."""

import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from api.access import Admin, PermitOf, State, Viewer
from api.contract.agents import Job, JobKind
from api.contract.base import Page
from api.contract.logs import LogPrune, LogsPruned
from api.http import LARGEST, After, Limit, Order, Wait, long_poll
from api.jobs import logs, retention, view
from api.jobs.log_stream import Position, events

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

Attempt = Annotated[int | None, Query(ge=1, le=LARGEST, description="Which attempt; the current one if left out.")]


@router.get("")
async def list_jobs(
    caller: Viewer,
    limit: Limit = 100,
    after: After = None,
    state: str | None = None,
    kind: JobKind | None = None,
    install: str | None = None,
    order: Order = "asc",
) -> Page[Job]:
    """Page through the jobs, in one state or in all."""
    return await caller.read(
        view.list_jobs, limit=limit, after=after, state=state, kind=kind, install=install, newest_first=order == "desc"
    )


@router.get("/{job}")
async def get_job(job: str, caller: Viewer) -> Job:
    """One job."""
    return await caller.read(view.get, job)


@router.get("/{job}/logs", response_class=Response)
async def get_log(
    job: str,
    ims: State,
    caller: Viewer,
    offset: Annotated[int, Query(ge=0, le=LARGEST, description="Bytes of text to leave out.")] = 0,
    attempt: Attempt = None,
    wait: Wait = 0,
) -> Response:
    """The log as plain text from `offset` on, at most 4 MiB of it; with `wait`, held back until there is more.

    `X-Next-Offset` says where to go on, and `X-Log-Closed: true` that nothing more will come.
    """
    if wait:
        await caller.write(logs.watch, job, ims.settings.intervals)
    piece = await long_poll(
        ims.db.doorbell,
        logs.topic(job),
        lambda: caller.read(logs.read, job, attempt, offset),
        lambda found: bool(found.text) or found.ended or found.current > found.attempt,
        wait,
    )
    headers = {
        "X-Next-Offset": str(piece.end),
        "X-Log-Attempt": str(piece.attempt),
        "X-Log-Closed": "true" if piece.closed and (piece.ended or piece.current > piece.attempt) else "false",
    }
    return Response(piece.text, media_type="text/plain; charset=utf-8", headers=headers)


async def _position(
    job: str,
    caller: Viewer,
    offset: Annotated[int, Query(ge=0, le=LARGEST, description="Bytes of text to leave out.")] = 0,
    attempt: Attempt = None,
    last_event_id: Annotated[str | None, Header(description="The id of the last event that the reader has.")] = None,
) -> Position:
    """Where a stream begins; found before it does, so that what is refused is refused with a status."""
    position = Position.of(last_event_id, attempt, offset)
    await caller.read(logs.read, job, position.attempt or None, position.offset)
    return position


@router.get("/{job}/logs/stream", response_class=EventSourceResponse)
async def stream_log(
    job: str, ims: State, position: Annotated[Position, Depends(_position)], permit: PermitOf
) -> AsyncIterator[ServerSentEvent]:
    """Follow the log as server-sent events: `attempt`, `log` and, when the job has ended, `end`.

    Each id says where its reader is; a reader that comes back with it as `Last-Event-ID` misses nothing.
    """
    async with contextlib.aclosing(events(ims.db, ims.settings.intervals, job, position, permit)) as found:
        async for event in found:
            yield event


@router.post("/prune-logs")
async def prune_logs(body: LogPrune, ims: State, actor: Admin) -> LogsPruned:
    """Remove the logs of jobs that ended long ago, as much of them as a few seconds allow."""
    return await retention.prune(ims.db, actor, timedelta(seconds=body.older_than_seconds))
