"""What the install agent can do, by kind of job."""

from agent.cancellation import unless_cancelled
from agent.failure import CodedError
from agent.install.deploy import apply, plan
from agent.install.sealed import opened
from agent.install.site import Site
from agent.install.sync import sync
from agent.job import JobContext
from api.contract.agents import BuildJob, DeployJob, JobPayload, JobResult, SyncJob


class WrongAgentError(CodedError):
    """A job that isn't for this agent, whatever the IMS says."""

    code = "wrong_agent"


class InstallExecutor:
    """Runs the jobs of one install. See `agent.job.Executor`."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def run(self, payload: JobPayload, context: JobContext) -> JobResult:
        """Sync, plan, apply or destroy."""
        if isinstance(payload, DeployJob):
            payload = opened(payload, context, self._site)
        match payload:
            case SyncJob():
                return await unless_cancelled(sync(payload, context, self._site), context.cancellation)
            case BuildJob():
                raise WrongAgentError("an install agent doesn't build")
            case DeployJob() if payload.install_id != self._site.install_id:
                raise WrongAgentError(f"the job is for install {payload.install_id}, the agent for {self._site.install_id}")
            case DeployJob(kind="plan" | "plan_destroy"):
                return await plan(payload, context, self._site)
            case DeployJob():
                return await apply(payload, context, self._site)
