"""How deploys are made: one that is set going at once, or one for each of many installs, planned soon after.

A release for ten thousand installs is ten thousand rows, `pending`, in one commit. Their steps are planned a few deploys at a
time (`planner`), between the writes of everybody else: whoever asked doesn't wait, and nobody's agent does.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import insert
from sqlmodel import col, select
from sqlmodel.sql.expression import SelectOfScalar

from api.contract.base import Failure
from api.contract.deploy_batches import BusyInstall, DeployBatch, DeployBatchCreate
from api.contract.problems import InvalidError, ProblemError
from api.contract.replans import Replan
from api.contract.resources import DeployCreate
from api.db.transaction import Read, Write
from api.deploys import decide as engine
from api.deploys import drift, inputs, loading, service, targets
from api.deploys.models import PENDING, DeployRow, StepRow
from api.deploys.planning import PlannedStep, StepKey, plan_deploy, plan_teardown
from api.installs import service as installs
from api.installs.models import LABELS, InstallRow
from api.releases import service as releases
from api.releases.models import ReleaseRow
from api.secrets.vault import Vault


@dataclass(frozen=True)
class _Planned:
    """A deploy that can begin."""

    deploy: DeployRow
    install: InstallRow
    release: ReleaseRow | None
    steps: list[PlannedStep]


def create(
    tx: Write, vault: Vault, body: DeployCreate, *, retry_of: str | None = None, rollback_of: str | None = None
) -> DeployRow:
    """Plan the steps and set the first ones going. A deploy that finds nothing to do has succeeded at once.

    A drift run that is under way is cancelled.
    """
    install = installs.find(tx, body.install_id, field="install_id")
    service.check_idle(tx, install)
    if body.inputs_version is not None and body.inputs_version != install.inputs_version:
        raise InvalidError.at(
            "inputs_version",
            f"install {install.name!r} has inputs version {install.inputs_version}, not {body.inputs_version}",
            "Use the install's `inputs_version`.",
        )
    release = targets.release_of(tx, install, body)
    targets.check_replan(releases.configs_of(tx, release.id) if body.replan and release else None, body.replan)
    steps = _plan(tx, vault, install, release, body.replan)
    row = DeployRow(
        id=tx.new_id("dep"),
        app_id=install.app_id,
        install_id=install.id,
        release_id=release.id if release else None,
        kind=body.kind,
        status="pending",
        retry_of=retry_of,
        rollback_of=rollback_of,
        replan=body.replan or None,
        inputs_version=install.inputs_version,
        sealed_inputs=b"",
        created_by=tx.actor,
        created_at=tx.now,
    )
    _begin(tx, vault, [_Planned(row, install, release, steps)])
    service.remember(tx, row)
    return row


def load(tx: Write, calls: list[tuple[Vault, DeployCreate]]) -> None:
    """For `create_one`: what deploys that are made in one commit look at."""
    loading.load_creates(tx, [body for _, body in calls])


def create_one(tx: Write, vault: Vault, body: DeployCreate) -> str:
    """See `create`; gives the deploy's id."""
    return create(tx, vault, body).id


def create_many(tx: Write, body: DeployBatchCreate) -> DeployBatch:
    """A deploy of one release for every install that is chosen and idle. Raises InvalidError or ConflictError."""
    release = releases.find(tx, body.release_id, field="release_id")
    targets.check_ready(release)
    seen = select(InstallRow.id).where(InstallRow.app_id == release.app_id, col(InstallRow.deleted_at).is_(None))
    if body.selector:
        seen = seen.where(*LABELS.selects(body.selector, col(InstallRow.id)))
    if body.installs is not None:
        seen = seen.where(col(InstallRow.id).in_(body.installs) | col(InstallRow.name).in_(body.installs))
    seen = tx.scope.narrow(seen, app=InstallRow.app_id, install=InstallRow.id)
    columns = (col(InstallRow.id), col(InstallRow.name), col(InstallRow.approval), col(InstallRow.inputs_version))
    chosen = tx.session.execute(seen.with_only_columns(*columns).order_by(col(InstallRow.id))).all()
    _check_found(body, {name for install_id, name, *_ in chosen for name in (install_id, name)})
    open_ones = select(DeployRow.install_id, DeployRow.id).where(col(DeployRow.ended_at).is_(None), DeployRow.kind != "drift")
    busy = dict(tx.session.exec(open_ones).all())
    rows = [
        {
            "id": tx.new_id("dep"),
            "app_id": release.app_id,
            "install_id": install_id,
            "release_id": release.id,
            "kind": "deploy",
            "status": "pending",
            "approval": approval,
            "inputs_version": inputs_version,
            "sealed_inputs": b"",
            "created_by": tx.actor,
            "version": 1,
            "created_at": tx.now,
        }
        for install_id, _, approval, inputs_version in chosen
        if install_id not in busy
    ]
    if rows:
        tx.session.connection().execute(insert(DeployRow), rows)
    skipped = [BusyInstall(install_id=one, install=name, deploy_id=busy[one]) for one, name, *_ in chosen if one in busy]
    tx.emit(
        "deploys.created",
        release.id,
        after={"release": release.number, "selector": body.selector, "deploys": len(rows), "busy": len(skipped)},
        app_id=release.app_id,
    )
    tx.ring(PENDING)
    return DeployBatch(release_id=release.id, release_number=release.number, created=len(rows), busy=skipped)


