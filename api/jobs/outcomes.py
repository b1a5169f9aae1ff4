"""What the life of a job means for the build or the step that it belongs to."""

from datetime import datetime, timedelta

from sqlmodel import col, select

from api.agents import health
from api.agents import service as agents
from api.agents.models import AgentRow
from api.agents.service import AgentCaller
from api.builds import service as builds
from api.builds.models import BuildRow
from api.contract.agents import BuildResult, Finish, HeartbeatAnswer, HeldJob, Lease
from api.contract.base import Failure
from api.contract.problems import ConflictError, InvalidError, NotFoundError
from api.db.transaction import Read, Write
from api.deploys import service as deploys
from api.deploys.models import StepRow
from api.jobs import logs, queue, retry
from api.jobs.models import JobRow
from api.jobs.payloads import Sources, payload
from api.releases import service as releases
from api.settings import Intervals


def claim(tx: Write, agent: AgentCaller, holding: list[HeldJob] | None, sources: Sources, intervals: Intervals) -> Lease | None:
    """Lease the oldest job that the agent may have, or None. Raises UnauthorizedError if its session has ended.

    First, what it was leased and doesn't say to hold is offered again.
    """
    row = agents.still_signed_in(tx, agent)
    if agents.seen_long_ago(tx, row):
        health.seen(tx, row)
    if holding is not None:
        _take_back(tx, agent, holding)
    job = queue.claim(tx, row, lease_seconds=intervals.lease)
    if job is None:
        return None
    _moved(tx, job)
    return _lease(tx, job, sources, intervals, resumed=False)


def resume(tx: Write, agent: AgentCaller, held: HeldJob, sources: Sources, intervals: Intervals) -> Lease:
    """Give an agent that was restarted its own attempt again.

    Raises UnauthorizedError if its session has ended, and StaleAttemptError if the attempt is no longer the current one.
    """
    job = queue.current(tx, agents.still_signed_in(tx, agent), held.job_id, held.attempt)
    queue.renew(tx, job, lease_seconds=intervals.lease)
    tx.emit("job.resumed", job.id, after={"attempt": job.attempt, "agent": agent.id}, install_id=job.install_id)
    _moved(tx, job)
    return _lease(tx, job, sources, intervals, resumed=True)


def _take_back(tx: Write, agent: AgentCaller, holding: list[HeldJob]) -> None:
    """Offer again what the agent never received: the answer with the lease was lost. That is safe: it can't have begun."""
    held = {(job.job_id, job.attempt) for job in holding}
    for job in queue.leased_to(tx, agent.id):
        if (job.id, job.attempt) in held:
            continue
        if job.cancel != "none":
            _end(tx, job, Finish(attempt=job.attempt, outcome="cancelled"))
            continue
        queue.requeue(tx, job, not_before=None, why=Failure(code="lease_lost", message="the agent never received the lease"))
        _moved(tx, job)


def _lease(tx: Write, job: JobRow, sources: Sources, intervals: Intervals, *, resumed: bool) -> Lease:
    return Lease(
        job_id=job.id,
        attempt=job.attempt,
        resumed=resumed,
        lease_seconds=intervals.lease,
        heartbeat_seconds=intervals.heartbeat,
        log_seconds=logs.log_seconds(tx, job.id, intervals),
        payload=payload(tx, job, sources),
    )


def heartbeat(tx: Write, agent: AgentCaller, job_id: str, attempt: int, intervals: Intervals) -> HeartbeatAnswer:
    """Prolong the lease, and tell the agent whether to stop."""
    row = agents.still_signed_in(tx, agent)
    known = tx.get(JobRow, job_id)
    if known and queue.given_up(known, agent.id, attempt):
        return _answer(tx, known, intervals)  # it may as well end what it has begun: its report will be taken
    job = queue.current(tx, row, job_id, attempt)
    was_lost = job.state == "unknown"
    queue.renew(tx, job, lease_seconds=intervals.lease)
    health.seen(tx, row)
    if was_lost:
        _moved(tx, job)
    return _answer(tx, job, intervals)


