"""The tables of webhooks and their deliveries."""

from datetime import datetime

from sqlalchemy import Column, Index, LargeBinary, String, text
from sqlmodel import Field

from api.contract.webhooks import DeliveryStatus
from api.db.columns import JsonOf, UtcDateTime
from api.db.row import Row


class WebhookRow(Row, table=True):
    """A webhook. `cursor` is the number of the event up to which deliveries were made; its secrets are encrypted."""

    __tablename__ = "webhook"

    id: str = Field(primary_key=True)
    name: str = Field(unique=True)
    url: str
    events: list[str] = Field(sa_column=Column(JsonOf(list[str]), nullable=False))
    app_id: str | None = Field(default=None, foreign_key="app.id")
    install_id: str | None = Field(default=None, foreign_key="install.id")
    enabled: bool = True
    description: str = ""
    sealed_secrets: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    previous_secret_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    cursor: int
    failing_since: datetime | None = Field(default=None, sa_type=UtcDateTime)
    disabled_because: str | None = None
    version: int = 1
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)


PENDING = text("status = 'pending'")
"""In these very words in each query, or SQLite doesn't see that the index is for it."""


class DeliveryRow(Row, table=True):
    """One event for one webhook. `due_at` is when it is tried next; whoever tries it moves that ahead first, as a lease.

    `claims` is the fence: the outcome of an attempt whose lease ran out, and that another one took up, is dropped.
    """

    __tablename__ = "webhook_delivery"
    __table_args__ = (
        Index("webhook_delivery_event", "webhook_id", "seq", unique=True),
        Index("webhook_delivery_due", "webhook_id", "due_at", "seq", sqlite_where=PENDING, postgresql_where=PENDING),
    )

    id: str = Field(primary_key=True)
    webhook_id: str = Field(foreign_key="webhook.id")
    seq: int | None = None
    action: str
    status: DeliveryStatus = Field(sa_type=String)
    attempts: int = 0
    tries: int = 0
    claims: int = 0
    due_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    response_status: int | None = None
    response_start: str = ""
    error: str = ""
    created_at: datetime = Field(sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
