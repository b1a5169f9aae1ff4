"""What a job's release is signed with, for the agent that has the job: beside the job, so that earlier agents don't meet it."""

from api.agents.service import AgentCaller
from api.contract.problems import NotFoundError
from api.contract.signed_releases import StoredSignature
from api.db.transaction import Read
from api.deploys.models import DeployRow, StepRow
from api.jobs.models import JobRow
from api.jobs.payloads import release_of
from api.releases import signatures


def of_job(tx: Read, agent: AgentCaller, job_id: str) -> StoredSignature:
    """The signed document of the release that a job brings. Raises NotFoundError, also for another agent's job."""
    job = tx.get(JobRow, job_id)
    if job is None or job.agent_id != agent.id:
        raise NotFoundError(f"there is no job {job_id!r}")
    step = tx.get(StepRow, job.step_id) if job.step_id else None
    deploy = tx.get(DeployRow, step.deploy_id) if step else None
    release = release_of(tx, deploy, step) if deploy and step else None
    found = signatures.of_release(tx, release) if release else None
    if found is None:
        raise NotFoundError(f"the release of {job_id} isn't signed as a whole")
    return found
