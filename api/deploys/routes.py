"""`/v1/deploys`."""

from typing import Annotated

from fastapi import APIRouter, Query

from api.access import Deployer, Key, State, Viewer
from api.contract.base import Page
from api.contract.deploy_batches import DeployBatch, DeployBatchCreate
from api.contract.resources import Deploy, DeployCreate, DeployKind, DeployStatus
from api.db.idempotency import once
from api.deploys import making, service, view
from api.http import LARGEST, After, Limit, Order, Wait, long_poll
from api.labels import Selector

router = APIRouter(prefix="/v1/deploys", tags=["deploys"])


@router.post("", status_code=201)
async def create_deploy(body: DeployCreate, ims: State, caller: Deployer, key: Key) -> Deploy:
    """Bring a release to an install, or tear the install down."""
    if key is None:  # the agent can have its first job before the answer is put together
        made = await caller.write_together(making.load, making.create_one, ims.vault, body)
        return await caller.read(view.get, made)
    return await caller.write(
        lambda tx: once(tx, key, body, Deploy, lambda: view.public(tx, making.create(tx, ims.vault, body)))
    )


@router.post("/batch", status_code=201)
async def create_deploys(body: DeployBatchCreate, caller: Deployer, key: Key) -> DeployBatch:
    """Bring a release to many installs at once. Those that have a deploy under way are left out, and named."""
    return await caller.write(lambda tx: once(tx, key, body, DeployBatch, lambda: making.create_many(tx, body)))


@router.get("")
async def list_deploys(
    caller: Viewer,
    limit: Limit = 100,
    after: After = None,
    install: str | None = None,
    kind: DeployKind | None = None,
    app: str | None = None,
    release: Annotated[str | None, Query(description="Only of this release, by its id.")] = None,
    release_number: Annotated[
        int | None, Query(ge=1, le=LARGEST, description="Only of the release of this number in its app.")
    ] = None,
    status: DeployStatus | None = None,
    selector: Selector = None,
    order: Order = "asc",
) -> Page[Deploy]:
    """Page through the deploys, of one install or of all. Drift runs come only with `kind=drift`."""
    return await caller.read(
        view.list_deploys,
        limit=limit,
        after=after,
        install=install,
        kind=kind,
        app=app,
        release=release,
        release_number=release_number,
        status=status,
        selector=selector,
        newest_first=order == "desc",
    )


@router.get("/{deploy}")
async def get_deploy(deploy: str, ims: State, caller: Viewer, wait: Wait = 0, seen: int | None = None) -> Deploy:
    """One deploy; with `wait` and `seen`, held back until its version is another one than `seen`."""
    return await long_poll(
        ims.db.doorbell,
        service.topic(deploy),
        lambda: caller.read(view.get, deploy),
        lambda found: found.version != seen or found.ended_at is not None,
        wait,
    )


@router.post("/{deploy}/cancel")
async def cancel_deploy(
    deploy: str, caller: Deployer, force: Annotated[bool, Query(description="Stop now, not when it is safe.")] = False
) -> Deploy:
    """Stop a deploy as soon as it is safe; with `force`, now."""
    if force:
        caller.must("administer")
    return await caller.write(lambda tx: view.public(tx, service.cancel(tx, deploy, force=force)))
