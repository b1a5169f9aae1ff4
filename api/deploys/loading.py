"""Looks up at once what many deploys are about to ask for (see `jobs.hot`, and `making`)."""

from collections.abc import Collection, Sequence

from sqlmodel import col, select

from api.contract.resources import DeployCreate
from api.db.statements import Query, among
from api.db.transaction import Read
from api.deploys import drift, service
from api.deploys.models import DeployRow, StepRow
from api.installs import service as installs
from api.installs.models import InstalledComponentRow, InstallRow
from api.releases.models import ReleaseRow
from api.secrets import values as named_secrets

_STEPS = Query(select(StepRow).where(among(StepRow.deploy_id, "deploys")).order_by(col(StepRow.position)))
_INSTALLED = Query(
    select(InstalledComponentRow)
    .where(among(InstalledComponentRow.install_id, "installs"))
    .order_by(col(InstalledComponentRow.name))
)


def steps_of(tx: Read, deploy_ids: Collection[str]) -> dict[str, list[StepRow]]:
    """The steps of many deploys, each in the order of the graph."""
    steps: dict[str, list[StepRow]] = {deploy_id: [] for deploy_id in deploy_ids}
    for step in tx.all(_STEPS, deploys=deploy_ids):
        steps[step.deploy_id].append(step)
    return steps


def installed_on(tx: Read, install_ids: Collection[str]) -> dict[str, list[InstalledComponentRow]]:
    """What is installed on many installs, by name."""
    there: dict[str, list[InstalledComponentRow]] = {install_id: [] for install_id in install_ids}
    for row in tx.all(_INSTALLED, installs=there.keys()):
        there[row.install_id].append(row)
    return there


def load(tx: Read, steps: Sequence[StepRow], install_ids: Collection[str]) -> None:
    """Look up at once what `advance` is going to ask for, of the deploys that these are all steps of, in order."""
    of: dict[str, list[StepRow]] = {}
    for step in steps:
        of.setdefault(step.deploy_id, []).append(step)
    if not of:
        return
    tx.fetch((_INSTALLED, {"installs": install_ids}), keys={DeployRow: of.keys()})
    tx.memo.update({("steps", deploy_id): found for deploy_id, found in of.items()})
    for deploy in tx.get_many(DeployRow, of.keys()):
        if deploy.install_id in install_ids:
            tx.session.lacks(InstalledComponentRow, {(deploy.install_id, step.component) for step in of[deploy.id]})


def load_pending(tx: Read, deploys: Sequence[DeployRow]) -> None:
    """Look up at once what `making` is going to ask for, of many deploys that are to be planned."""
    found = tx.get_many(InstallRow, (deploy.install_id for deploy in deploys))
    _load_planning(tx, found, {deploy.release_id for deploy in deploys if deploy.release_id})


def load_creates(tx: Read, bodies: Sequence[DeployCreate]) -> None:
    """The same of many deploys that are to be made."""
    named = {body.install_id for body in bodies}
    found = installs.load(tx, named)
    _load_planning(tx, found, {body.release_id for body in bodies if body.release_id})
    service.load_under_way(tx, {install.id for install in found})


def _load_planning(tx: Read, found: Sequence[InstallRow], release_ids: Collection[str]) -> None:
    tx.get_many(ReleaseRow, release_ids)
    there = installed_on(tx, [install.id for install in found])
    tx.memo.update({("installed", install_id): rows for install_id, rows in there.items()})
    named_secrets.load(tx, found)
    drift.load(tx, there)


def installed(tx: Read, install_id: str) -> list[InstalledComponentRow]:
    """What is installed, by name, as it was when this transaction first asked."""
    known: list[InstalledComponentRow] | None = tx.memo.get(("installed", install_id))
    if known is None:
        known = tx.memo["installed", install_id] = installs.components_of(tx, install_id)
    return known


def keep_steps(tx: Read, deploy: DeployRow, steps: list[StepRow]) -> None:
    """Remember the steps of a deploy that has just been given them."""
    tx.memo["steps", deploy.id] = steps
    installed(tx, deploy.install_id)
    tx.session.lacks(InstalledComponentRow, {(deploy.install_id, step.component) for step in steps})
