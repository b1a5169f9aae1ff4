"""Loads what many leases, heartbeats and reports of one commit look at, with a handful of queries for all of them.

Only a matter of speed: what isn't loaded here is looked up where it is needed (see `Read.get`), with the same outcome.
"""

from collections import defaultdict

from sqlalchemy import bindparam
from sqlmodel import col, select

from api.agents.models import AgentRow
from api.agents.service import AgentCaller
from api.contract.agents import Finish, HeldJob
from api.db.columns import UtcDateTime
from api.db.statements import Query, among
from api.db.transaction import Write
from api.deploys import loading
from api.deploys.models import DeployRow, StepRow
from api.installs.models import InstallRow
from api.jobs import queue
from api.jobs.models import JobLogRow, JobRow
from api.jobs.payloads import PLAN_OF, Sources, plan_key
from api.releases import service as releases
from api.settings import Intervals

_LEASED = Query(select(JobRow).where(among(JobRow.agent_id, "agents"), col(JobRow.state).in_(("leased", "unknown"))))
_OFFERED = Query(
    queue.offered(bindparam("now", None, UtcDateTime))
    .where(JobRow.agent_kind == "install", among(JobRow.install_id, "installs"))
    .order_by(col(JobRow.id))
)
_DEPLOYS_OF = Query(select(DeployRow).where(col(DeployRow.id).in_(select(StepRow.deploy_id).where(among(StepRow.id, "steps")))))
_OF_JOBS = select(StepRow.deploy_id).join(JobRow, col(JobRow.step_id) == col(StepRow.id)).where(among(JobRow.id, "jobs"))
_STEPS_MOVED = Query(
    select(StepRow).where(col(StepRow.deploy_id).in_(_OF_JOBS.correlate(None))).order_by(col(StepRow.position))
)
_PLANS = Query(select(StepRow).where(among(StepRow.deploy_id, "deploys"), col(StepRow.kind).in_(PLAN_OF.values())))


def load_claims(tx: Write, calls: list[tuple[AgentCaller, list[HeldJob] | None, Sources, Intervals]]) -> None:
    """For `outcomes.claim`: the agents, what they hold, their queues, and what the jobs that they get are made of."""
    agents = {agent.id for agent, *_ in calls}
    queues: dict[str, list[JobRow]] = {agent.install_id: [] for agent, *_ in calls if agent.install_id}
    held, offered = tx.fetch(
        (_LEASED, {"agents": agents}), (_OFFERED, {"installs": queues.keys(), "now": tx.now}), keys={AgentRow: agents}
    )
    leased: defaultdict[str, list[JobRow]] = defaultdict(list)
    for job in held:
        leased[job.agent_id or ""].append(job)
    for job in offered:
        queues[job.install_id or ""].append(job)
    tx.memo.update({queue.leased_key(agent): leased[agent] for agent in agents})
    tx.memo.update({queue.queue_key(install): jobs for install, jobs in queues.items()})
    _load_work(tx, [jobs[0] for jobs in queues.values() if jobs])


def _load_work(tx: Write, jobs: list[JobRow]) -> None:
    """What the payloads of these jobs are made of."""
    if not jobs:
        return
    wanted = [job.step_id for job in jobs if job.step_id]
    known: dict[type, list[str | None]] = {
        JobLogRow: [job.id for job in jobs],
        StepRow: [*wanted],
        InstallRow: [job.install_id for job in jobs],
    }
    (found,) = tx.fetch((_DEPLOYS_OF, {"steps": wanted}), keys=known)
    engines = [step for step in tx.get_many(StepRow, wanted) if step.kind != "sync"]  # a sync is made of its step alone
    if engines:
        of = {step.deploy_id for step in engines}
        planned = {step.deploy_id for step in engines if step.kind in PLAN_OF}
        plans = releases.load(tx, {deploy.release_id for deploy in found if deploy.id in of}, (_PLANS, {"deploys": planned}))
        tx.memo.update({plan_key(step): step for step in plans})


def load_reports(tx: Write, calls: list[tuple[AgentCaller, str, Finish]]) -> None:
    """For `outcomes.finish`: agents, jobs, and the deploys that they move, with all steps and components."""
    jobs = [job for _, job, _ in calls]
    (steps,) = tx.fetch((_STEPS_MOVED, {"jobs": jobs}), keys={AgentRow: [agent.id for agent, *_ in calls], JobRow: jobs})
    loading.load(tx, steps, {agent.install_id for agent, *_ in calls if agent.install_id})


def load_heartbeats(tx: Write, calls: list[tuple[AgentCaller, str, int, Intervals]]) -> None:
    """For `outcomes.heartbeat`."""
    jobs = [job for _, job, *_ in calls]
    tx.fetch(keys={AgentRow: [agent.id for agent, *_ in calls], JobRow: jobs, JobLogRow: jobs})
