"""`/v1/secrets`."""

import asyncio

from fastapi import APIRouter, Response

from api.access import Admin, Editor, Key, State, Viewer, ViewerOfAll
from api.contract.base import Page
from api.contract.secrets import Rotation, Secret, SecretCreate, SecretUpdate
from api.db.idempotency import once
from api.db.transaction import Write
from api.events.changes import check_version
from api.http import After, DryRun, IfMatch, Limit, set_etag
from api.secrets import keyring, rotation, service

router = APIRouter(prefix="/v1/secrets", tags=["secrets"])


@router.post("", status_code=201)
async def create_secret(
    body: SecretCreate, ims: State, caller: Editor, key: Key, response: Response, dry_run: DryRun = False
) -> Secret:
    """Make a named secret."""

    def change(tx: Write) -> Secret:
        # The key remembers the value's fingerprint, made with the vault's key, instead of a plain hash.
        request = body.model_copy(update={"value": ims.vault.fingerprint(body.value)})
        return once(tx, key, request, Secret, lambda: service.create(tx, ims.vault, body))

    if dry_run:
        response.status_code = 200
        return await caller.rehearse(change)
    secret = await caller.write(change)
    set_etag(response, secret.version)
    return secret


@router.get("")
async def list_secrets(caller: Viewer, limit: Limit = 100, after: After = None) -> Page[Secret]:
    """Page through the secrets, without their values."""
    return await caller.read(service.list_secrets, limit=limit, after=after)


@router.get("/rotation")
async def get_rotation(caller: ViewerOfAll) -> Rotation:
    """How far the last rotation of the data key is."""
    return await caller.read(rotation.state)


@router.post("/rotation")
async def begin_rotation(ims: State, actor: Admin) -> Rotation:
    """Make a new data key, unless a rotation is under way."""
    fresh = await asyncio.to_thread(keyring.fresh_key, ims.keys, await ims.db.read(lambda tx: tx.now))
    return await ims.db.write(actor, rotation.begin, fresh)


@router.post("/rotation/steps")
async def step_rotation(ims: State, actor: Admin) -> Rotation:
    """Seal the next values anew; to be called until it says `done`."""
    return await ims.db.write(actor, rotation.step, ims.vault)


@router.get("/{secret}")
async def get_secret(secret: str, caller: Viewer, response: Response) -> Secret:
    """One secret, by id or name, without its value."""
    found = await caller.read(lambda tx: service.public(tx, service.find(tx, secret)))
    set_etag(response, found.version)
    return found


@router.put("/{secret}")
async def update_secret(
    secret: str,
    body: SecretUpdate,
    ims: State,
    caller: Editor,
    expected: IfMatch,
    response: Response,
    dry_run: DryRun = False,
) -> Secret:
    """Give a secret a new value."""

    def change(tx: Write) -> Secret:
        check_version(tx, expected, service.find(tx, secret))
        return service.update(tx, ims.vault, secret, body)

    found = await (caller.rehearse(change) if dry_run else caller.write(change))
    set_etag(response, found.version)
    return found


@router.delete("/{secret}", status_code=204)
async def delete_secret(secret: str, caller: Editor, expected: IfMatch) -> None:
    """Delete a secret that nothing uses."""

    def change(tx: Write) -> None:
        check_version(tx, expected, service.find(tx, secret))
        service.delete(tx, secret)

    await caller.write(change)
