"""Why is this waiting? Computed by the server, in plain words, for people."""

from datetime import datetime, timedelta

from sqlmodel import col, func, select

from api.agents.models import AgentRow
from api.db.transaction import Read
from api.installs.models import InstallRow
from api.jobs.models import JobRow

OFFLINE_AFTER = timedelta(seconds=120)
"""More than two long polls: an agent not heard of for so long is called offline."""


def reason(tx: Read, job: JobRow) -> str:
    """Why a job isn't done yet; empty if it is."""
    match job.state:
        case "leased":
            return f"running since {_clock(job.started_at)}"
        case "unknown":
            return "contact with its agent is lost; it may come back and go on"
        case "queued":
            return _queued(tx, job)
        case _:
            return ""


def _queued(tx: Read, job: JobRow) -> str:
    if job.not_before and job.not_before > tx.now:
        return f"will be tried again at {_clock(job.not_before)}"
    query = select(AgentRow).where(AgentRow.kind == job.agent_kind, col(AgentRow.revoked_at).is_(None))
    if job.install_id:
        query = query.where(AgentRow.install_id == job.install_id)
    agents = tx.all(query)
    if not agents:
        return _no_agent(tx, job)
    seen = max((agent.last_seen_at or agent.enrolled_at for agent in agents), default=tx.now)
    if tx.now - seen > OFFLINE_AFTER:
        return f"the {job.agent_kind} agent is offline since {_clock(seen)}"
    ahead = tx.session.exec(
        select(func.count())
        .select_from(JobRow)
        .where(
            col(JobRow.state).in_(("queued", "leased")),
            JobRow.agent_kind == job.agent_kind,
            col(JobRow.install_id) == job.install_id if job.install_id else col(JobRow.install_id).is_(None),
            JobRow.id < job.id,
        )
    ).one()
    return f"waiting for a free place at its agent, behind {ahead} job{'s' * (ahead != 1)}" if ahead else "about to be taken"


def _no_agent(tx: Read, job: JobRow) -> str:
    if job.agent_kind == "build":
        return "no build agent has enrolled; start one with `exclave agent build`"
    install = tx.session.get(InstallRow, job.install_id) if job.install_id else None
    name = install.name if install else job.install_id
    return f"no agent has enrolled for install {name}; make its token with `exclave agents enroll --install {name}`"


def _clock(moment: datetime | None) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%SZ") if moment else "?"
