"""`/v1/deploys/preview`: it reads, and needs what a deploy needs."""

from fastapi import APIRouter

from api.access import Deployer, State
from api.contract.previews import DeployPreview, DeployPreviewRequest
from api.deploys import preview

router = APIRouter(prefix="/v1/deploys", tags=["deploys"])


@router.post("/preview")
async def preview_deploy(body: DeployPreviewRequest, ims: State, caller: Deployer) -> DeployPreview:
    """Say what a deploy would do if it were made now, and why it would be refused."""
    return await caller.read(preview.preview, ims.vault, body)
