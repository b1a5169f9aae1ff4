"""The queue: enqueue, claim, renew, close. It knows nothing of what a job is for (see `outcomes`)."""

from datetime import datetime, timedelta
from typing import Any

from sqlmodel import col, select
from sqlmodel.sql.expression import SelectOfScalar

from api.agents.models import AgentRow
from api.contract.agents import Cancel, JobKind
from api.contract.base import AgentKind, Failure
from api.contract.problems import NotFoundError, StaleAttemptError
from api.db.transaction import Read, Write
from api.jobs import fairness
from api.jobs.models import JobRow
from api.jobs.retry import AGENT_LOST, RUNS_ONCE

OPEN = ("queued", "leased", "unknown")


def topic(agent_kind: AgentKind, install_id: str | None) -> str:
    """What the agents of one install, or all build agents, listen to for new jobs."""
    return f"jobs:{agent_kind}:{install_id or ''}"


def enqueue(
    tx: Write, kind: JobKind, *, build_id: str | None = None, step_id: str | None = None, install_id: str | None = None
) -> JobRow:
    """Offer a job to the build agents, or to the agent of one install."""
    job = JobRow(
        id=tx.new_id("job"),
        kind=kind,
        agent_kind="build" if build_id else "install",
        install_id=install_id,
        build_id=build_id,
        step_id=step_id,
        state="queued",
        created_at=tx.now,
    )
    tx.session.add(job)
    _offer(tx, job)
    return job


def _offer(tx: Write, job: JobRow) -> None:
    """Let agents know of a job, and the leases of this very commit, too."""
    known: list[JobRow] | None = tx.memo.get(queue_key(job.install_id)) if job.install_id else None
    if known is not None and job not in known and (job.not_before is None or job.not_before <= tx.now):
        known.append(job)
        known.sort(key=lambda one: one.id)
    tx.ring(topic(job.agent_kind, job.install_id))


def offered(now: Any) -> SelectOfScalar[JobRow]:
    """Jobs that an agent could have now. `now`: a moment, or a query's parameter for it."""
    return select(JobRow).where(JobRow.state == "queued", col(JobRow.not_before).is_(None) | (col(JobRow.not_before) <= now))


def queue_key(install_id: str) -> object:
    """Where `hot` leaves the offered jobs of an install."""
    return "queue", install_id


def leased_key(agent_id: str) -> object:
    """Where `hot` leaves the jobs that an agent is leased."""
    return "leased", agent_id


def leased_to(tx: Read, agent_id: str) -> list[JobRow]:
    """The jobs that an agent is leased, as far as the IMS knows."""
    known: list[JobRow] | None = tx.memo.get(leased_key(agent_id))
    if known is not None:  # an earlier lease of this commit may have given one away, or taken one back
        return [job for job in known if job.agent_id == agent_id and job.state in ("leased", "unknown")]
    return tx.all(select(JobRow).where(JobRow.agent_id == agent_id, col(JobRow.state).in_(("leased", "unknown"))))


def next_for(tx: Read, agent: AgentRow) -> JobRow | None:
    """The oldest job that this agent could have now; among builds, fairly (see `fairness`)."""
    if agent.kind == "build" or agent.install_id is None:
        return fairness.next_build(tx)
    known: list[JobRow] | None = tx.memo.get(queue_key(agent.install_id))
    if known is not None:
        return next((job for job in known if job.state == "queued"), None)
    mine = offered(tx.now).where(JobRow.agent_kind == "install", JobRow.install_id == agent.install_id)
    return tx.first(mine.order_by(col(JobRow.id)).limit(1))


def claim(tx: Write, agent: AgentRow, *, lease_seconds: float) -> JobRow | None:
    """Lease the oldest job to this agent, under a new attempt."""
    job = next_for(tx, agent)
    if job is None:
        return None
    job.state = "leased"
    job.attempt += 1
    job.agent_id = agent.id
    job.lease_until = tx.now + timedelta(seconds=lease_seconds)
    job.started_at = job.started_at or tx.now
    job.not_before = None
    job.failure = None
    known: list[JobRow] | None = tx.memo.get(leased_key(agent.id))
    if known is not None and job not in known:
        known.append(job)
    if job.build_id:
        fairness.took_turn(tx, job.build_id)
    after = {"kind": job.kind, "attempt": job.attempt, "agent": agent.id}
    tx.emit("job.leased", job.id, after=after, install_id=job.install_id)
    return job


