"""Why is this waiting? Computed by the server, in plain words, for people; for any number of jobs in the same few queries."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import col, select

from api.agents.health import offline_since
from api.agents.models import AgentRow
from api.contract.agents import JobState
from api.db.statements import Columns, among
from api.db.transaction import Read
from api.installs.models import InstallRow
from api.jobs.models import JobRow
from api.jobs.retry import MAX_ATTEMPTS, RUNS_ONCE

_AGENT: Any = select(  # has overloads for four columns at most
    AgentRow.id,
    AgentRow.name,
    AgentRow.install_id,
    AgentRow.revoked_at,
    AgentRow.last_seen_at,
    AgentRow.enrolled_at,  # type: ignore[call-overload]
)
_AGENTS: Columns[str, str, str | None, datetime | None, datetime | None, datetime] = Columns(
    _AGENT.where(among(AgentRow.install_id, "installs"))
)
_BUILD_AGENTS: Columns[str, str, str | None, datetime | None, datetime | None, datetime] = Columns(
    _AGENT.where(AgentRow.kind == "build")
)
_JOB: Any = select(JobRow.id, JobRow.install_id, JobRow.state).where(col(JobRow.state).in_(("queued", "leased")))
_JOBS: Columns[str, str | None, JobState] = Columns(_JOB.where(among(JobRow.install_id, "installs")).order_by(col(JobRow.id)))
_BUILDS: Columns[str, str | None, JobState] = Columns(_JOB.where(col(JobRow.install_id).is_(None)).order_by(col(JobRow.id)))
_NAMES = Columns(select(InstallRow.id, InstallRow.name).where(among(InstallRow.id, "installs")))


@dataclass(frozen=True)
class _Agent:
    id: str
    name: str
    seen: datetime
    revoked: bool


@dataclass(frozen=True)
class _Line:
    """The line that a job stands in: that of its install, or that of all builds. Ids sort by time."""

    agents: list[_Agent]
    install: str
    queued: list[str]
    in_work: int


def reason(tx: Read, job: JobRow) -> str:
    """Why a job isn't done yet; empty if it is."""
    return reasons(tx, [job])[job.id]


def reasons(tx: Read, jobs: Iterable[JobRow]) -> dict[str, str]:
    """The same of many jobs, by id. At most five queries, however many there are."""
    jobs = list(jobs)
    lines = _lines(tx, {job.install_id for job in jobs if job.ended_at is None})
    return {job.id: "" if job.ended_at else _reason(job, lines[job.install_id], tx.now) for job in jobs}


def _lines(tx: Read, installs: set[str | None]) -> dict[str | None, _Line]:
    agents: defaultdict[str | None, list[_Agent]] = defaultdict(list)
    queued: defaultdict[str | None, list[str]] = defaultdict(list)
    in_work: defaultdict[str | None, int] = defaultdict(int)
    names: dict[str, str] = {}
    columns = tx.session.columns
    standing, jobs = [], []
    if named := [install for install in installs if install]:
        standing += columns(_AGENTS, installs=named)
        jobs += columns(_JOBS, installs=named)
        names |= dict(columns(_NAMES, installs=named))
    if None in installs:
        standing += columns(_BUILD_AGENTS)
        jobs += columns(_BUILDS)
    for id_, name, install, revoked, seen, enrolled in standing:
        agents[install].append(_Agent(id_, name, seen or enrolled, revoked is not None))
    for id_, install, state in jobs:
        if state == "queued":
            queued[install].append(id_)
        else:
            in_work[install] += 1
    return {
        install: _Line(agents[install], names.get(install or "", install or ""), queued[install], in_work[install])
        for install in installs
    }


def _reason(job: JobRow, line: _Line, now: datetime) -> str:
    match job.state:
        case "leased":
            return _leased(job, line)
        case "unknown":
            return _unknown(job, line)
        case "queued":
            return _queued(job, line, now)
        case _:
            return ""


def _leased(job: JobRow, line: _Line) -> str:
    if job.cancel == "none":
        return f"running since {clock(job.started_at)}"
    return f"cancel was requested; {_name(job, line)} stops it after its next heartbeat, as soon as that is safe"


def _unknown(job: JobRow, line: _Line) -> str:
    then = "it has failed" if job.kind in RUNS_ONCE else "it is cancelled" if job.cancel != "none" else "it is offered again"
    if any(agent.id == job.agent_id and agent.revoked for agent in line.agents):
        return f"{_name(job, line)} is revoked and can't report any more; at {clock(job.not_before)} {then}"
    until = f" until {clock(job.not_before)}; then {then}" if job.not_before else ""
    return f"contact with {_name(job, line)} is lost since {clock(job.lease_until)}; waiting for it to come back{until}"


def _queued(job: JobRow, line: _Line, now: datetime) -> str:
    there = [agent for agent in line.agents if not agent.revoked]
    if not there:
        return _no_agent(job, line)
    seen = max(agent.seen for agent in there)
    if away := offline_since(seen, now):
        which = f"agent {there[0].name}" if len(there) == 1 else f"{job.agent_kind} agents"
        return f"the {which} {'is' if len(there) == 1 else 'are'} offline since {clock(away)}"
    after = f" after {job.failure.code}" if job.failure else ""
    if job.not_before and job.not_before > now:
        seconds = (job.not_before - now).total_seconds()
        return f"attempt {job.attempt + 1} of {MAX_ATTEMPTS} begins in {seconds:.0f} s,{after or ' as the last one failed'}"
    again = f"attempt {job.attempt + 1} of {MAX_ATTEMPTS},{after}: " if job.attempt and after else ""
    before = bisect_left(line.queued, job.id)
    if not before and not line.in_work:
        return f"{again}about to be taken"
    whose = f"of install {line.install}" if job.install_id else "of the build agents"
    ahead = [f"{line.in_work} in work"] if line.in_work else []
    ahead += [f"{before} that came earlier"] if before else []
    total = before + line.in_work
    return f"{again}behind {total} job{'s' * (total != 1)} {whose}: {' and '.join(ahead)}"


def _no_agent(job: JobRow, line: _Line) -> str:
    had = "the agent was revoked, and no other has enrolled" if line.agents else "no agent has enrolled"
    if job.agent_kind == "build":
        had = "no build agent is left: each was revoked" if line.agents else "no build agent has enrolled"
        return f"{had}; start one with `exclave agent build`"
    return f"{had} for install {line.install}; make a token with `exclave agents enroll --install {line.install}`"


def _name(job: JobRow, line: _Line) -> str:
    return next((f"agent {agent.name}" for agent in line.agents if agent.id == job.agent_id), f"agent {job.agent_id}")


def clock(moment: datetime | None) -> str:
    """A moment as people read it."""
    return moment.strftime("%Y-%m-%d %H:%M:%SZ") if moment else "?"
