"""What an install's life means."""

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import update as sql_update
from sqlmodel import col, select

from api.agents.models import AgentRow
from api.apps import service as apps
from api.apps.models import AppRow
from api.contract.base import Json, Page
from api.contract.inputs import InputSpec, check_values
from api.contract.labels import check_labels
from api.contract.previews import DraftInstall
from api.contract.problems import FieldProblem, InUseError, InvalidError, NameTakenError, NotFoundError
from api.contract.resources import Install, InstallCreate, InstalledComponent, InstallUpdate
from api.db.pages import page
from api.db.statements import Query, among
from api.db.transaction import Read, Write
from api.deploys.models import DeployRow
from api.installs.models import LABELS, InstalledComponentRow, InstallRow
from api.installs.regions import check_region
from api.jobs import queue
from api.jobs.models import JobRow
from api.releases.models import ReleaseRow
from api.secrets import owners
from api.secrets.vault import Vault

_SETTINGS = ("approval", "approval_timeout_hours", "labels", "drift_check_hours", "heal_drift", "platform", "region")
"""What an update replaces besides the inputs."""


_COMPONENTS = Query(
    select(InstalledComponentRow)
    .where(among(InstalledComponentRow.install_id, "installs"))
    .order_by(col(InstalledComponentRow.name))
)
_BY_NAME = Query(select(InstallRow).where(col(InstallRow.deleted_at).is_(None), among(InstallRow.name, "names")))


def find(tx: Read, install: str, *, field: str | None = None) -> InstallRow:
    """The install with this id or name. Raises NotFoundError, or InvalidError on `field` if the name came in a body."""
    loaded = ("install", install) in tx.memo
    row: InstallRow | None = tx.memo["install", install] if loaded else next(iter(_named(tx, [install])), None)
    if row is None or not tx.scope.holds(app_id=row.app_id, install_id=row.id):
        if field:
            raise InvalidError.at(field, f"there is no install {install!r}", "Give the id or name of an install that exists.")
        raise NotFoundError(f"there is no install {install!r}")
    return row


def load(tx: Read, named: Collection[str]) -> list[InstallRow]:
    """Look up at once many installs that `find` will be asked for, by id or name, whoever may see them."""
    rows = _named(tx, named)
    found = {name: row for row in rows for name in (row.id, row.name)}
    tx.memo.update({("install", name): found.get(name) for name in named})
    return rows


def _named(tx: Read, names: Collection[str]) -> list[InstallRow]:
    rows = [row for row in tx.get_many(InstallRow, names) if row.deleted_at is None]
    left = set(names) - {row.id for row in rows}
    return rows + (tx.all(_BY_NAME, names=left) if left else [])


def components_of(tx: Read, install_id: str) -> list[InstalledComponentRow]:
    """What is installed, by name."""
    return tx.all(_COMPONENTS, installs=[install_id])


def agent_of(tx: Read, install_id: str) -> AgentRow | None:
    """The install's agent, or None if none has enrolled."""
    return tx.first(select(AgentRow).where(AgentRow.install_id == install_id, col(AgentRow.revoked_at).is_(None)))


def public(tx: Read, row: InstallRow) -> Install:
    """A row as the API shows it."""
    return publics(tx, [row])[0]


def publics(tx: Read, rows: list[InstallRow]) -> list[Install]:
    """The same of many rows. The number of queries doesn't grow with them."""
    of_rows = [row.id for row in rows]
    working = select(AgentRow).where(col(AgentRow.install_id).in_(of_rows), col(AgentRow.revoked_at).is_(None))
    agents = {agent.install_id: agent for agent in tx.all(working)}
    there = (
        select(InstalledComponentRow, ReleaseRow.number)
        .join(ReleaseRow, col(ReleaseRow.id) == col(InstalledComponentRow.release_id))
        .where(col(InstalledComponentRow.install_id).in_(of_rows))
        .order_by(col(InstalledComponentRow.name))
    )
    components: defaultdict[str, list[InstalledComponent]] = defaultdict(list)
    for component, release_number in tx.session.exec(there):
        components[component.install_id].append(_component(component, release_number))
    found = []
    for row in rows:
        agent = agents.get(row.id)
        found.append(
            Install(
                agent_id=agent.id if agent else None,
                agent_last_seen_at=agent.last_seen_at if agent else None,
                components=components[row.id],
                **row.model_dump(exclude={"sealed_inputs", "deleted_at"}),
            )
        )
    return found


