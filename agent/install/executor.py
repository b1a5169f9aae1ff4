"""What the install agent can do, by kind of job: under the customer's rules, and written down in their ledger."""

import asyncio
import logging

from agent.cancellation import JobCancelledError, unless_cancelled
from agent.failure import CodedError, JobFailedError
from agent.install.site import Site
from agent.job import JobContext
from agent.ledger.ledger import LedgerUnwritableError
from agent.update.updates import Updates
from agent.update.versions import Versions
from api.contract.agents import BuildJob, DeployJob, JobPayload, JobResult, SyncJob, UpdateJob
from api.contract.base import Json

log = logging.getLogger(__name__)

_BRINGS = ("plan", "apply")
"""Jobs that may use the artifacts of other components, too: a destroy uses its own alone."""


class WrongAgentError(CodedError):
    """A job that isn't for this agent, whatever the IMS says."""

    code = "wrong_agent"


class InstallExecutor:
    """Runs the jobs of one install. See `agent.job.Executor`."""

    def __init__(self, site: Site, updates: Updates | None = None) -> None:
        self._site = site
        self._updates = updates or Updates(Versions(site.approvals.home))

    async def run(self, payload: JobPayload, context: JobContext) -> JobResult:
        """Sync, plan, apply or destroy, or update the agent, if the customer's policy lets it begin.

        What can't be written down isn't begun.
        """
        if isinstance(payload, BuildJob):
            raise WrongAgentError("an install agent doesn't build")
        about: dict[str, Json] = (
            {"version": payload.version}
            if isinstance(payload, UpdateJob)
            else {"component": payload.component, "deploy": payload.deploy_id}
        )
        await asyncio.to_thread(
            self._site.ledger.append,
            "job.taken",
            job=context.job_id,
            attempt=context.attempt,
            kind=payload.kind,
            digest=payload.digest,
            **about,
        )
        try:
            result = await self._run(payload, context)
        except JobFailedError as error:
            failure = context.redactor.failure(error.failure)
            await self._ended(context, outcome="failed", code=failure.code, message=failure.message)
            raise
        except JobCancelledError:
            await self._ended(context, outcome="cancelled")
            raise
        await self._ended(context, outcome="succeeded")
        return result

    async def _run(self, payload: SyncJob | DeployJob | UpdateJob, context: JobContext) -> JobResult:
        # As with deployers, what does a kind of job is loaded by the first one: an idle agent is smaller for it.
        if isinstance(payload, UpdateJob):
            from agent.update.job import update

            return await update(payload, context, self._site, self._updates)
        site = await asyncio.to_thread(self._admitted, payload, context)
        if isinstance(payload, SyncJob):
            from agent.install.sync import sync

            return await unless_cancelled(sync(payload, context, site), context.cancellation)
        if payload.install_id != site.install_id:
            raise WrongAgentError(f"the job is for install {payload.install_id}, the agent for {site.install_id}")
        from agent.install.deploy import apply, plan
        from agent.install.sealed import opened

        work = plan if payload.kind in ("plan", "plan_destroy") else apply
        return await work(opened(payload, context, site), context, site)

    def _admitted(self, job: SyncJob | DeployJob, context: JobContext) -> Site:
        """The site under the policy of this moment. Raises JobFailedError if the policy doesn't let the job begin. Blocks."""
        policy = self._site.rules.load()
        for pattern in policy.patterns():
            context.redactor.hide(pattern)
        artifacts = {job.digest, *(job.digests.values() if isinstance(job, DeployJob) and job.kind in _BRINGS else ())}
        kind = job.config.kind if isinstance(job, DeployJob) else None
        policy.check_job(job.kind, job.component, kind, self._site.clock(), sorted(artifacts))
        self._site.trust.check(job.component, sorted(artifacts))
        return self._site.under(policy, job.kind)

    async def _ended(self, context: JobContext, **data: Json) -> None:
        """What is done is done, and is reported, also where it can't be written down any more."""
        try:
            await asyncio.to_thread(self._site.ledger.append, "job.ended", job=context.job_id, attempt=context.attempt, **data)
        except LedgerUnwritableError as error:
            log.error("%s: the ledger lacks its end: %s", context.job_id, error)
