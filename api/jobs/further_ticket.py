"""Another pull ticket in mid-transfer: one works once, and what it buys may end before a large artifact is over a slow line."""

from api.agents import service as agents
from api.agents.service import AgentCaller
from api.contract.agents import RegistryAccess
from api.contract.problems import NotFoundError
from api.db.transaction import Write
from api.jobs import queue
from api.jobs.payloads import Sources, another_ticket


def for_job(tx: Write, agent: AgentCaller, job_id: str, attempt: int, sources: Sources) -> RegistryAccess:
    """A ticket for the same repository and digests, for whoever holds the job (`fencing`).

    Raises StaleAttemptError, and NotFoundError for a job that pulls nothing.
    """
    job = queue.current(tx, agents.still_signed_in(tx, agent), job_id, attempt)
    found = another_ticket(tx, job, sources)
    if found is None:
        raise NotFoundError(f"the job {job_id!r} pulls nothing")
    return found
