"""What an app's life means."""

from sqlmodel import col, select

from api.apps.models import LABELS, AppRow
from api.components.models import ComponentRow
from api.contract.base import Page
from api.contract.inputs import check_specs
from api.contract.labels import check_labels
from api.contract.problems import FieldProblem, InUseError, InvalidError, NameTakenError, NotFoundError
from api.contract.resources import App, AppCreate, AppUpdate
from api.db.pages import page
from api.db.transaction import Read, Write
from api.installs.models import InstallRow
from api.secrets import owners


def public(row: AppRow) -> App:
    """A row as the API shows it."""
    return App.model_validate(row.model_dump(exclude={"deleted_at"}))


def find(tx: Read, app: str, *, field: str | None = None) -> AppRow:
    """The app with this id or name. Raises NotFoundError, or InvalidError on `field` if the name came in a body."""
    query = select(AppRow).where(col(AppRow.deleted_at).is_(None), (col(AppRow.id) == app) | (col(AppRow.name) == app))
    row = tx.first(tx.scope.narrow(query, app=AppRow.id))
    if row is None:
        if field:
            raise InvalidError.at(field, f"there is no app {app!r}", "Give the id or name of an app that exists.")
        raise NotFoundError(f"there is no app {app!r}")
    return row


def of_install(tx: Read, install: InstallRow) -> AppRow:
    """The app of an install: it is there for as long as the install is."""
    row = tx.get(AppRow, install.app_id)
    if row is None:
        raise LookupError(f"install {install.id} has no app")
    return row


def _check(body: AppCreate | AppUpdate) -> None:
    problems = check_specs(body.inputs) + check_labels(body.labels)
    if problems:
        raise InvalidError("the app can't be accepted", errors=problems)


def create(tx: Write, body: AppCreate) -> App:
    """A new app."""
    _check(body)
    if tx.first(select(AppRow).where(AppRow.name == body.name, col(AppRow.deleted_at).is_(None))):
        message, remedy = f"there is an app named {body.name!r} already", "Choose another name, or import the app."
        raise NameTakenError(message, remedy=remedy, errors=[FieldProblem(field="name", message=message, remedy=remedy)])
    row = AppRow(
        id=tx.new_id("app"),
        name=body.name,
        description=body.description,
        inputs=body.inputs,
        labels=body.labels,
        created_at=tx.now,
        updated_at=tx.now,
    )
    tx.session.add(row)
    LABELS.put(tx, row.id, body.labels)
    tx.emit("app.created", row.id, after=body.model_dump(mode="json"), app_id=row.id)
    return public(row)


def get(tx: Read, app: str) -> App:
    """One app, by id or name."""
    return public(find(tx, app))


def list_apps(tx: Read, *, limit: int, after: str | None, name: str | None, selector: str | None) -> Page[App]:
    """One page of apps."""
    query = tx.scope.narrow(select(AppRow).where(col(AppRow.deleted_at).is_(None)), app=AppRow.id)
    if name:
        query = query.where(AppRow.name == name)
    if selector:
        query = query.where(*LABELS.selects(selector, col(AppRow.id)))
    return page(tx, query, col(AppRow.id), public, limit=limit, after=after)


def update(tx: Write, app: str, body: AppUpdate) -> App:
    """Store a new description and inputs.

    What refers to an input that is gone is refused at the next release, not here: in one `terraform apply` the app changes
    before its components do.
    """
    row = find(tx, app)
    _check(body)
    before = AppUpdate(description=row.description, inputs=row.inputs, labels=row.labels)
    if before == body:
        return public(row)
    row.description, row.inputs, row.labels = body.description, body.inputs, body.labels
    LABELS.put(tx, row.id, body.labels)
    row.version += 1
    row.updated_at = tx.now
    was, now = before.model_dump(mode="json"), body.model_dump(mode="json")
    tx.emit("app.updated", row.id, before=was, after=now, app_id=row.id)
    return public(row)


def delete(tx: Write, app: str, *, force: bool = False) -> None:
    """Delete an app that has neither installs nor components, with its secrets. Raises InUseError with their names.

    `force` says, for the history, that `deploys.forget` took them away first.
    """
    row = find(tx, app)
    installs = tx.all(select(InstallRow.name).where(InstallRow.app_id == row.id, col(InstallRow.deleted_at).is_(None)))
    components = tx.all(select(ComponentRow.name).where(ComponentRow.app_id == row.id, col(ComponentRow.deleted_at).is_(None)))
    if installs or components:
        users = [f"install {name}" for name in installs] + [f"component {name}" for name in components]
        raise InUseError(
            f"app {row.name!r} still has: {', '.join(users)}",
            remedy="Delete those first, or delete the app with `?force=true`.",
        )
    row.deleted_at = tx.now
    owners.wipe(tx, "app", row.id)
    tx.emit("app.deleted", row.id, before={"name": row.name}, after={"force": True} if force else None, app_id=row.id)