def _answer(tx: Read, job: JobRow, intervals: Intervals) -> HeartbeatAnswer:
    return HeartbeatAnswer(
        cancel=job.cancel,
        lease_seconds=intervals.lease,
        heartbeat_seconds=intervals.heartbeat,
        log_seconds=logs.log_seconds(tx, job.id, intervals),
    )


_RESULT_OF = {
    "build": "build",
    "sync": "sync",
    "plan": "plan",
    "plan_destroy": "plan",
    "apply": "apply",
    "destroy": "apply",
    "update_agent": "update_agent",
}


def finish(tx: Write, agent: AgentCaller, job_id: str, body: Finish) -> None:
    """Record how an attempt ended, once; the same report again changes nothing.

    An apply or a destroy that was given up because its agent was away for too long is told late: what it did counts all the
    same. Raises StaleAttemptError if the attempt has ended in another way.
    """
    row = agents.still_signed_in(tx, agent)
    known = tx.get(JobRow, job_id)
    if known is None:
        raise NotFoundError(f"there is no job {job_id!r}")
    late = queue.given_up(known, agent.id, body.attempt)
    if not late and known.state == body.outcome and known.agent_id == agent.id and known.attempt == body.attempt:
        return
    job = known if late else queue.current(tx, row, job_id, body.attempt)
    if body.outcome == "succeeded" and (body.result is None or body.result.kind != _RESULT_OF[job.kind]):
        raise InvalidError.at("result", f"a {job.kind} job that succeeded reports a result of kind {_RESULT_OF[job.kind]}")
    if body.outcome == "failed" and body.failure is None:
        raise InvalidError.at("failure", "a job that failed says why")
    if agents.seen_long_ago(tx, row):
        health.seen(tx, row)
    if late:
        _end_late(tx, job, body)
        return
    if body.outcome == "failed" and body.failure and job.cancel == "none":
        wait = retry.delay(job.kind, job.attempt, body.failure)
        if wait is not None:
            queue.requeue(tx, job, not_before=tx.now + wait, why=body.failure)
            _moved(tx, job)
            return
    _end(tx, job, body)


def _end(tx: Write, job: JobRow, body: Finish) -> None:
    result = body.result if body.outcome == "succeeded" else None
    failure = body.failure if body.outcome == "failed" else None
    queue.close(tx, job, body.outcome, failure)
    build = tx.session.get(BuildRow, job.build_id) if job.build_id else None
    if build:
        builds.ended(tx, build, body.outcome, result if isinstance(result, BuildResult) else None, failure)
        releases.build_moved(tx, build.id)
    elif job.step_id:
        deploys.step_ended(tx, job, body.outcome, result, failure)


def _end_late(tx: Write, job: JobRow, body: Finish) -> None:
    """The end of an attempt that was given up. Its deploy has gone on without it; what was done is known from now on."""
    result = body.result if body.outcome == "succeeded" else None
    failure = body.failure if body.outcome == "failed" else None
    queue.correct(tx, job, body.outcome, failure)
    deploys.reported_late(tx, job, body.outcome, result, failure)


def cancel_build(tx: Write, build: str) -> None:
    """Stop a build: at once if no agent has it, else as soon as its agent hears of it. Raises ConflictError if it has ended."""
    row = builds.find(tx, build)
    job = builds.jobs_of(tx, [row.id]).get(row.id)
    if job is None or job.state not in queue.OPEN:
        raise ConflictError(f"build {row.id} has ended already: {row.status}")
    queue.request_cancel(tx, job)
    if job.state == "queued":
        _end(tx, job, Finish(attempt=job.attempt, outcome="cancelled"))


def _moved(tx: Write, job: JobRow) -> None:
    """A job was leased, lost, taken up or offered again: whoever watches its build or deploy looks again."""
    build = tx.session.get(BuildRow, job.build_id) if job.build_id else None
    if build:
        builds.started(tx, build)
        releases.build_moved(tx, build.id)
    step = tx.get(StepRow, job.step_id) if job.step_id else None
    if step:
        deploys.moved(tx, deploys.find(tx, step.deploy_id))


