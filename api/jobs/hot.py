"""Loads what many leases, heartbeats and reports of one commit look at, with a handful of queries for all of them.

Only a matter of speed: what isn't loaded here is looked up where it is needed (see `Read.get`), with the same outcome.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from sqlmodel import col, select

from api.agents.models import AgentRow
from api.agents.service import AgentCaller
from api.contract.agents import Finish, HeldJob
from api.db.transaction import Write
from api.deploys import loading
from api.deploys.models import DeployRow, StepRow
from api.installs.models import InstallRow
from api.jobs import queue
from api.jobs.models import JobLogRow, JobRow
from api.jobs.payloads import PLAN_OF, Sources, plan_key
from api.releases.models import ReleaseRow
from api.settings import Intervals


def load_claims(tx: Write, calls: list[tuple[AgentCaller, list[HeldJob] | None, Sources, Intervals]]) -> None:
    """For `outcomes.claim`: the agents, what they hold, their queues, and what the jobs that they get are made of."""
    agents = {agent.id for agent, *_ in calls}
    _by_id(tx, AgentRow, agents)
    leased: defaultdict[str, list[JobRow]] = defaultdict(list)
    for job in tx.all(select(JobRow).where(col(JobRow.agent_id).in_(agents), col(JobRow.state).in_(("leased", "unknown")))):
        leased[job.agent_id or ""].append(job)
    installs = {agent.install_id for agent, *_ in calls if agent.install_id}
    queues: dict[str, list[JobRow]] = {install: [] for install in installs}
    for job in tx.all(queue.offered(tx).where(col(JobRow.install_id).in_(installs)).order_by(col(JobRow.id))):
        queues[job.install_id or ""].append(job)
    tx.memo.update({queue.leased_key(agent): leased[agent] for agent in agents})
    tx.memo.update({queue.queue_key(install): jobs for install, jobs in queues.items()})
    _load_work(tx, [jobs[0] for jobs in queues.values() if jobs])


def _load_work(tx: Write, jobs: list[JobRow]) -> None:
    """What the payloads of these jobs are made of."""
    if not jobs:
        return
    tx.keep(JobRow, jobs, lambda row: row.id)
    _by_id(tx, JobLogRow, [job.id for job in jobs], key="job_id")
    steps = _by_id(tx, StepRow, [job.step_id for job in jobs])
    wanted = {step.deploy_id for step in steps}
    planned = {step.deploy_id for step in steps if step.kind in PLAN_OF}
    if planned:
        plans = select(StepRow).where(col(StepRow.deploy_id).in_(planned), col(StepRow.kind).in_(PLAN_OF.values()))
        tx.memo.update({plan_key(step): step for step in tx.all(plans)})
    found = _by_id(tx, DeployRow, wanted)
    _by_id(tx, InstallRow, {deploy.install_id for deploy in found})
    _by_id(tx, ReleaseRow, {deploy.release_id for deploy in found})


def load_reports(tx: Write, calls: Iterable[tuple[AgentCaller, str, Finish]]) -> None:
    """For `outcomes.finish`: agents, jobs, and the deploys that they move, with all steps and components."""
    calls = list(calls)
    _by_id(tx, AgentRow, {agent.id for agent, *_ in calls})
    jobs = _by_id(tx, JobRow, {job for _, job, _ in calls})
    moved = select(StepRow.deploy_id).where(col(StepRow.id).in_({job.step_id for job in jobs if job.step_id}))
    loading.load(tx, tx.all(moved))


def load_heartbeats(tx: Write, calls: list[tuple[AgentCaller, str, int, Intervals]]) -> None:
    """For `outcomes.heartbeat`."""
    _by_id(tx, AgentRow, {agent.id for agent, *_ in calls})
    jobs = {job for _, job, *_ in calls}
    _by_id(tx, JobRow, jobs)
    _by_id(tx, JobLogRow, jobs, key="job_id")


def _by_id(tx: Write, of: Any, ids: Iterable[str | None], *, key: str = "id") -> list[Any]:
    wanted = {one for one in ids if one is not None}
    rows = tx.all(select(of).where(getattr(of, key).in_(wanted))) if wanted else []
    tx.keep(of, rows, lambda row: getattr(row, key), wanted)
    return rows
