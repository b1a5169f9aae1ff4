"""`/v1/apps/{app}/components`."""

from fastapi import APIRouter, Response

from api.access import EditorOfApp, Key, Viewer
from api.apps import service as apps
from api.components import service
from api.contract.base import Page
from api.contract.components import Component, ComponentCreate, ComponentUpdate
from api.db.idempotency import once
from api.db.transaction import Write
from api.events.changes import check_version
from api.http import After, DryRun, IfMatch, Limit, set_etag

router = APIRouter(prefix="/v1/apps/{app}/components", tags=["components"])


@router.post("", status_code=201)
async def create_component(
    app: str, body: ComponentCreate, caller: EditorOfApp, key: Key, response: Response, dry_run: DryRun = False
) -> Component:
    """Add a component to an app."""

    def change(tx: Write) -> Component:
        owner = apps.find(tx, app)
        return once(tx, key, body, Component, lambda: service.create(tx, owner, body), within=owner.id)

    if dry_run:
        response.status_code = 200
        return await caller.rehearse(change)
    component = await caller.write(change)
    set_etag(response, component.version)
    return component


@router.get("")
async def list_components(app: str, caller: Viewer, limit: Limit = 100, after: After = None) -> Page[Component]:
    """Page through an app's components."""
    return await caller.read(lambda tx: service.list_components(tx, apps.find(tx, app), limit=limit, after=after))


@router.get("/{component}")
async def get_component(app: str, component: str, caller: Viewer, response: Response) -> Component:
    """One component, by id or name."""
    found = await caller.read(lambda tx: service.public(tx, service.find(tx, apps.find(tx, app), component)))
    set_etag(response, found.version)
    return found


@router.put("/{component}")
async def update_component(
    app: str,
    component: str,
    body: ComponentUpdate,
    caller: EditorOfApp,
    expected: IfMatch,
    response: Response,
    dry_run: DryRun = False,
) -> Component:
    """Store a new version of a component's config, if it says anything new."""

    def change(tx: Write) -> Component:
        owner = apps.find(tx, app)
        check_version(tx, expected, service.find(tx, owner, component))
        return service.update(tx, owner, component, body)

    found = await (caller.rehearse(change) if dry_run else caller.write(change))
    set_etag(response, found.version)
    return found


@router.delete("/{component}", status_code=204)
async def delete_component(app: str, component: str, caller: EditorOfApp, expected: IfMatch) -> None:
    """Take a component out of its app; installs keep it until a release without it is deployed."""

    def change(tx: Write) -> None:
        owner = apps.find(tx, app)
        check_version(tx, expected, service.find(tx, owner, component))
        service.delete(tx, owner, component)

    await caller.write(change)
