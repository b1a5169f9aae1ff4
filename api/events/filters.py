"""Which events a reader wants: the same for lists, exports, streams and webhooks."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Query
from pydantic import AwareDatetime
from sqlalchemy import Select, or_
from sqlmodel import col, select

from api.access import State
from api.apps.models import AppRow
from api.contract.problems import NotFoundError
from api.contract.webhooks import ACTION_PATTERN
from api.db.transaction import Read
from api.events.models import EventRow
from api.installs.models import InstallRow

S = TypeVar("S", bound=Select[Any])


@dataclass(frozen=True)
class EventFilter:
    """What is None, or empty, narrows nothing. An install's events belong to its app, too."""

    app_id: str | None = None
    install_id: str | None = None
    object_id: str | None = None
    actions: tuple[str, ...] = ()
    actor: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def narrow(self, query: S) -> S:
        """Leave out of a query over events what the reader doesn't want."""
        if self.app_id:
            of_app = select(InstallRow.id).where(InstallRow.app_id == self.app_id)
            query = query.where((col(EventRow.app_id) == self.app_id) | col(EventRow.install_id).in_(of_app))
        if self.install_id:
            query = query.where(col(EventRow.install_id) == self.install_id)
        if self.object_id:
            query = query.where(col(EventRow.object_id) == self.object_id)
        if self.actions and "*" not in self.actions:
            exact = [action for action in self.actions if not action.endswith("*")]
            prefixes = [action.removesuffix("*") for action in self.actions if action.endswith("*")]
            some = [col(EventRow.action).startswith(prefix, autoescape=True) for prefix in prefixes]
            query = query.where(or_(*some, *([col(EventRow.action).in_(exact)] if exact else [])))
        if self.actor:
            query = query.where(col(EventRow.actor) == self.actor)
        if self.since:
            query = query.where(col(EventRow.at) >= self.since)
        if self.until:
            query = query.where(col(EventRow.at) < self.until)
        return query


def app_of(tx: Read, app: str) -> str:
    """The id of an app, by id or name; a deleted one is found by its id, for its history stays. Raises NotFoundError."""
    alive = (col(AppRow.name) == app) & col(AppRow.deleted_at).is_(None)
    found = tx.first(select(AppRow.id).where(alive | (col(AppRow.id) == app)))
    if found is None:
        raise NotFoundError(f"there is no app {app!r}")
    return found


def install_of(tx: Read, install: str) -> str:
    """The same for an install."""
    alive = (col(InstallRow.name) == install) & col(InstallRow.deleted_at).is_(None)
    found = tx.first(select(InstallRow.id).where(alive | (col(InstallRow.id) == install)))
    if found is None:
        raise NotFoundError(f"there is no install {install!r}")
    return found


async def wanted(
    ims: State,
    app: Annotated[str | None, Query(description="Only of this app and its installs, by id or name.")] = None,
    install: Annotated[str | None, Query(description="Only of this install, by id or name.")] = None,
    object_id: Annotated[str | None, Query(description="Only of this object.")] = None,
    action: Annotated[
        str | None, Query(pattern=ACTION_PATTERN, description="Only this action, or all of an object: `deploy.*`.")
    ] = None,
    actor: Annotated[str | None, Query(description="Only by this actor, such as `token:admin`.")] = None,
    since: Annotated[AwareDatetime | None, Query(description="Not before this moment.")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Before this moment.")] = None,
) -> EventFilter:
    """The filter that a request asks for. Raises NotFoundError before anything is answered."""

    def resolve(tx: Read) -> tuple[str | None, str | None]:
        return app_of(tx, app) if app else None, install_of(tx, install) if install else None

    app_id, install_id = await ims.db.read(resolve) if app or install else (None, None)
    return EventFilter(app_id, install_id, object_id, (action,) if action else (), actor, since, until)


Wanted = Annotated[EventFilter, Depends(wanted)]
