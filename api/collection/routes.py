"""`/v1/registry`."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from api.access import Admin, State
from api.collection import report, service
from api.contract.problems import ConflictError
from api.contract.registry import Collection
from api.http import DryRun
from api.registry.care import ReadOnlyRegistryError, RegistryCare

router = APIRouter(prefix="/v1/registry", tags=["registry"])


async def _care(request: Request) -> RegistryCare:
    care: RegistryCare = request.app.state.registry_care
    return care


@router.post("/collections")
async def collect_registry(
    ims: State, actor: Admin, care: Annotated[RegistryCare, Depends(_care)], dry_run: DryRun = False
) -> Collection:
    """Remove artifacts from the built-in registry that no release, install or open job needs, and blobs that none lists."""
    try:
        collected = await care.collect(dry_run=dry_run)
    except ReadOnlyRegistryError as error:
        raise ConflictError(str(error)) from error
    if not dry_run:
        await ims.db.write(actor, service.record, collected)
    return report.public(collected, dry_run=dry_run)
