"""The table of tokens."""

from datetime import datetime

from sqlalchemy import String
from sqlmodel import Field

from api.contract.access import ServiceRole
from api.db.columns import UtcDateTime
from api.db.row import Row


class TokenRow(Row, table=True):
    """A program's token. Its scope is the app or the install that it names (with an install its app, too), else everything."""

    __tablename__ = "token"

    id: str = Field(primary_key=True)
    name: str = Field(unique=True)
    role: ServiceRole = Field(sa_type=String)
    app_id: str | None = Field(default=None, foreign_key="app.id")
    install_id: str | None = Field(default=None, foreign_key="install.id")
    scope_name: str | None = None
    secret_hash: str = Field(index=True)
    created_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
