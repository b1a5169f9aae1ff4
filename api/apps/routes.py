"""`/v1/apps`."""

from fastapi import APIRouter, Response

from api.access import Admin, Key, State
from api.apps import service
from api.contract.base import Page
from api.contract.resources import App, AppCreate, AppUpdate
from api.db.idempotency import once
from api.db.transaction import Write
from api.deploys import forget
from api.http import After, DryRun, Force, IfMatch, Limit, check_version, set_etag

router = APIRouter(prefix="/v1/apps", tags=["apps"])


@router.post("", status_code=201)
async def create_app(body: AppCreate, ims: State, actor: Admin, key: Key, response: Response, dry_run: DryRun = False) -> App:
    """Make an app."""
    if dry_run:
        response.status_code = 200
        return await ims.db.rehearse(actor, service.create, body)
    app = await ims.db.write(actor, lambda tx: once(tx, key, body, App, lambda: service.create(tx, body)))
    set_etag(response, app.version)
    return app


@router.get("")
async def list_apps(ims: State, _: Admin, limit: Limit = 100, after: After = None, name: str | None = None) -> Page[App]:
    """Page through the apps."""
    return await ims.db.read(service.list_apps, limit=limit, after=after, name=name)


@router.get("/{app}")
async def get_app(app: str, ims: State, _: Admin, response: Response) -> App:
    """One app, by id or name."""
    found = await ims.db.read(service.get, app)
    set_etag(response, found.version)
    return found


@router.put("/{app}")
async def update_app(
    app: str, body: AppUpdate, ims: State, actor: Admin, expected: IfMatch, response: Response, dry_run: DryRun = False
) -> App:
    """Change an app's description and inputs."""

    def change(tx: Write) -> App:
        check_version(expected, service.find(tx, app).version)
        return service.update(tx, app, body)

    found = await (ims.db.rehearse(actor, change) if dry_run else ims.db.write(actor, change))
    set_etag(response, found.version)
    return found


@router.delete("/{app}", status_code=204)
async def delete_app(app: str, ims: State, actor: Admin, expected: IfMatch, force: Force = False) -> None:
    """Delete an app that nothing uses; with `force`, with its components, and its installs are forgotten."""

    def change(tx: Write) -> None:
        check_version(expected, service.find(tx, app).version)
        (forget.forget_app if force else service.delete)(tx, app)

    await ims.db.write(actor, change)
