"""`/v1/webhooks`."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from api.access import AdminOfInstall, Editor, State
from api.contract.base import Page
from api.contract.webhooks import (
    Delivery,
    DeliveryStatus,
    Webhook,
    WebhookCreate,
    WebhookReplay,
    WebhookRotate,
    WebhookUpdate,
    WebhookWithSecret,
)
from api.db.transaction import Write
from api.events.changes import check_version
from api.http import After, IfMatch, Limit, Order, SecretOnce, set_etag
from api.webhooks import address, service
from api.webhooks.sender import Sender

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])


def _sender(request: Request) -> Sender:
    sender: Sender = request.app.state.webhook_sender
    return sender


SenderOf = Annotated[Sender, Depends(_sender)]


@router.post("", status_code=201, dependencies=[SecretOnce])
async def create_webhook(
    body: WebhookCreate, ims: State, caller: AdminOfInstall, sender: SenderOf, response: Response
) -> WebhookWithSecret:
    """Make a webhook. Its signing secret is in this answer and in no other."""
    await address.check(sender.poster.guard, body.url)
    made = await caller.write(service.create, ims.vault, body)
    set_etag(response, made.version)
    return made


@router.get("")
async def list_webhooks(caller: Editor, limit: Limit = 100, after: After = None) -> Page[Webhook]:
    """Page through the webhooks."""
    return await caller.read(service.list_webhooks, limit=limit, after=after)


@router.get("/{webhook}")
async def get_webhook(webhook: str, caller: Editor, response: Response) -> Webhook:
    """One webhook, by id or name."""
    found = await caller.read(lambda tx: service.public(service.find(tx, webhook)))
    set_etag(response, found.version)
    return found


@router.put("/{webhook}")
async def update_webhook(
    webhook: str, body: WebhookUpdate, caller: AdminOfInstall, sender: SenderOf, expected: IfMatch, response: Response
) -> Webhook:
    """Change a webhook, or switch it on or off."""
    await address.check(sender.poster.guard, body.url)

    def change(tx: Write) -> Webhook:
        check_version(tx, expected, service.find(tx, webhook))
        return service.update(tx, webhook, body)

    found = await caller.write(change)
    set_etag(response, found.version)
    return found


@router.delete("/{webhook}", status_code=204)
async def delete_webhook(webhook: str, caller: AdminOfInstall, expected: IfMatch) -> None:
    """Delete a webhook, and what was on its way to it."""

    def change(tx: Write) -> None:
        check_version(tx, expected, service.find(tx, webhook))
        service.delete(tx, webhook)

    await caller.write(change)


@router.post("/{webhook}/rotate")
async def rotate_secret(webhook: str, body: WebhookRotate, ims: State, caller: AdminOfInstall) -> WebhookWithSecret:
    """A new signing secret, shown only here. The old one signs beside it until the overlap has passed."""
    return await caller.write(service.rotate, ims.vault, webhook, overlap=timedelta(seconds=body.overlap_seconds))


@router.get("/{webhook}/deliveries")
async def list_deliveries(
    webhook: str,
    caller: Editor,
    limit: Limit = 100,
    after: After = None,
    status: Annotated[DeliveryStatus | None, Query(description="Only those in this state.")] = None,
    order: Order = "asc",
) -> Page[Delivery]:
    """Page through what was sent to a webhook, or is on its way."""
    return await caller.read(
        service.list_deliveries, webhook, limit=limit, after=after, status=status, newest_first=order == "desc"
    )


@router.post("/{webhook}/deliveries/{delivery}/replay")
async def replay_delivery(webhook: str, delivery: str, caller: Editor) -> Delivery:
    """Send one event again."""
    return await caller.write(service.replay_delivery, webhook, delivery)


@router.post("/{webhook}/replay")
async def replay(webhook: str, body: WebhookReplay, caller: Editor) -> Webhook:
    """Send everything after an event again, in order."""
    return await caller.write(service.replay, webhook, after=body.after)


@router.post("/{webhook}/test")
async def send_test(webhook: str, caller: Editor, sender: SenderOf) -> Delivery:
    """Send a message of the type `webhook.test` now, and say what came of it."""
    found = await caller.read(service.find, webhook)
    return await sender.test(found.id, caller.name)
