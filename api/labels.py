"""Labels in the database: written with the object that has them, and asked by selectors."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Query
from sqlalchemy import ColumnElement, delete
from sqlmodel import col, select

from api.db.row import Row
from api.db.transaction import Write
from api.installs.selector import Requirement, parse


def _selector(of: str) -> Any:
    text = f"Only {of} with these labels: `region=eu,tier!=free,env in (a,b),!old`."
    return Query(max_length=4000, description=text)


Selector = Annotated[str | None, _selector("of installs")]
AppSelector = Annotated[str | None, _selector("apps")]
ReleaseSelector = Annotated[str | None, _selector("releases")]


@dataclass(frozen=True)
class Labels:
    """The table that holds the labels of one kind of object: a row for each, with `key`, `value` and the column `owner`."""

    table: Callable[..., Row]
    owner: Any
    key: Any
    value: Any

    def put(self, tx: Write, owner: str, labels: dict[str, str]) -> None:
        """Give an object exactly these labels, which have been checked."""
        tx.session.flush()
        tx.session.connection().execute(delete(self.owner.class_).where(self.owner == owner))
        rows = ({self.owner.key: owner, "key": key, "value": value} for key, value in labels.items())
        tx.session.add_all(self.table(**row) for row in rows)
        tx.session.flush()

    def selects(self, selector: str, owner: Any) -> list[ColumnElement[bool]]:
        """The conditions that a selector puts on the object that a column names. Raises InvalidError on `selector`."""
        return [self._condition(each, owner) for each in parse(selector)]

    def _condition(self, requirement: Requirement, owner: Any) -> ColumnElement[bool]:
        label = select(self.key).where(self.owner == owner, self.key == requirement.key)
        if requirement.values:
            label = label.where(col(self.value).in_(requirement.values))
        found: ColumnElement[bool] = label.exists()
        return found if requirement.operator in ("in", "exists") else ~found