def current(tx: Write, agent: AgentRow, job_id: str, attempt: int) -> JobRow:
    """`fencing`: the job, if this agent holds this attempt of it and the attempt is open. Raises StaleAttemptError."""
    job = tx.get(JobRow, job_id)
    if job is None:
        raise NotFoundError(f"there is no job {job_id!r}")
    if job.agent_id != agent.id or job.attempt != attempt or job.state not in ("leased", "unknown"):
        tx.note_refusal("job.stale_report", job.id, {"attempt": attempt, "current": job.attempt, "agent": agent.id})
        raise StaleAttemptError(
            f"attempt {attempt} of {job.id} isn't the current one (attempt {job.attempt}, {job.state})",
            remedy="Drop the job: another attempt has it, or it has ended.",
        )
    return job


def given_up(job: JobRow, agent_id: str, attempt: int) -> bool:
    """Whether this attempt changes the customer's account, and was called lost though its agent may still be at work on it.

    Such a job is never offered again (`retry.RUNS_ONCE`), so no other attempt can be under way: its report is taken, late.
    """
    lost = job.state == "failed" and job.failure is not None and job.failure.code == AGENT_LOST
    return lost and job.kind in RUNS_ONCE and (job.agent_id, job.attempt) == (agent_id, attempt)


def renew(tx: Write, job: JobRow, *, lease_seconds: float) -> None:
    """Prolong a lease. One that had expired is taken up again: contact was lost, not the work."""
    if job.state == "unknown":
        job.state = "leased"
        job.not_before = None
        tx.emit("job.reattached", job.id, after={"attempt": job.attempt, "agent": job.agent_id}, install_id=job.install_id)
    job.lease_until = tx.now + timedelta(seconds=lease_seconds)


def close(tx: Write, job: JobRow, outcome: str, failure: Failure | None) -> None:
    """End a job for good."""
    job.state = outcome  # type: ignore[assignment]
    job.failure = failure
    job.ended_at = tx.now
    job.lease_until = None
    job.not_before = None
    tx.emit(
        f"job.{outcome}",
        job.id,
        after={"kind": job.kind, "attempt": job.attempt, "failure": failure.model_dump(mode="json") if failure else None},
        install_id=job.install_id,
    )
    tx.ring(f"job:{job.id}")


def correct(tx: Write, job: JobRow, outcome: str, failure: Failure | None) -> None:
    """Say how a job that was given up has ended in truth. From now on its log may come in, as after any end."""
    job.state = outcome  # type: ignore[assignment]
    job.failure = failure
    job.ended_at = tx.now
    tx.emit(
        "job.reported_late",
        job.id,
        before={"failure": AGENT_LOST},
        after={"attempt": job.attempt, "outcome": outcome, "failure": failure.model_dump(mode="json") if failure else None},
        install_id=job.install_id,
    )
    tx.ring(f"job:{job.id}")


def requeue(tx: Write, job: JobRow, *, not_before: datetime | None, why: Failure) -> None:
    """Offer a job again, under a later attempt; reports of the earlier one are refused from now on."""
    job.state = "queued"
    job.agent_id = None
    job.lease_until = None
    job.not_before = not_before
    job.failure = why
    after = {"attempt": job.attempt, "failure": why.model_dump(mode="json")}
    tx.emit("job.requeued", job.id, after=after, install_id=job.install_id)
    _offer(tx, job)


def request_cancel(tx: Write, job: JobRow, how: Cancel = "graceful") -> None:
    """Ask the agent to stop; it hears with its next heartbeat."""
    job.cancel = how
    tx.emit("job.cancel_requested", job.id, after={"how": how}, install_id=job.install_id)
