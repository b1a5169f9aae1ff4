"""The tables of sessions and of logins by device."""

from datetime import datetime

from sqlalchemy import String
from sqlmodel import Field

from api.contract.access import TokenRole
from api.db.columns import UtcDateTime
from api.db.row import Row


class SessionRow(Row, table=True):
    """A person who logged in. Role and scope are those that the settings gave at that time."""

    __tablename__ = "login_session"

    id: str = Field(primary_key=True)
    subject: str
    name: str
    role: TokenRole = Field(sa_type=String)
    app_id: str | None = Field(default=None, foreign_key="app.id")
    install_id: str | None = Field(default=None, foreign_key="install.id")
    scope_name: str | None = None
    secret_hash: str = Field(index=True)
    created_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class DeviceLoginRow(Row, table=True):
    """A program that waits for a person to confirm it. `session_id` is that of the person who did."""

    __tablename__ = "device_login"

    id: str = Field(primary_key=True)
    device_hash: str = Field(index=True)
    user_hash: str = Field(index=True)
    session_id: str | None = Field(default=None, foreign_key="login_session.id")
    denied: bool = False
    expires_at: datetime = Field(sa_type=UtcDateTime)