def _component(row: InstalledComponentRow, release_number: int) -> InstalledComponent:
    return InstalledComponent(
        name=row.name,
        status=row.status,
        digest=row.digest,
        release_number=release_number,
        outputs=row.outputs,
        sensitive_outputs=row.sensitive_outputs,
        drift_checked_at=row.drift_checked_at,
        drifted=None if row.drift is None else not row.drift.empty,
        drift=row.drift,
        health=row.health,
        health_since=row.health_since,
        health_checked_at=row.health_checked_at,
    )


def problems_of(
    specs: list[InputSpec], body: InstallCreate | InstallUpdate | DraftInstall, sensitive: dict[str, Json]
) -> list[FieldProblem]:
    """What is wrong with an install's settings, given the inputs of its app."""
    problems = check_values(specs, body.inputs, sensitive)[2]
    return problems + check_labels(body.labels) + check_region(body.platform, body.region)


def _check(app: AppRow, body: InstallCreate | InstallUpdate, sensitive: dict[str, Json]) -> None:
    problems = problems_of(app.inputs, body, sensitive)
    if problems:
        raise InvalidError("the install can't be accepted", errors=problems)


def create(tx: Write, vault: Vault, body: InstallCreate) -> Install:
    """A new install."""
    app = apps.find(tx, body.app_id, field="app_id")
    if tx.first(select(InstallRow).where(InstallRow.name == body.name, col(InstallRow.deleted_at).is_(None))):
        message, remedy = f"there is an install named {body.name!r} already", "Choose another name, or import the install."
        raise NameTakenError(message, remedy=remedy, errors=[FieldProblem(field="name", message=message, remedy=remedy)])
    _check(app, body, body.sensitive_inputs)
    install_id = tx.new_id("ins")
    row = InstallRow(
        id=install_id,
        app_id=app.id,
        name=body.name,
        inputs=body.inputs,
        sealed_inputs=vault.seal(body.sensitive_inputs, owner=install_id),
        sensitive_fingerprints={name: vault.fingerprint(value) for name, value in body.sensitive_inputs.items()},
        approval=body.approval,
        approval_timeout_hours=body.approval_timeout_hours,
        drift_check_hours=body.drift_check_hours,
        drift_due_at=_next_look(tx, body.drift_check_hours),
        heal_drift=body.heal_drift,
        platform=body.platform,
        region=body.region,
        created_at=tx.now,
        updated_at=tx.now,
    )
    tx.session.add(row)
    row.labels = body.labels
    LABELS.put(tx, row.id, body.labels)
    tx.emit("install.created", row.id, after=_record(row), app_id=row.app_id, install_id=row.id)
    return public(tx, row)


def _record(row: InstallRow) -> Json:
    return {
        "name": row.name,
        "app_id": row.app_id,
        "inputs": row.inputs,
        "sensitive_inputs": sorted(row.sensitive_fingerprints),
        "approval": row.approval,
        "approval_timeout_hours": row.approval_timeout_hours,
        "labels": row.labels,
        "drift_check_hours": row.drift_check_hours,
        "heal_drift": row.heal_drift,
        "platform": row.platform,
        "region": row.region,
    }


def _next_look(tx: Write, hours: int | None) -> datetime | None:
    return tx.now + timedelta(hours=hours) if hours else None


def get(tx: Read, install: str) -> Install:
    """One install, by id or name."""
    return public(tx, find(tx, install))


def list_installs(
    tx: Read,
    *,
    limit: int,
    after: str | None,
    app: str | None,
    name: str | None,
    release: str | None,
    release_number: int | None,
    selector: str | None,
) -> Page[Install]:
    """One page of installs. One runs a release if any of its components is of it: while a deploy goes on, two may be."""
    query = select(InstallRow).where(col(InstallRow.deleted_at).is_(None))
    query = tx.scope.narrow(query, app=InstallRow.app_id, install=InstallRow.id)
    if app:
        query = query.where(InstallRow.app_id == apps.find(tx, app).id)
    if name:
        query = query.where(InstallRow.name == name)
    if release or release_number is not None:
        runs = select(InstalledComponentRow.name).where(InstalledComponentRow.install_id == InstallRow.id)
        if release:
            runs = runs.where(InstalledComponentRow.release_id == release)
        if release_number is not None:
            numbered = select(ReleaseRow.id).where(ReleaseRow.number == release_number)
            runs = runs.where(col(InstalledComponentRow.release_id).in_(numbered))
        query = query.where(runs.exists())
    if selector:
        query = query.where(*LABELS.selects(selector, col(InstallRow.id)))
    found = page(tx, query, col(InstallRow.id), lambda row: row, limit=limit, after=after)
    return Page(items=publics(tx, found.items), after=found.after)


