"""Open what the IMS sealed to this agent."""

from agent.failure import CodedError
from agent.install.site import Site
from agent.job import JobContext
from api.contract.agents import DeployJob
from api.contract.base import Json
from api.contract.sealed_box import SealedBoxError, job_context, open_box
from api.contract.secret_references import scheme_of


class SealedForAnotherError(CodedError):
    """The job's secrets can't be opened with this agent's key."""

    code = "secret_unreadable"
    retryable = True
    remedy = "Start the agent again: it then tells the IMS its key anew. If that doesn't help, enrol it anew."


def opened(job: DeployJob, context: JobContext, site: Site) -> DeployJob:
    """The job with its secrets in place, all of which the redactor knows from here on. Raises SealedForAnotherError."""
    if job.sealed is None:
        return job
    if site.sealing_key is None:
        raise SealedForAnotherError(f"the secrets of {job.component} are sealed, and this agent has no key for them")
    try:
        content = open_box(site.sealing_key, job.sealed, job_context(context.job_id, context.attempt, site.install_id))
    except SealedBoxError as error:
        raise SealedForAnotherError(f"the secrets of {job.component} can't be opened: {error}") from None
    secrets, sensitive = content["secrets"], content["sensitive_inputs"]
    learn_secrets(sensitive, secrets, context)
    return job.model_copy(update={"sensitive_inputs": sensitive, "secrets": secrets, "sealed": None})


def learn_secrets(sensitive_inputs: dict[str, Json], secrets: dict[str, Json], context: JobContext) -> None:
    """Let the redactor know a job's secrets. A reference is none: it says where the value is, and errors must show it."""
    context.redactor.learn(secrets)
    context.redactor.learn([value for value in sensitive_inputs.values() if scheme_of(value) is None])
