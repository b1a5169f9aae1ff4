"""The table of tokens."""

from datetime import datetime

from sqlalchemy import String
from sqlmodel import Field, SQLModel

from api.contract.resources import TokenRole
from api.db.columns import UtcDateTime


class TokenRow(SQLModel, table=True):
    """A person's or a program's token."""

    __tablename__ = "token"

    id: str = Field(primary_key=True)
    name: str = Field(unique=True)
    role: TokenRole = Field(sa_type=String)
    secret_hash: str = Field(index=True)
    created_at: datetime = Field(sa_type=UtcDateTime)
    last_used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