def sensitive_inputs(vault: Vault, row: InstallRow) -> dict[str, Json]:
    """The sensitive inputs in the clear: only for a job on its way to the install's own agent."""
    return vault.open_sealed(row.sealed_inputs, owner=row.id)


def update(tx: Write, vault: Vault, install: str, body: InstallUpdate) -> Install:
    """New inputs; `inputs_version` grows if they differ."""
    row = find(tx, install)
    app = tx.session.get(AppRow, row.app_id)
    if app is None:
        raise LookupError(f"install {row.id} has no app")
    sensitive = body.sensitive_inputs if body.sensitive_inputs is not None else sensitive_inputs(vault, row)
    _check(app, body, sensitive)
    fingerprints = {name: vault.fingerprint(value) for name, value in sensitive.items()}
    inputs_differ = (row.inputs, row.sensitive_fingerprints) != (body.inputs, fingerprints)
    if not inputs_differ and all(getattr(row, name) == getattr(body, name) for name in _SETTINGS):
        return public(tx, row)
    before = _record(row)
    changed = sorted(name for name in fingerprints if row.sensitive_fingerprints.get(name) != fingerprints[name])
    row.inputs, row.sensitive_fingerprints, row.approval = body.inputs, fingerprints, body.approval
    row.approval_timeout_hours = body.approval_timeout_hours
    row.platform, row.region, row.heal_drift = body.platform, body.region, body.heal_drift
    if row.drift_check_hours != body.drift_check_hours:
        row.drift_check_hours, row.drift_due_at = body.drift_check_hours, _next_look(tx, body.drift_check_hours)
    row.labels = body.labels
    LABELS.put(tx, row.id, body.labels)
    row.sealed_inputs = vault.seal(sensitive, owner=row.id)
    row.inputs_version += inputs_differ
    row.version += 1
    row.updated_at = tx.now
    tx.session.flush()
    after = {**_record(row), "changed_sensitive_inputs": changed}
    tx.emit("install.updated", row.id, before=before, after=after, app_id=row.app_id, install_id=row.id)
    return public(tx, row)


def delete(tx: Write, install: str, *, left_behind: list[str] | None = None) -> None:
    """Delete an install on which nothing runs any more; its agent is revoked, and its secrets are wiped out.

    `left_behind` names, for the history, the components that `deploys.forget` took out of it by force.
    Raises InUseError with the deploy that is under way, or with the components.
    """
    row = find(tx, install)
    running = tx.first(select(DeployRow).where(DeployRow.install_id == row.id, col(DeployRow.ended_at).is_(None)))
    if running:
        raise InUseError(
            f"{running.kind} {running.id} is still under way on install {row.name!r}",
            remedy=f"Wait until it has ended, or cancel it: `exclave deploys cancel {running.id}`.",
        )
    left = [component.name for component in components_of(tx, row.id)]
    if left:
        raise InUseError(
            f"install {row.name!r} still has deployed components: {', '.join(left)}",
            remedy=f"Tear it down first: `exclave deploys teardown {row.name}`.",
        )
    row.deleted_at = tx.now
    row.sealed_inputs = b""
    tx.session.exec(sql_update(DeployRow).where(col(DeployRow.install_id) == row.id).values(sealed_inputs=b""))
    owners.wipe(tx, "install", row.id)
    for job in tx.all(select(JobRow).where(JobRow.install_id == row.id, col(JobRow.state).in_(queue.OPEN))):
        queue.close(tx, job, "cancelled", None)  # a version that its agent was offered
    agent = agent_of(tx, row.id)
    if agent:
        agent.revoked_at = tx.now
        tx.emit("agent.revoked", agent.id, after={"reason": "its install was deleted"}, install_id=row.id)
    forced = None if left_behind is None else {"force": True, "left_behind": left_behind}
    tx.emit("install.deleted", row.id, before=_record(row), after=forced, app_id=row.app_id, install_id=row.id)
