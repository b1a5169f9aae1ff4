"""`/v1/builds`: builds are made by releases; here they are read."""

from typing import Annotated

from fastapi import APIRouter, Query

from api.access import EditorOfApp, Viewer
from api.apps import service as apps
from api.builds import service
from api.contract.base import Page
from api.contract.resources import Build, BuildStatus
from api.http import LARGEST, After, Limit, Order
from api.jobs import outcomes

router = APIRouter(prefix="/v1/builds", tags=["builds"])


@router.get("")
async def list_builds(
    caller: Viewer,
    limit: Limit = 100,
    after: After = None,
    app: str | None = None,
    component: Annotated[str | None, Query(description="Only of components with this name.")] = None,
    component_version: Annotated[
        int | None, Query(ge=1, le=LARGEST, description="Only of this version of a component's config.")
    ] = None,
    status: BuildStatus | None = None,
    order: Order = "asc",
) -> Page[Build]:
    """Page through the builds, of one app or of all."""
    return await caller.read(
        lambda tx: service.list_builds(
            tx,
            limit=limit,
            after=after,
            app_id=apps.find(tx, app).id if app else None,
            component=component,
            component_version=component_version,
            status=status,
            newest_first=order == "desc",
        )
    )


@router.post("/{build}/cancel")
async def cancel_build(build: str, caller: EditorOfApp) -> Build:
    """Stop a build. Every release that waits for it fails."""
    await caller.write(outcomes.cancel_build, build)
    return await caller.read(service.get, build)


@router.get("/{build}")
async def get_build(build: str, caller: Viewer) -> Build:
    """One build."""
    return await caller.read(service.get, build)
