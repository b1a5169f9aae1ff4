"""`/v1/jobs`, for people: what agents do is in `agents/routes.py`."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from api.access import State, Viewer
from api.contract.agents import Job
from api.contract.base import Page
from api.http import LARGEST, After, Limit, Order, Wait, long_poll
from api.jobs import logs, view

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])


@router.get("")
async def list_jobs(
    caller: Viewer, limit: Limit = 100, after: After = None, state: str | None = None, order: Order = "asc"
) -> Page[Job]:
    """Page through the jobs, in one state or in all."""
    return await caller.read(view.list_jobs, limit=limit, after=after, state=state, newest_first=order == "desc")


@router.get("/{job}")
async def get_job(job: str, caller: Viewer) -> Job:
    """One job."""
    return await caller.read(view.get, job)


@router.get("/{job}/logs", response_class=Response)
async def get_log(
    job: str,
    ims: State,
    caller: Viewer,
    offset: Annotated[int, Query(ge=0, description="Bytes of text to leave out.")] = 0,
    attempt: Annotated[int | None, Query(ge=1, le=LARGEST, description="Which attempt; the current one if left out.")] = None,
    wait: Wait = 0,
) -> Response:
    """The log as plain text from `offset` on; with `wait`, held back until there is more.

    `X-Next-Offset` says where to go on.
    """
    text, end = await long_poll(
        ims.db.doorbell,
        f"job:{job}",
        lambda: caller.read(logs.read, ims.logs, job, attempt, offset),
        lambda found: bool(found[0]),
        wait,
    )
    return Response(text, media_type="text/plain; charset=utf-8", headers={"X-Next-Offset": str(end)})
