"""`/v1/installs`."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from api.access import Editor, EditorOfApp, Key, State, Viewer, ViewerOfApp
from api.contract.base import Page
from api.contract.renders import InstallRender
from api.contract.resources import Install, InstallCreate, InstallUpdate
from api.db.idempotency import once
from api.db.transaction import Write
from api.deploys import forget
from api.events.changes import check_version
from api.http import LARGEST, After, DryRun, Force, IfMatch, Limit, set_etag
from api.installs import rendering, service
from api.labels import Selector

router = APIRouter(prefix="/v1/installs", tags=["installs"])


@router.post("", status_code=201)
async def create_install(
    body: InstallCreate, ims: State, caller: EditorOfApp, key: Key, response: Response, dry_run: DryRun = False
) -> Install:
    """Make an install."""

    def change(tx: Write) -> Install:
        # The request has secrets, so the key remembers its fingerprint with the vault's key instead of a plain hash.
        sealed = {name: ims.vault.fingerprint(value) for name, value in body.sensitive_inputs.items()}
        request = body.model_copy(update={"sensitive_inputs": sealed})
        return once(tx, key, request, Install, lambda: service.create(tx, ims.vault, body))

    if dry_run:
        response.status_code = 200
        return await caller.rehearse(change)
    install = await caller.write(change)
    set_etag(response, install.version)
    return install


@router.get("")
async def list_installs(
    caller: Viewer,
    limit: Limit = 100,
    after: After = None,
    app: str | None = None,
    name: str | None = None,
    release: Annotated[str | None, Query(description="Only those that run a component of this release, by its id.")] = None,
    release_number: Annotated[
        int | None, Query(ge=1, le=LARGEST, description="Only those that run a component of the release of this number.")
    ] = None,
    selector: Selector = None,
) -> Page[Install]:
    """Page through the installs, of one app or of all, with certain labels or with any."""
    return await caller.read(
        service.list_installs,
        limit=limit,
        after=after,
        app=app,
        name=name,
        release=release,
        release_number=release_number,
        selector=selector,
    )


@router.get("/{install}")
async def get_install(install: str, caller: Viewer, response: Response) -> Install:
    """One install, by id or name."""
    found = await caller.read(service.get, install)
    set_etag(response, found.version)
    return found


@router.get("/{install}/render")
async def render_install(
    install: str,
    caller: ViewerOfApp,
    release: Annotated[
        str | None, Query(description="The configs of this release, by its id; else the newest of the app.")
    ] = None,
    component: Annotated[str | None, Query(description="Only this component.")] = None,
) -> InstallRender:
    """What references stand for in an install now, as far as the IMS knows. Sensitive values are masked."""
    return await caller.read(rendering.render, install, release=release, component=component)


@router.put("/{install}")
async def update_install(
    install: str,
    body: InstallUpdate,
    ims: State,
    caller: Editor,
    expected: IfMatch,
    response: Response,
    dry_run: DryRun = False,
) -> Install:
    """Change an install's inputs."""

    def change(tx: Write) -> Install:
        check_version(tx, expected, service.find(tx, install))
        return service.update(tx, ims.vault, install, body)

    found = await (caller.rehearse(change) if dry_run else caller.write(change))
    set_etag(response, found.version)
    return found


@router.delete("/{install}", status_code=204)
async def delete_install(install: str, caller: Editor, expected: IfMatch, force: Force = False) -> None:
    """Delete an install on which nothing runs; with `force`, forget what runs there and leave it behind."""
    if force:
        caller.must("administer")

    def change(tx: Write) -> None:
        check_version(tx, expected, service.find(tx, install))
        (forget.forget_install if force else service.delete)(tx, install)

    await caller.write(change)
