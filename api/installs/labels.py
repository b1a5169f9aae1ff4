"""Labels in the database: written with the install, and asked by selectors."""

from typing import Annotated, Any

from fastapi import Query
from sqlalchemy import ColumnElement, delete
from sqlalchemy.orm import InstrumentedAttribute
from sqlmodel import col, select

from api.db.transaction import Write
from api.installs.models import InstallLabelRow, InstallRow
from api.installs.selector import Requirement, parse

Selector = Annotated[
    str | None,
    Query(max_length=4000, description="Only of installs with these labels: `region=eu,tier!=free,env in (a,b),!old`."),
]


def set_labels(tx: Write, install: InstallRow, labels: dict[str, str]) -> None:
    """Give an install exactly these labels, which have been checked."""
    install.labels = labels
    tx.session.flush()
    tx.session.connection().execute(delete(InstallLabelRow).where(col(InstallLabelRow.install_id) == install.id))
    tx.session.add_all(InstallLabelRow(install_id=install.id, key=key, value=value) for key, value in labels.items())
    tx.session.flush()


def selects(selector: str, install_id: "InstrumentedAttribute[str] | Any") -> list[ColumnElement[bool]]:
    """The conditions that a selector puts on the install of a row. Raises InvalidError on `selector`."""
    return [_condition(each, install_id) for each in parse(selector)]


def _condition(requirement: Requirement, install_id: "InstrumentedAttribute[str] | Any") -> ColumnElement[bool]:
    label = select(InstallLabelRow.key).where(
        col(InstallLabelRow.install_id) == install_id, InstallLabelRow.key == requirement.key
    )
    if requirement.values:
        label = label.where(col(InstallLabelRow.value).in_(requirement.values))
    found = label.exists()
    return found if requirement.operator in ("in", "exists") else ~found
