"""Webhooks: what the REST API takes and gives, and what a receiver gets (Standard Webhooks)."""

from typing import Annotated, Literal

from pydantic import Field

from api.contract.base import Json, Model, Name, Timestamp

ACTION_PATTERN = r"^(\*|[a-z_]+\.(\*|[a-z_]+))$"
ActionPattern = Annotated[
    str,
    Field(pattern=ACTION_PATTERN, description="One action (`deploy.created`), all of an object (`deploy.*`), or all (`*`)."),
]
Url = Annotated[
    str, Field(max_length=2000, description="Where events are sent, by POST. https, unless the address is allowed.")
]


class WebhookUpdate(Model):
    """What a webhook is from now on."""

    url: Url
    events: list[ActionPattern] = Field(default=["*"], min_length=1, max_length=100, description="Which actions are sent.")
    app_id: str | None = Field(default=None, description="Only events of this app and its installs: its id or name.")
    install_id: str | None = Field(default=None, description="Only events of this install: its id or name.")
    enabled: bool = Field(default=True, description="Whether events are sent. Exclave switches off what fails for days.")
    description: str = Field(default="", max_length=1000, description="What it is for, for people.")


class WebhookCreate(WebhookUpdate):
    """A new webhook. It begins with the next event."""

    name: Name


class Webhook(Model):
    """A webhook, without its secret. `disabled_because` says why Exclave switched it off by itself, if it did."""

    id: str
    name: str
    url: str
    events: list[str]
    app_id: str | None
    install_id: str | None
    enabled: bool
    description: str
    disabled_because: str | None
    failing_since: Timestamp | None = Field(description="Since when no delivery has succeeded; None if the last one did.")
    cursor: int = Field(description="The number of the event up to which deliveries were made.")
    previous_secret_until: Timestamp | None = Field(description="Until when the secret before the last rotation signs, too.")
    version: int
    created_at: Timestamp
    updated_at: Timestamp


class WebhookWithSecret(Webhook):
    """A webhook with its signing secret, which is shown only here."""

    secret: str


class WebhookRotate(Model):
    """A new secret; the old one goes on signing beside it for a while, so that receivers can be changed without a gap."""

    overlap_seconds: int = Field(default=86400, ge=0, le=30 * 86400)


class WebhookReplay(Model):
    """Send again what came after an event."""

    after: int = Field(ge=0, lt=2**63, description="The number of the event after which everything is sent again; 0 for all.")


DeliveryStatus = Literal["pending", "succeeded", "failed"]


class Delivery(Model):
    """One event on its way to one webhook. `id` is the `webhook-id` that the receiver sees, in each attempt the same."""

    id: str
    webhook_id: str
    seq: int | None = Field(description="The event's number; None for a test.")
    action: str
    status: DeliveryStatus
    attempts: int
    due_at: Timestamp | None = Field(description="When it is tried next.")
    response_status: int | None
    response_start: str = Field(description="The first bytes of the last answer.")
    error: str = Field(description="Why the last attempt didn't succeed; empty if it did.")
    created_at: Timestamp
    ended_at: Timestamp | None


class WebhookMessage(Model):
    """The body that a receiver gets. For an event, `data` is the event as `/v1/events` shows it."""

    type: str
    timestamp: Timestamp
    data: Json
