"""What a named secret's life means."""

from collections.abc import Iterator

from sqlmodel import col, select
from sqlmodel.sql.expression import SelectOfScalar

from api.apps import service as apps
from api.apps.models import AppRow
from api.components.graph import secret_fields
from api.components.models import ComponentConfigRow, ComponentRow
from api.contract.base import Json, Page
from api.contract.components import ComponentConfig
from api.contract.problems import (
    ConflictError,
    FieldProblem,
    ForbiddenError,
    InUseError,
    InvalidError,
    NameTakenError,
    NotFoundError,
)
from api.contract.secrets import Secret, SecretCreate, SecretUpdate, SecretUse
from api.db.pages import page
from api.db.transaction import Read, Write
from api.installs import service as installs
from api.installs.models import InstalledComponentRow, InstallRow
from api.secrets.models import SecretRow
from api.secrets.values import ALL
from api.secrets.vault import Vault


def find(tx: Read, secret: str) -> SecretRow:
    """The secret with this id or name. Raises NotFoundError, or ConflictError if several scopes have one of this name."""
    rows = tx.all(_visible(tx).where((col(SecretRow.id) == secret) | (col(SecretRow.name) == secret)))
    if not rows:
        raise NotFoundError(f"there is no secret {secret!r}")
    if len(rows) > 1:
        ids = ", ".join(f"{row.id} ({row.scope})" for row in rows)
        raise ConflictError(f"there are several secrets named {secret!r}: {ids}", remedy="Give the id of one of them.")
    return rows[0]


def _visible(tx: Read) -> SelectOfScalar[SecretRow]:
    """The secrets in the caller's scope. An app's aren't in the scope of an install, nor those of the IMS in an app's."""
    query = select(SecretRow).where(col(SecretRow.deleted_at).is_(None))
    if tx.scope.install_id is not None:
        return query.where(SecretRow.scope == tx.scope.install_id)
    if tx.scope.app_id is not None:
        of_app = select(InstallRow.id).where(InstallRow.app_id == tx.scope.app_id)
        return query.where((col(SecretRow.scope) == tx.scope.app_id) | col(SecretRow.scope).in_(of_app))
    return query


def create(tx: Write, vault: Vault, body: SecretCreate) -> Secret:
    """A new secret."""
    scope = _scope(tx, body)
    taken = select(SecretRow).where(SecretRow.name == body.name, SecretRow.scope == scope, col(SecretRow.deleted_at).is_(None))
    if tx.first(taken):
        message, remedy = f"there is a secret named {body.name!r} already", "Change its value, or choose another name."
        raise NameTakenError(message, remedy=remedy, errors=[FieldProblem(field="name", message=message, remedy=remedy)])
    secret_id = tx.new_id("sec")
    row = SecretRow(
        id=secret_id,
        name=body.name,
        scope=scope,
        sealed=vault.seal({"value": body.value}, owner=secret_id),
        fingerprint=vault.fingerprint(body.value),
        created_at=tx.now,
        updated_at=tx.now,
    )
    tx.session.add(row)
    tx.session.flush()
    _emit(tx, "created", row, after={"name": row.name, "scope": row.scope, "version": row.version})
    return public(tx, row)


def _scope(tx: Read, body: SecretCreate) -> str:
    if body.app_id and body.install_id:
        raise InvalidError.at("install_id", "a secret is for an app or for an install, not for both", "Leave one of them out.")
    if body.install_id:
        return installs.find(tx, body.install_id, field="install_id").id
    app_id = apps.find(tx, body.app_id, field="app_id").id if body.app_id else None
    if not tx.scope.covers(app_id=app_id, install_id=None):
        whose = "the app" if app_id else "every app"
        raise ForbiddenError(
            f"a secret of {whose} is about more than the token's scope", remedy="Make one for what the token's scope is."
        )
    return app_id or ALL


