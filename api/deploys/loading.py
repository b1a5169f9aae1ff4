"""Looks up at once what many deploys are about to ask for (see `jobs.hot`, and `making`)."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlmodel import col, select

from api.apps.models import AppRow
from api.components.models import ComponentConfigRow
from api.contract.resources import DeployCreate
from api.db.statements import Query, among
from api.db.transaction import Read
from api.deploys import drift, service
from api.deploys.models import DeployRow, StepRow
from api.installs import service as installs
from api.installs.models import InstalledComponentRow, InstallRow
from api.releases import service as releases
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
    install_ids = {deploy.install_id for deploy in deploys}
    releases.load(tx, {deploy.release_id for deploy in deploys}, keys={InstallRow: install_ids})
    _load_planning(tx, tx.get_many(InstallRow, install_ids), {deploy.release_id for deploy in deploys})


def load_creates(tx: Read, bodies: Sequence[DeployCreate]) -> None:
    """The same of many deploys that are to be made."""
    named, release_ids = {body.install_id for body in bodies}, {body.release_id for body in bodies}
    releases.load(tx, release_ids, keys={InstallRow: named})
    found = installs.load(tx, named)
    install_ids = [install.id for install in found]
    (busy,) = _load_planning(tx, found, release_ids, (service.UNDER_WAY, {"installs": install_ids}))
    service.keep_under_way(tx, install_ids, busy)


def _load_planning(
    tx: Read, found: Sequence[InstallRow], release_ids: Collection[str | None], *more: tuple[Query[Any], dict[str, Any]]
) -> list[list[Any]]:
    """Gives the rows of more queries, which are asked at the same time."""
    of = {"installs": [install.id for install in found]}
    configs = {build.config_id for one in release_ids if one for _, build in releases.builds_of(tx, one)}
    there, secrets, drifting, *others = tx.fetch(
        (_INSTALLED, of),
        named_secrets.asked_of(found),
        (drift.UNDER_WAY, of),
        *more,
        keys={AppRow: {install.app_id for install in found}, ComponentConfigRow: configs},
    )
    named_secrets.keep(tx, found, secrets)
    drift.keep(tx, of["installs"], drifting)
    for install in found:
        tx.memo["installed", install.id] = [row for row in there if row.install_id == install.id]
    return others


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
