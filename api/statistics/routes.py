"""`/v1/installs/{install}/history` and `/v1/installs/{install}/stats`."""

from typing import Annotated

from fastapi import APIRouter, Query

from api.access import Viewer
from api.contract.base import Page
from api.contract.statistics import InstallStats, JobRun
from api.http import After, Limit, Order
from api.statistics import service

router = APIRouter(prefix="/v1/installs/{install}", tags=["installs"])


@router.get("/history")
async def list_job_runs(
    install: str,
    caller: Viewer,
    limit: Limit = 100,
    after: After = None,
    component: Annotated[str | None, Query(description="Only of this component.")] = None,
    order: Order = "asc",
) -> Page[JobRun]:
    """Page through an install's jobs with their outcomes and durations. A deleted install is found by its id."""
    return await caller.read(
        service.job_runs, install, limit=limit, after=after, component=component, newest_first=order == "desc"
    )


@router.get("/stats")
async def get_install_stats(
    install: str, caller: Viewer, last: Annotated[int, Query(ge=1, le=200, description="How many deploys.")] = 20
) -> InstallStats:
    """Success rates and durations of an install's newest deploys, and of each component in them."""
    return await caller.read(service.install_stats, install, last=last)
