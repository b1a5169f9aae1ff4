"""The table of apps."""

from datetime import datetime

from sqlalchemy import Column, Index, text
from sqlmodel import Field

from api.contract.inputs import InputSpec
from api.db.columns import JsonOf, UtcDateTime
from api.db.row import Row


class AppRow(Row, table=True):
    """An app. A deleted one stays for the history's sake; its name is free again."""

    __tablename__ = "app"
    __table_args__ = (
        Index(
            "app_name",
            "name",
            unique=True,
            sqlite_where=text("deleted_at IS NULL"),
            postgresql_where=text("deleted_at IS NULL"),
        ),
    )

    id: str = Field(primary_key=True)
    name: str
    description: str
    inputs: list[InputSpec] = Field(sa_column=Column(JsonOf(list[InputSpec]), nullable=False))
    version: int = 1
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)
    deleted_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