def _check_found(body: DeployBatchCreate, found: set[str]) -> None:
    """Raises InvalidError for an install that was named and isn't among those that were found."""
    for at, name in enumerate(body.installs or []):
        if name not in found:
            message = f"the release's app has no install {name!r}" + (" with these labels" if body.selector else "")
            raise InvalidError.at(f"installs.{at}", message, "List them: `exclave installs list`.")


def oldest_pending(tx: Read, limit: int) -> tuple[str, list[str]]:
    """Deploys that aren't planned yet, at most `limit`, all made by one: by whom, and their ids."""
    pending = select(DeployRow.id, DeployRow.created_by).where(DeployRow.status == "pending").order_by(col(DeployRow.id))
    rows = tx.session.exec(pending.limit(limit)).all()
    actor = rows[0][1] if rows else ""
    return actor, [deploy_id for deploy_id, created_by in rows if created_by == actor]


def plan_pending(tx: Write, vault: Vault, deploy_ids: list[str]) -> None:
    """Plan those of these deploys that aren't planned yet and set them going; one that can't be planned has failed."""
    rows = tx.all(_still_pending(deploy_ids))
    loading.load_pending(tx, rows)
    planned = []
    for row in rows:
        install, release = tx.get(InstallRow, row.install_id), tx.get(ReleaseRow, row.release_id)
        if install is None or release is None:
            raise LookupError(f"deploy {row.id} has no install or no release")
        try:
            planned.append(_Planned(row, install, release, _plan(tx, vault, install, release)))
        except ProblemError as problem:
            said = "; ".join([problem.detail, *(f"{each.field}: {each.message}" for each in problem.errors)])
            service.fail(tx, row, Failure(code=problem.code, message=said, remedy=problem.remedy))
    _begin(tx, vault, planned)


def give_up(tx: Write, deploy_ids: list[str]) -> None:
    """End those of these deploys that aren't planned yet: planning them has raised what nobody foresaw."""
    why = Failure(code="internal", message="its steps couldn't be planned", remedy="The IMS's log says why; tell us of it.")
    for row in tx.all(_still_pending(deploy_ids)):
        service.fail(tx, row, why)


def _still_pending(deploy_ids: list[str]) -> SelectOfScalar[DeployRow]:
    return select(DeployRow).where(col(DeployRow.id).in_(deploy_ids), DeployRow.status == "pending").order_by(col(DeployRow.id))


def _plan(
    tx: Read, vault: Vault, install: InstallRow, release: ReleaseRow | None, replan: Sequence[Replan] = ()
) -> list[PlannedStep]:
    """The steps that a deploy would have now."""
    current = {row.name: targets.there(row) for row in loading.installed(tx, install.id)}
    approve = install.approval != "auto"
    if release is None:
        return plan_teardown(current, approve=approve)
    wanted = targets.wanted_pieces(tx, vault, install, release)
    for one in replan:
        if one.targets:  # what is brought in part is not what is wanted: the next deploy plans the whole
            wanted[one.component] = dataclasses.replace(wanted[one.component], fingerprint=None)
    return plan_deploy(wanted, current, approve=approve, anew={one.component for one in replan})


def _begin(tx: Write, vault: Vault, planned: list[_Planned]) -> None:
    """Give deploys their steps, and set the first ones going. Rows are written table by table, not deploy by deploy."""
    for one in planned:
        if looking := drift.under_way(tx, one.install.id):
            service.cancel(tx, looking.id)
        row = one.deploy
        row.status, row.approval, row.inputs_version = "running", one.install.approval, one.install.inputs_version
        row.sealed_inputs = vault.seal(inputs.now(tx, vault, one.install), owner=row.id)
    tx.session.add_all(one.deploy for one in planned)
    tx.session.flush()
    for one in planned:
        _add_steps(tx, one.deploy, one.steps)
        _tell(tx, one)
    tx.session.flush()
    for one in planned:
        service.advance(tx, one.deploy, engine.Started())


def begin_drift_run(tx: Write, run: DeployRow, planned: list[PlannedStep]) -> None:
    """Give a drift run its steps."""
    tx.session.add(run)
    tx.session.flush()
    _add_steps(tx, run, planned)
    tx.session.flush()


def _tell(tx: Write, one: _Planned) -> None:
    row, release = one.deploy, one.release
    tx.emit(
        "deploy.created",
        row.id,
        after={
            "install": one.install.name,
            "kind": row.kind,
            "release": release.number if release else None,
            "approval": row.approval,
            "retry_of": row.retry_of,
            "rollback_of": row.rollback_of,
            **({"replan": [one.model_dump(mode="json") for one in row.replan]} if row.replan else {}),
            "steps": [" ".join(step.key) for step in one.steps],
        },
        app_id=row.app_id,
        install_id=row.install_id,
    )
    if release:
        in_work = {step.piece.name for step in one.steps}
        for component in loading.installed(tx, one.install.id):
            if component.name not in in_work:  # nothing differs: it is at this release already
                component.release_id = release.id


def _add_steps(tx: Write, deploy: DeployRow, planned: list[PlannedStep]) -> None:
    ids: dict[StepKey, str] = {step.key: tx.new_id("stp") for step in planned}
    steps = [
        StepRow(
            id=ids[step.key],
            deploy_id=deploy.id,
            position=position,
            component=step.piece.name,
            kind=step.key[1],
            phase="waiting",
            needs=[ids[need] for need in step.needs],
            conditional=step.conditional,
            config=step.piece.config,
            digest=step.piece.digest,
            repository=step.piece.repository,
            build_id=step.piece.build_id,
            fingerprint=step.piece.fingerprint or "",
        )
        for position, step in enumerate(planned)
    ]
    tx.session.add_all(steps)
    loading.keep_steps(tx, deploy, steps)