def update(tx: Write, vault: Vault, secret: str, body: SecretUpdate) -> Secret:
    """Version n+1, if the value differs. Installs get it with their next deploy."""
    row = find(tx, secret)
    fingerprint = vault.fingerprint(body.value)
    if fingerprint != row.fingerprint:
        row.sealed = vault.seal({"value": body.value}, owner=row.id)
        row.fingerprint = fingerprint
        row.version += 1
        row.updated_at = tx.now
        tx.session.flush()
        _emit(tx, "updated", row, before={"version": row.version - 1}, after={"name": row.name, "version": row.version})
    return public(tx, row)


def list_secrets(tx: Read, *, limit: int, after: str | None, name: str | None) -> Page[Secret]:
    """One page of secrets, with who uses them."""
    uses = list(_uses(tx))
    query = _visible(tx).where(SecretRow.name == name) if name else _visible(tx)
    return page(tx, query, col(SecretRow.id), lambda row: _public(row, uses), limit=limit, after=after)


def delete(tx: Write, secret: str) -> None:
    """Delete a secret that nothing uses. Raises InUseError with its users."""
    row = find(tx, secret)
    used = public(tx, row).used_by
    if used:
        who = [f"{use.app}/{use.component}" + (f" on install {use.install}" if use.install else "") for use in used]
        raise InUseError(
            f"secret {row.name!r} is used by: {', '.join(dict.fromkeys(who))}",
            remedy="Remove the references, and deploy a release without them; then delete the secret.",
        )
    row.deleted_at = tx.now
    row.sealed = b""
    _emit(tx, "deleted", row, before={"name": row.name, "scope": row.scope, "version": row.version})


def public(tx: Read, row: SecretRow) -> Secret:
    """A row as the API shows it."""
    return _public(row, list(_uses(tx)))


def _whose(row: SecretRow) -> dict[str, str | None]:
    return {
        "app_id": row.scope if row.scope.startswith("app_") else None,
        "install_id": row.scope if row.scope.startswith("ins_") else None,
    }


def _emit(tx: Write, what: str, row: SecretRow, *, before: Json = None, after: Json = None) -> None:
    tx.emit(f"secret.{what}", row.id, before=before, after=after, **_whose(row))


_Use = tuple[str, set[str], SecretUse]
"""The name that is referred to, the scopes of secrets that it can mean, and who refers to it."""


def _public(row: SecretRow, uses: list[_Use]) -> Secret:
    return Secret(
        **_whose(row),
        used_by=[use for name, scopes, use in uses if name == row.name and row.scope in scopes],
        **row.model_dump(exclude={"scope", "sealed", "deleted_at"}),
    )


def _uses(tx: Read) -> Iterator[_Use]:
    """Every reference to a secret: of the components as they are defined now, and as installs run them."""
    defined = (
        select(AppRow, ComponentRow, ComponentConfigRow)
        .join(ComponentRow, col(ComponentRow.app_id) == col(AppRow.id))
        .join(ComponentConfigRow, col(ComponentConfigRow.component_id) == col(ComponentRow.id))
        .where(ComponentConfigRow.version == ComponentRow.version)
        .where(col(ComponentRow.deleted_at).is_(None), col(AppRow.deleted_at).is_(None))
    )
    installs_of: dict[str, set[str]] = {}
    for install in tx.all(select(InstallRow).where(col(InstallRow.deleted_at).is_(None))):
        installs_of.setdefault(install.app_id, set()).add(install.id)
    for app, component, config in tx.session.exec(defined):
        yield from _of(config.config, app, component.name, None, {ALL, app.id, *installs_of.get(app.id, ())})
    running = (
        select(AppRow, InstallRow, InstalledComponentRow)
        .join(InstallRow, col(InstallRow.app_id) == col(AppRow.id))
        .join(InstalledComponentRow, col(InstalledComponentRow.install_id) == col(InstallRow.id))
    )
    for app, install, there in tx.session.exec(running):
        yield from _of(there.config, app, there.name, install.name, {ALL, app.id, install.id})


def _of(config: ComponentConfig, app: AppRow, component: str, install: str | None, scopes: set[str]) -> Iterator[_Use]:
    for field, names in secret_fields(config).items():
        for name in names:
            yield name, scopes, SecretUse(app=app.name, component=component, install=install, field=field)
