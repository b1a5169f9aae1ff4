"""`/v1/releases`."""

from typing import Annotated

from fastapi import APIRouter, Query

from api.access import EditorOfApp, Key, State, Viewer
from api.contract.base import Page
from api.contract.resources import Release, ReleaseCreate, ReleaseStatus
from api.contract.signed_releases import ReleaseContents, ReleaseSignature, StoredSignature
from api.db.idempotency import once
from api.http import LARGEST, After, Force, Limit, Order, Wait, long_poll
from api.labels import ReleaseSelector
from api.releases import service, signatures

router = APIRouter(prefix="/v1/releases", tags=["releases"])


@router.post("", status_code=201)
async def create_release(body: ReleaseCreate, caller: EditorOfApp, key: Key) -> Release:
    """Release an app: check it as a whole, and build what isn't built yet."""
    return await caller.write(lambda tx: once(tx, key, body, Release, lambda: service.create(tx, body)))


@router.get("")
async def list_releases(
    caller: Viewer,
    limit: Limit = 100,
    after: After = None,
    app: str | None = None,
    number: Annotated[int | None, Query(ge=1, le=LARGEST, description="Only those of this number in their app.")] = None,
    status: ReleaseStatus | None = None,
    selector: ReleaseSelector = None,
    order: Order = "asc",
) -> Page[Release]:
    """Page through the releases, of one app or of all."""
    return await caller.read(
        service.list_releases,
        limit=limit,
        after=after,
        app=app,
        number=number,
        status=status,
        selector=selector,
        newest_first=order == "desc",
    )


@router.get("/{release}")
async def get_release(release: str, ims: State, caller: Viewer, wait: Wait = 0) -> Release:
    """One release; with `wait`, held back until it is built or has failed."""
    return await long_poll(
        ims.db.doorbell,
        service.topic(release),
        lambda: caller.read(service.get, release),
        lambda found: found.status != "building",
        wait,
    )


@router.delete("/{release}", status_code=204)
async def delete_release(release: str, caller: EditorOfApp, force: Force = False) -> None:
    """Take a release that no install runs out of the lists."""
    if force:
        caller.must("administer", "app")
    await caller.write(service.delete, release, force=force)


@router.get("/{release}/contents")
async def get_release_contents(release: str, caller: Viewer) -> ReleaseContents:
    """What a release that is ready was built from and what came out: what is signed."""
    return await caller.read(signatures.contents, release)


@router.get("/{release}/signature")
async def get_release_signature(release: str, caller: Viewer) -> StoredSignature:
    """The document with which the vendor has signed a release as a whole."""
    return await caller.read(signatures.get, release)


@router.put("/{release}/signature")
async def put_release_signature(release: str, body: ReleaseSignature, caller: EditorOfApp) -> Release:
    """Store the document with which the vendor has signed a release as a whole; `exclave releases sign` makes it.

    Install agents whose customers ask for signed releases run nothing of a release without one.
    """
    return await caller.write(signatures.put, release, body)
