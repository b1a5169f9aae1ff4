"""Bring an artifact with its signature into the customer's registry, verified before and after."""

import time

from agent.install.site import Site
from agent.install.trusted import note_verified, take_notice
from agent.job import JobContext
from agent.oci.copy import copy_artifact
from agent.oci.job_registry import registry_of
from agent.oci.signature import verify
from api.contract.agents import SyncJob, SyncResult

_PROGRESS_SECONDS = 2.0


async def sync(job: SyncJob, context: JobContext, site: Site) -> SyncResult:
    """Redeem the ticket, check the signature at the vendor's registry, copy, check it again in the customer's.

    One client is used for the vendor's registry: its ticket works once, and a copy that outlasts what it buys asks for another.
    Raises JobFailedError; nothing is copied if the signature isn't by a pinned key.
    """
    source = registry_of(job.registry, site.http, context.ticket)
    repository = job.registry.repository
    await verify(source, repository, job.digest, site.vendor_keys)
    own = site.registry.repository(repository)
    context.log(f"{repository}@{job.digest} is signed by the vendor; copying it into {site.registry.writer.url}")
    await site.registry.make_ready(repository)
    target = await site.registry.client()
    report = await copy_artifact(
        source,
        target,
        source_repository=repository,
        target_repository=own,
        digest=job.digest,
        progress=_Progress(context),
    )
    signed = await verify(target, own, job.digest, site.vendor_keys)
    await note_verified(job.component, job.digest, signed, context, site)
    await take_notice(target, own, job.digest, context, site)
    context.log(f"copied {report.copied_bytes} bytes; {report.skipped_bytes} were there already")
    return SyncResult(copied_bytes=report.copied_bytes, skipped_bytes=report.skipped_bytes)


class _Progress:
    """Logs how far a copy is, every few seconds."""

    def __init__(self, context: JobContext) -> None:
        self._context = context
        self._next = time.monotonic() + _PROGRESS_SECONDS

    def __call__(self, done: int, total: int) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _PROGRESS_SECONDS
            self._context.log(f"{done} of {total} bytes")
