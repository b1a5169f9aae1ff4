"""Durations and outcomes, read from jobs, deploys and steps."""

import math
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlmodel import col, select

from api.contract.base import Page
from api.contract.statistics import ComponentStats, Durations, InstallStats, JobRun
from api.db.pages import check_cursor
from api.db.transaction import Read
from api.deploys.models import DeployRow, StepRow
from api.events.filters import install_of
from api.jobs.models import JobRow


class Outcome(NamedTuple):
    """One deploy, or one component's part in it."""

    status: str
    began: datetime
    ended: datetime


def job_runs(
    tx: Read, install: str, *, limit: int, after: str | None, component: str | None, newest_first: bool
) -> Page[JobRun]:
    """One page of an install's jobs; those of a deleted install are found by its id."""
    query = (
        select(JobRow, StepRow)
        .join(StepRow, col(StepRow.id) == col(JobRow.step_id), isouter=True)
        .where(JobRow.install_id == install_of(tx, install))
    )
    if component:
        query = query.where(StepRow.component == component)
    if after:
        check_cursor(col(JobRow.id), after)
        query = query.where(col(JobRow.id) < after if newest_first else col(JobRow.id) > after)
    order = col(JobRow.id).desc() if newest_first else col(JobRow.id)
    rows = list(tx.session.exec(query.order_by(order).limit(limit + 1)))
    more = len(rows) > limit
    return Page(items=[_run(tx, *row) for row in rows[:limit]], after=rows[limit - 1][0].id if more else None)


def _run(tx: Read, job: JobRow, step: StepRow | None) -> JobRun:
    ended = job.ended_at or tx.now
    return JobRun(
        job_id=job.id,
        kind=job.kind,
        component=step.component if step else None,
        deploy_id=step.deploy_id if step else None,
        outcome=job.state,
        attempts=job.attempt,
        failure_code=job.failure.code if job.failure else None,
        queued_seconds=((job.started_at or ended) - job.created_at).total_seconds(),
        run_seconds=(job.ended_at - job.started_at).total_seconds() if job.started_at and job.ended_at else None,
        created_at=job.created_at,
        started_at=job.started_at,
        ended_at=job.ended_at,
    )


def install_stats(tx: Read, install: str, *, last: int) -> InstallStats:
    """What became of an install's newest deploys that have ended."""
    install_id = install_of(tx, install)
    query = select(DeployRow).where(DeployRow.install_id == install_id, col(DeployRow.ended_at).is_not(None))
    deploys = tx.all(query.order_by(col(DeployRow.id).desc()).limit(last))
    by_component: defaultdict[str, list[Outcome]] = defaultdict(list)
    steps: defaultdict[tuple[str, str], list[StepRow]] = defaultdict(list)
    for step in tx.all(select(StepRow).where(col(StepRow.deploy_id).in_([deploy.id for deploy in deploys]))):
        steps[step.deploy_id, step.component].append(step)
    for (_, component), some in sorted(steps.items(), reverse=True):
        outcome = _outcome(some)
        if outcome:
            by_component[component].append(outcome)
    whole = [Outcome(deploy.status, deploy.created_at, deploy.ended_at) for deploy in deploys if deploy.ended_at]
    return InstallStats(
        install_id=install_id,
        deploys=Durations.model_validate(_durations(whole)),
        components=[
            ComponentStats.model_validate({"component": name, **_durations(some)})
            for name, some in sorted(by_component.items())
        ],
    )


def _outcome(steps: Sequence[StepRow]) -> Outcome | None:
    """What became of a component in one deploy; None if its turn never came."""
    began = [step.started_at for step in steps if step.started_at]
    ended = [step.ended_at for step in steps if step.ended_at]
    if not began or not ended:
        return None
    phases = {step.phase for step in steps}
    status = "failed" if "failed" in phases else "cancelled" if "cancelled" in phases else "succeeded"
    return Outcome(status, min(began), max(ended))


def _durations(newest_first: Sequence[Outcome]) -> dict[str, object]:
    count = {status: sum(one.status == status for one in newest_first) for status in ("succeeded", "failed", "cancelled")}
    seconds = sorted((one.ended - one.began).total_seconds() for one in newest_first if one.status == "succeeded")
    decided = count["succeeded"] + count["failed"]
    newest = newest_first[0] if newest_first else None
    return {
        **count,
        "total": len(newest_first),
        "success_rate": round(count["succeeded"] / decided, 4) if decided else None,
        "p50_seconds": percentile(seconds, 0.5),
        "p95_seconds": percentile(seconds, 0.95),
        "last_outcome": newest.status if newest else None,
        "last_ended_at": newest.ended if newest else None,
    }


def percentile(ordered: Sequence[float], part: float) -> float | None:
    """The smallest value that this part of them doesn't exceed (nearest rank)."""
    return ordered[math.ceil(part * len(ordered)) - 1] if ordered else None