def forgive_downtime(tx: Write, intervals: Intervals) -> None:
    """When the server starts: leases that ran out while it was away are as good as new, for no agent could renew them."""
    until = tx.now + timedelta(seconds=intervals.lease)
    jobs = tx.all(select(JobRow).where(col(JobRow.state).in_(("leased", "unknown")), col(JobRow.lease_until) < until))
    tx.get_many(AgentRow, (job.agent_id for job in jobs))
    for job in jobs:
        job.lease_until = until
        job.not_before = _given_up_at(tx, job, intervals) if job.state == "unknown" else None


def overdue(tx: Read, intervals: Intervals) -> bool:
    """Whether `sweep` has anything to do."""
    return bool(_expired(tx) or _lost(tx, intervals) or _due(tx, intervals))


def sweep(tx: Write, intervals: Intervals) -> None:
    """Mark leases that expired, settle attempts that never came back, and ring for retries that are due."""
    expired = _expired(tx)
    tx.get_many(AgentRow, (job.agent_id for job in expired))
    for job in expired:
        job.state = "unknown"
        job.not_before = _given_up_at(tx, job, intervals)
        tx.emit("job.lost_contact", job.id, after={"attempt": job.attempt, "agent": job.agent_id}, install_id=job.install_id)
        _moved(tx, job)
    for job in _lost(tx, intervals):
        _give_up(tx, job)
    for job in _due(tx, intervals):
        tx.ring(queue.topic(job.agent_kind, job.install_id))


def _expired(tx: Read) -> list[JobRow]:
    return tx.all(select(JobRow).where(JobRow.state == "leased", col(JobRow.lease_until) < tx.now))


def _lost(tx: Read, intervals: Intervals) -> list[JobRow]:
    soon = tx.now - timedelta(seconds=intervals.unknown_before_requeue)
    late = tx.now - timedelta(seconds=intervals.unknown_before_failure)
    revoked = select(AgentRow.id).where(col(AgentRow.revoked_at).is_not(None))
    may_report = col(JobRow.kind).in_(retry.RUNS_ONCE) & col(JobRow.agent_id).not_in(revoked)
    return tx.all(
        select(JobRow).where(
            JobRow.state == "unknown",
            (~may_report & (col(JobRow.lease_until) < soon)) | (may_report & (col(JobRow.lease_until) < late)),
        )
    )


def _given_up_at(tx: Read, job: JobRow, intervals: Intervals) -> datetime | None:
    """When `_lost` finds a job. What may have acted is waited for, unless its agent is revoked: it can't report any more."""
    agent = tx.get(AgentRow, job.agent_id)
    may_report = job.kind in retry.RUNS_ONCE and not (agent and agent.revoked_at)
    seconds = intervals.unknown_before_failure if may_report else intervals.unknown_before_requeue
    return job.lease_until + timedelta(seconds=seconds) if job.lease_until else None


def _due(tx: Read, intervals: Intervals) -> list[JobRow]:
    since = tx.now - timedelta(seconds=2 * intervals.sweep)
    return tx.all(
        select(JobRow).where(JobRow.state == "queued", col(JobRow.not_before) <= tx.now, col(JobRow.not_before) >= since)
    )


def _give_up(tx: Write, job: JobRow) -> None:
    once = job.kind in retry.RUNS_ONCE
    failure = Failure(
        code=retry.AGENT_LOST,
        message=f"the agent {job.agent_id} took the job and was not heard of again",
        remedy="Start the agent again; then deploy again: it will plan anew from the state that it kept. If it is still at "
        "work, cut off from here, its report will be taken when it is back."
        if once
        else "Start the agent again.",
        retryable=not once,
    )
    if job.cancel != "none" and not once:
        _end(tx, job, Finish(attempt=job.attempt, outcome="cancelled"))
    elif retry.delay(job.kind, job.attempt, failure) is not None:
        queue.requeue(tx, job, not_before=None, why=failure)
        _moved(tx, job)
    else:
        _end(tx, job, Finish(attempt=job.attempt, outcome="failed", failure=failure))
