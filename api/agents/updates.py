"""Offering an install agent another version of itself. Whether it takes it, the vendor's signature and the customer decide."""

from sqlmodel import col, select

from api.agents import service
from api.agents.models import AgentUpdateRow
from api.contract.agents import AgentUpdateCreate, Job
from api.contract.problems import ConflictError, InvalidError
from api.db.transaction import Write
from api.jobs import queue, view
from api.jobs.models import JobRow


def offer(tx: Write, agent: str, body: AgentUpdateCreate) -> Job:
    """A job for the agent's install that says which version there is. Raises NotFoundError, InvalidError or ConflictError."""
    row = service.find(tx, agent)
    if row.kind != "install" or row.install_id is None:
        raise InvalidError.at("agent", f"{row.id} is a build agent, which is updated by whoever starts it")
    if row.revoked_at is not None:
        raise ConflictError(f"agent {row.id} is revoked", remedy="Offer it to the agent that came after.")
    open_jobs = select(JobRow).where(
        JobRow.install_id == row.install_id, JobRow.kind == "update_agent", col(JobRow.state).in_(queue.OPEN)
    )
    if under_way := tx.first(open_jobs.limit(1)):
        raise ConflictError(
            f"{under_way.id} offers agent {row.id} a version already, and hasn't ended",
            remedy=f"Wait for its end: `exclave jobs show {under_way.id}`.",
        )
    job = queue.enqueue(tx, "update_agent", install_id=row.install_id)
    tx.session.flush()
    tx.session.add(AgentUpdateRow(job_id=job.id, version=body.version, digest=body.digest))
    after = {"job": job.id, "version": body.version, "digest": body.digest}
    tx.emit("agent.update_offered", row.id, before={"version": row.version}, after=after, install_id=row.install_id)
    return view.public(tx, job)
