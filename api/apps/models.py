"""The table of apps."""

from datetime import datetime

from sqlalchemy import Column, Index, text
from sqlmodel import Field, col

from api.contract.inputs import InputSpec
from api.db.columns import JsonOf, UtcDateTime
from api.db.row import Row
from api.labels import Labels


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
    labels: dict[str, str] = Field(default_factory=dict, sa_column=Column(JsonOf(dict[str, str]), nullable=False))
    version: int = 1
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)
    deleted_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class AppLabelRow(Row, table=True):
    """One label of an app, to select by; `AppRow.labels` has all of them, to be shown."""

    __tablename__ = "app_label"
    __table_args__ = (Index("app_label_value", "key", "value"),)

    app_id: str = Field(foreign_key="app.id", primary_key=True)
    key: str = Field(primary_key=True)
    value: str


LABELS = Labels(AppLabelRow, col(AppLabelRow.app_id), col(AppLabelRow.key), col(AppLabelRow.value))
