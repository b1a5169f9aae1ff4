"""What a component's life means."""

import hashlib
import json

from sqlmodel import col, func, select
from sqlmodel.sql.expression import Select

from api.apps.models import AppRow
from api.components.graph import check_config, suggestion
from api.components.models import ComponentConfigRow, ComponentRow
from api.contract.base import Json, Page
from api.contract.components import (
    IMAGE_KINDS,
    Component,
    ComponentConfig,
    ComponentCreate,
    ComponentKind,
    ComponentUpdate,
    PathSource,
)
from api.contract.problems import FieldProblem, InvalidError, NameTakenError, NotFoundError
from api.db.pages import check_cursor
from api.db.transaction import Read, Write


def checksum(config: ComponentConfig) -> str:
    """A hash of what a config says."""
    return hashlib.sha256(json.dumps(_said(config), sort_keys=True).encode()).hexdigest()


def _said(config: ComponentConfig) -> dict[str, Json]:
    """What a config says. A path with a content digest counts by its digest: two checkouts are one source."""
    body = config.model_dump(mode="json")
    source = getattr(config, "source", None)
    if source is not None and isinstance(source.path, PathSource) and source.path.digest:
        body["source"]["path"]["path"] = ""
    return body


def same_source(one: ComponentConfig, other: ComponentConfig) -> bool:
    """Whether two configs are made of the same files."""
    return one.kind == other.kind and _said(one).get("source") == _said(other).get("source")


def newest_config(tx: Read, row: ComponentRow) -> ComponentConfigRow:
    """The config that `row.version` names."""
    config = config_at(tx, row, row.version)
    if config is None:
        raise LookupError(f"component {row.id} has no config {row.version}")
    return config


def config_at(tx: Read, row: ComponentRow, version: int) -> ComponentConfigRow | None:
    """One config of a component."""
    return tx.first(
        select(ComponentConfigRow).where(ComponentConfigRow.component_id == row.id, ComponentConfigRow.version == version)
    )


def of_app(tx: Read, app_id: str) -> dict[str, ComponentConfigRow]:
    """The newest config of every component of an app, by the component's name."""
    query = _with_config().where(ComponentRow.app_id == app_id)
    return {row.name: config for row, config in tx.session.exec(query)}


def _with_config() -> "Select[ComponentRow, ComponentConfigRow]":
    return (
        select(ComponentRow, ComponentConfigRow)
        .join(ComponentConfigRow, col(ComponentConfigRow.component_id) == col(ComponentRow.id))
        .where(ComponentConfigRow.version == ComponentRow.version, col(ComponentRow.deleted_at).is_(None))
    )


def public(tx: Read, row: ComponentRow) -> Component:
    """A row with its newest config, as the API shows it."""
    return _public(row, newest_config(tx, row))


def _public(row: ComponentRow, config: ComponentConfigRow) -> Component:
    return Component(config=config.config, **row.model_dump(exclude={"deleted_at"}))


def _named(tx: Read, app: AppRow, component: str) -> ComponentRow | None:
    return tx.first(
        select(ComponentRow).where(
            ComponentRow.app_id == app.id,
            col(ComponentRow.deleted_at).is_(None),
            (col(ComponentRow.id) == component) | (col(ComponentRow.name) == component),
        )
    )


def find(tx: Read, app: AppRow, component: str) -> ComponentRow:
    """The component of this app with this id or name. Raises NotFoundError."""
    row = _named(tx, app, component)
    if row is None:
        known = list(of_app(tx, app.id))
        raise NotFoundError(f"app {app.name!r} has no component {component!r}", remedy=suggestion(component, known))
    return row


def _check(app: AppRow, name: str, config: ComponentConfig) -> None:
    problems = check_config(name, config, app.inputs)
    if problems:
        raise InvalidError(f"component {name!r} can't be accepted", errors=problems)


def create(tx: Write, app: AppRow, body: ComponentCreate) -> Component:
    """A new component, with its first config."""
    if _named(tx, app, body.name):
        message = f"app {app.name!r} has a component named {body.name!r} already"
        remedy = "Choose another name, or import the component."
        raise NameTakenError(message, remedy=remedy, errors=[FieldProblem(field="name", message=message, remedy=remedy)])
    _check(app, body.name, body.config)
    row = ComponentRow(
        id=tx.new_id("cmp"),
        app_id=app.id,
        name=body.name,
        kind=body.config.kind,
        version=_next_version(tx, app, body.name),
        created_at=tx.now,
        updated_at=tx.now,
    )
    tx.session.add(row)
    tx.session.flush()
    _add_config(tx, row, body.config)
    tx.emit("component.created", row.id, after=body.model_dump(mode="json"), app_id=row.app_id)
    return public(tx, row)


def _next_version(tx: Read, app: AppRow, name: str) -> int:
    """1, or one more than the deleted components of this name have had: to a release, name and version mean one config."""
    query = select(func.max(ComponentRow.version)).where(ComponentRow.app_id == app.id, ComponentRow.name == name)
    return (tx.session.exec(query).one() or 0) + 1


def _add_config(tx: Write, row: ComponentRow, config: ComponentConfig) -> None:
    tx.session.add(
        ComponentConfigRow(
            id=tx.new_id("cfg"),
            component_id=row.id,
            version=row.version,
            config=config,
            checksum=checksum(config),
            created_at=tx.now,
        )
    )
    tx.session.flush()


def update(tx: Write, app: AppRow, component: str, body: ComponentUpdate) -> Component:
    """Store config version n+1, if it says anything new. A moved checkout only updates where the source is found."""
    row = find(tx, app, component)
    if body.config.kind != row.kind and not {body.config.kind, row.kind} <= set(IMAGE_KINDS):
        raise InvalidError.at(
            "config.kind",
            f"component {row.name!r} is of kind {row.kind} and can't become {body.config.kind}",
            "Make a new component.",
        )
    _check(app, row.name, body.config)
    newest = newest_config(tx, row)
    if newest.checksum == checksum(body.config):
        newest.config = body.config
        return public(tx, row)
    row.kind = body.config.kind
    row.version += 1
    row.updated_at = tx.now
    _add_config(tx, row, body.config)
    tx.emit(
        "component.updated",
        row.id,
        before={"version": newest.version, "config": newest.config.model_dump(mode="json")},
        after={"version": row.version, "config": body.config.model_dump(mode="json")},
        app_id=row.app_id,
    )
    return public(tx, row)


def list_components(
    tx: Read, app: AppRow, *, limit: int, after: str | None, name: str | None, kind: ComponentKind | None
) -> Page[Component]:
    """One page of an app's components."""
    query = _with_config().where(ComponentRow.app_id == app.id).order_by(col(ComponentRow.id)).limit(limit + 1)
    if name:
        query = query.where(ComponentRow.name == name)
    if kind:
        query = query.where(ComponentRow.kind == kind)
    if after:
        check_cursor(col(ComponentRow.id), after)
        query = query.where(ComponentRow.id > after)
    rows = list(tx.session.exec(query))
    items = [_public(row, config) for row, config in rows[:limit]]
    return Page(items=items, after=items[-1].id if len(rows) > limit else None)


def delete(tx: Write, app: AppRow, component: str) -> None:
    """Take a component out of its app. Installs keep it until a release without it is deployed: that destroys it there.

    It isn't refused while it is deployed, because Terraform deletes a component before it changes the release that had it.
    """
    row = find(tx, app, component)
    row.deleted_at = tx.now
    tx.emit("component.deleted", row.id, before={"name": row.name, "version": row.version}, app_id=row.app_id)
