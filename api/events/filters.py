"""Which events a reader wants: the same for lists, exports, streams and webhooks."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Query
from sqlalchemy import Select, or_
from sqlmodel import col, select

from api.access import Viewer
from api.apps.models import AppRow
from api.contract.problems import NotFoundError
from api.contract.webhooks import ACTION_PATTERN
from api.db.scope import EVERYTHING, Scope
from api.db.transaction import Read
from api.events.models import EventRow
from api.http import Moment
from api.installs.models import InstallRow

S = TypeVar("S", bound=Select[Any])


@dataclass(frozen=True)
class EventFilter:
    """What is None, or empty, narrows nothing. An install's events belong to its app, too. `scope` is the reader's own."""

    app_id: str | None = None
    install_id: str | None = None
    object_id: str | None = None
    actions: tuple[str, ...] = ()
    actor: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    scope: Scope = EVERYTHING

    def narrow(self, query: S) -> S:
        """Leave out of a query over events what the reader doesn't want."""
        for app_id in {self.app_id, self.scope.app_id} - {None}:
            of_app = select(InstallRow.id).where(InstallRow.app_id == app_id)
            query = query.where((col(EventRow.app_id) == app_id) | col(EventRow.install_id).in_(of_app))
        for install_id in {self.install_id, self.scope.install_id} - {None}:
            query = query.where(col(EventRow.install_id) == install_id)
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
    found = tx.first(tx.scope.narrow(select(AppRow.id).where(alive | (col(AppRow.id) == app)), app=AppRow.id))
    if found is None:
        raise NotFoundError(f"there is no app {app!r}")
    return found


def install_of(tx: Read, install: str) -> str:
    """The same for an install."""
    alive = (col(InstallRow.name) == install) & col(InstallRow.deleted_at).is_(None)
    query = select(InstallRow.id).where(alive | (col(InstallRow.id) == install))
    found = tx.first(tx.scope.narrow(query, app=InstallRow.app_id, install=InstallRow.id))
    if found is None:
        raise NotFoundError(f"there is no install {install!r}")
    return found


async def wanted(
    caller: Viewer,
    app: Annotated[str | None, Query(description="Only of this app and its installs, by id or name.")] = None,
    install: Annotated[str | None, Query(description="Only of this install, by id or name.")] = None,
    object_id: Annotated[str | None, Query(description="Only of this object.")] = None,
    action: Annotated[
        str | None, Query(pattern=ACTION_PATTERN, description="Only this action, or all of an object: `deploy.*`.")
    ] = None,
    actor: Annotated[str | None, Query(description="Only by this actor, such as `token:admin`.")] = None,
    since: Annotated[Moment | None, Query(description="Not before this moment.")] = None,
    until: Annotated[Moment | None, Query(description="Before this moment.")] = None,
) -> EventFilter:
    """The filter that a request asks for. Raises NotFoundError before anything is answered."""

    def resolve(tx: Read) -> tuple[str | None, str | None]:
        return app_of(tx, app) if app else None, install_of(tx, install) if install else None

    app_id, install_id = await caller.read(resolve) if app or install else (None, None)
    actions = (action,) if action else ()
    return EventFilter(app_id, install_id, object_id, actions, actor, since, until, caller.identity.scope)


Wanted = Annotated[EventFilter, Depends(wanted)]
