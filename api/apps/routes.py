"""`/v1/apps`."""

from fastapi import APIRouter, Response

from api.access import EditorOfAll, EditorOfApp, Key, Viewer
from api.apps import service
from api.contract.base import Page
from api.contract.resources import App, AppCreate, AppUpdate
from api.db.idempotency import once
from api.db.transaction import Write
from api.deploys import forget
from api.events.changes import check_version
from api.http import After, DryRun, Force, IfMatch, Limit, set_etag

router = APIRouter(prefix="/v1/apps", tags=["apps"])


@router.post("", status_code=201)
async def create_app(body: AppCreate, caller: EditorOfAll, key: Key, response: Response, dry_run: DryRun = False) -> App:
    """Make an app."""
    if dry_run:
        response.status_code = 200
        return await caller.rehearse(service.create, body)
    app = await caller.write(lambda tx: once(tx, key, body, App, lambda: service.create(tx, body)))
    set_etag(response, app.version)
    return app


@router.get("")
async def list_apps(caller: Viewer, limit: Limit = 100, after: After = None, name: str | None = None) -> Page[App]:
    """Page through the apps."""
    return await caller.read(service.list_apps, limit=limit, after=after, name=name)


@router.get("/{app}")
async def get_app(app: str, caller: Viewer, response: Response) -> App:
    """One app, by id or name."""
    found = await caller.read(service.get, app)
    set_etag(response, found.version)
    return found


@router.put("/{app}")
async def update_app(
    app: str, body: AppUpdate, caller: EditorOfApp, expected: IfMatch, response: Response, dry_run: DryRun = False
) -> App:
    """Change an app's description and inputs."""

    def change(tx: Write) -> App:
        check_version(tx, expected, service.find(tx, app))
        return service.update(tx, app, body)

    found = await (caller.rehearse(change) if dry_run else caller.write(change))
    set_etag(response, found.version)
    return found


@router.delete("/{app}", status_code=204)
async def delete_app(app: str, caller: EditorOfApp, expected: IfMatch, force: Force = False) -> None:
    """Delete an app that nothing uses; with `force`, with its components, and its installs are forgotten."""
    if force:
        caller.must("administer", "app")

    def change(tx: Write) -> None:
        check_version(tx, expected, service.find(tx, app))
        (forget.forget_app if force else service.delete)(tx, app)

    await caller.write(change)
