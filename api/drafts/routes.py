"""`/v1/apps/check` and `/v1/apps/{app}/check`: they read, and need what the write that they stand for needs."""

from fastapi import APIRouter

from api.access import EditorOfAll, EditorOfApp
from api.apps import service as apps
from api.contract.previews import AppDraft, DraftCheck
from api.drafts import service

router = APIRouter(prefix="/v1/apps", tags=["apps"])


@router.post("/check")
async def check_new_app(body: AppDraft, caller: EditorOfAll) -> DraftCheck:
    """Say what is wrong with an app that doesn't exist yet."""
    return await caller.read(service.check, None, body)


@router.post("/{app}/check")
async def check_app(app: str, body: AppDraft, caller: EditorOfApp) -> DraftCheck:
    """Say what would be wrong with an app if this were stored."""
    return await caller.read(lambda tx: service.check(tx, apps.find(tx, app), body))
