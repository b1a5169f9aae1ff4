"""`release-signed`: under the customer's rule `releases`, a job is of a release that the vendor has signed as a whole.

The rule is looked at when a plan is made, and again when it is applied: by then the release may be revoked, or another one
applied. docs/decisions/0019 has the whole of it.
"""

import asyncio

from agent.install.site import Site
from agent.install.trusted import note_learnt
from agent.install.workspace import PlannedRelease
from agent.job import JobContext
from agent.trust.releases import ReleaseUnsignedError, check_may_run, opened_release
from api.contract.agents import DeployJob


async def check_released(job: DeployJob, context: JobContext, site: Site) -> PlannedRelease | None:
    """The signed release of a job that plans; None if the customer doesn't ask for one.

    Raises ReleaseUnsignedError or ReleaseRefusedError.
    """
    if site.policy.document.releases == "any":
        return None
    envelope = await context.release()
    if envelope is None:
        raise ReleaseUnsignedError(
            f"the customer runs signed releases alone, and the release of {job.component} isn't signed as a whole"
        )
    release = opened_release(envelope, site.vendor_keys)
    said = release.document
    others = {name: digest for name, digest in job.digests.items() if name != job.component}
    release.check(site.app_name, job.component, job.digest, job.config, others)
    await note_learnt(await asyncio.to_thread(site.trust.add, (), said.revoked), context, site)
    planned = PlannedRelease(number=said.number, document=release.digest)
    changes = job.kind == "plan" and not job.look_at_health
    await asyncio.to_thread(_check, planned, site, changes=changes)
    context.log(f"{job.component} is as the vendor has signed release {said.number} ({release.digest})")
    return planned


def check_still(job: DeployJob, planned: PlannedRelease | None, site: Site) -> None:
    """Whether a plan of that release may be carried out now. Blocks. Raises as `check_released` does."""
    if site.policy.document.releases == "any":
        return
    if planned is None:
        raise ReleaseUnsignedError(
            f"the plan of {job.component} was made before the customer asked for signed releases", remedy="Deploy again."
        )
    _check(planned, site, changes=job.kind == "apply")


def begun(job: DeployJob, planned: PlannedRelease | None, site: Site) -> None:
    """Remember the number of a release that is applied from now on: under `forward`, none below it is. Blocks."""
    if planned is not None and job.kind == "apply":
        site.trust.release_begun(planned.number)


def _check(planned: PlannedRelease, site: Site, *, changes: bool) -> None:
    forward = changes and site.policy.document.releases == "forward"
    highest = site.trust.highest_release() if forward else 0
    check_may_run(planned.number, planned.document, {*site.trust.revoked(), *site.policy.document.revoked}, highest)
