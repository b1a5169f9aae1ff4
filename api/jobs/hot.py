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
from api.releases.models import ReleaseRow
from api.settings import Intervals

_LEASED = Query(select(JobRow).where(among(JobRow.agent_id, "agents"), col(JobRow.state).in_(("leased", "unknown"))))
_OFFERED = Query(
    queue.offered(bindparam("now", None, UtcDateTime))
    .where(JobRow.agent_kind == "install", among(JobRow.install_id, "installs"))
    .order_by(col(JobRow.id))
)
_PLANS = Query(select(StepRow).where(among(StepRow.deploy_id, "deploys"), col(StepRow.kind).in_(PLAN_OF.values())))


def load_claims(tx: Write, calls: list[tuple[AgentCaller, list[HeldJob] | None, Sources, Intervals]]) -> None:
    """For `outcomes.claim`: the agents, what they hold, their queues, and what the jobs that they get are made of."""
    agents = {agent.id for agent, *_ in calls}
    tx.get_many(AgentRow, agents)
    leased: defaultdict[str, list[JobRow]] = defaultdict(list)
    for job in tx.all(_LEASED, agents=agents):
        leased[job.agent_id or ""].append(job)
    queues: dict[str, list[JobRow]] = {agent.install_id: [] for agent, *_ in calls if agent.install_id}
    for job in tx.all(_OFFERED, installs=queues.keys(), now=tx.now):
        queues[job.install_id or ""].append(job)
    tx.memo.update({queue.leased_key(agent): leased[agent] for agent in agents})
    tx.memo.update({queue.queue_key(install): jobs for install, jobs in queues.items()})
    _load_work(tx, [jobs[0] for jobs in queues.values() if jobs])


def _load_work(tx: Write, jobs: list[JobRow]) -> None:
    """What the payloads of these jobs are made of."""
    tx.get_many(JobLogRow, (job.id for job in jobs))
    steps = tx.get_many(StepRow, (job.step_id for job in jobs))
    planned = {step.deploy_id for step in steps if step.kind in PLAN_OF}
    if planned:
        tx.memo.update({plan_key(step): step for step in tx.all(_PLANS, deploys=planned)})
    found = tx.get_many(DeployRow, (step.deploy_id for step in steps))
    tx.get_many(InstallRow, (deploy.install_id for deploy in found))
    tx.get_many(ReleaseRow, (deploy.release_id for deploy in found))


def load_reports(tx: Write, calls: list[tuple[AgentCaller, str, Finish]]) -> None:
    """For `outcomes.finish`: agents, jobs, and the deploys that they move, with all steps and components."""
    tx.get_many(AgentRow, (agent.id for agent, *_ in calls))
    jobs = tx.get_many(JobRow, (job for _, job, _ in calls))
    moved = tx.get_many(StepRow, (job.step_id for job in jobs))
    loading.load(tx, {step.deploy_id for step in moved})


def load_heartbeats(tx: Write, calls: list[tuple[AgentCaller, str, int, Intervals]]) -> None:
    """For `outcomes.heartbeat`."""
    tx.get_many(AgentRow, (agent.id for agent, *_ in calls))
    tx.get_many(JobRow, (job for _, job, *_ in calls))
    tx.get_many(JobLogRow, (job for _, job, *_ in calls))
