"""The job `update_agent`: from the IMS's offer to a version that has held, over the end of the process that began it.

The IMS is not trusted: the version is what the vendor's own signature says, it must be higher than every one that has held
here, and the customer's rules decide whether it is tried at all. How far it is lies on the disk (`agent.update.state`): the
process that takes the job up again, be it of the old version or of the new one, finds it there.
"""

import asyncio
import logging
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from agent.bundle.unpack import download_blobs
from agent.cancellation import JobCancelledError, unless_cancelled
from agent.failure import CodedError
from agent.identity import VERSION
from agent.install.site import Site
from agent.install.trusted import take_notice
from agent.job import JobContext
from agent.ledger.ledger import Ledger
from agent.oci.client import RegistryClient
from agent.oci.digest import hex_of
from agent.oci.job_registry import registry_of
from agent.oci.manifest import TITLE
from agent.oci.signature import verify
from agent.policy.policy import Policy
from agent.trust.notices import fingerprint
from agent.update import state
from agent.update.artifact import claims_of, fitting_wheels
from agent.update.state import Ended, Offer, StateUnreadableError, Trial
from agent.update.supervised import Supervised
from agent.update.versions import Versions
from api.contract.agents import AGENT_REPOSITORY as REPOSITORY
from api.contract.agents import UpdateJob, UpdateResult
from api.contract.base import Json

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.5
_WINDOW_SECONDS = 30.0
"""How often it is looked whether the customer's window has opened: the policy may have been changed, too."""


class UpdateRefusedError(CodedError):
    """The version isn't tried. Nothing has changed."""

    code = "update_refused"


class UpdateAsksError(CodedError):
    """The version lies ready, and the customer hasn't said yes."""

    code = "update_asks"
    remedy = "Ask the customer to run `exclave agent update` on the agent's machine."


class UpdateByImageError(CodedError):
    """The agent has no supervisor: it is updated by whoever starts it."""

    code = "update_by_image"
    remedy = "Start the newer image (or install the newer package), or start the agent with --self-update."


class UpdateRolledBackError(CodedError):
    """The version was tried and didn't hold; the one before it runs again."""

    code = "update_rolled_back"
    remedy = "Find out why, and publish a version of its own; this one isn't tried again but by the customer's own hand."


@dataclass(frozen=True)
class Updates:
    """What an agent knows of its own updates; `supervised` is None where it has no supervisor.

    `window_seconds` is how often an update that waits for the customer's window looks whether it has opened.
    """

    versions: Versions
    supervised: Supervised | None = None
    window_seconds: float = _WINDOW_SECONDS


async def update(job: UpdateJob, context: JobContext, site: Site, updates: Updates) -> UpdateResult:
    """Bring the version here, have it tried, and say how that ended. Raises JobFailedError or JobCancelledError."""
    versions = updates.versions
    try:
        now = await asyncio.to_thread(versions.read)
        if _ended(now.last, context) is None and not (now.trial and now.trial.job == context.job_id):
            await unless_cancelled(_stage(job, context, site, updates), context.cancellation)
        ended = await unless_cancelled(_end(versions, context), context.cancellation)
    except StateUnreadableError as error:
        raise UpdateRefusedError(
            f"{versions.folder / 'state.json'} can't be read: {error}", remedy="Ask the customer to remove it."
        ) from None
    except JobCancelledError:
        if not (updates.supervised and updates.supervised.leaving):
            await asyncio.to_thread(versions.change, lambda now: state.withdrawn(now, context.job_id))
        raise
    if ended is not None and ended.outcome == "rolled_back":
        raise UpdateRolledBackError(f"Exclave {job.version} was tried, and {VERSION} put back: {ended.reason}")
    return UpdateResult(version=job.version)


def note_end(versions: Versions, ledger: Ledger) -> None:
    """Write down, once, how the last update ended: the supervisor, which decided it, has no ledger. Blocks."""
    try:
        last = versions.read().last
        if last and not last.noted:
            told = {"job": last.job, "version": last.version, "digest": last.digest, "reason": last.reason}
            said: dict[str, Json] = {name: value for name, value in told.items() if value}
            ledger.append("update.ended", outcome=last.outcome, **said)
            versions.change(state.noted)
    except StateUnreadableError as error:
        log.error("%s can't be read, and no update is tried: %s", versions.folder / "state.json", error)


def _ended(last: Ended | None, context: JobContext) -> Ended | None:
    return last if last and last.job == context.job_id else None


async def _end(versions: Versions, context: JobContext) -> Ended | None:
    """Wait until the supervisor has decided; None if there was nothing to decide. Mostly, this process ends before that."""
    while True:
        now = await asyncio.to_thread(versions.read)
        if now.trial is None or now.trial.job != context.job_id:
            return _ended(now.last, context)
        await asyncio.sleep(_LOOK_SECONDS)


async def _stage(job: UpdateJob, context: JobContext, site: Site, updates: Updates) -> None:
    policy = await asyncio.to_thread(site.rules.load)
    await asyncio.to_thread(_check, job, policy, site, updates)
    if job.version == VERSION:
        context.log(f"Exclave {VERSION} runs already")
        return
    versions, supervised = updates.versions, updates.supervised
    current = await asyncio.to_thread(versions.current)
    registry = registry_of(job.registry, site.http, context.ticket)
    site = await asyncio.to_thread(site.under, policy, job.kind)
    signed = await verify(registry, REPOSITORY, job.digest, site.vendor_keys, claims_of(job.version))
    said = {"job": context.job_id, "version": job.version, "digest": job.digest, "key": fingerprint(signed.key)}
    if supervised is None:
        await asyncio.to_thread(site.ledger.append, "update.offered", **said)
        raise UpdateByImageError(
            f"the vendor has signed Exclave {job.version}; this agent is {VERSION}, and is updated by whoever starts it"
        )
    await take_notice(registry, REPOSITORY, job.digest, context, site)
    context.log(f"Exclave {job.version} ({job.digest}) is signed by the vendor; fetching it")
    if job.version == current:
        raise UpdateRefusedError(f"Exclave {job.version} is what runs, with other wheels")
    await _fetch(job, registry, versions, supervised)
    if policy.document.updates.mode == "auto":
        policy = await _in_window(job, context, site, updates)
    asks = policy.document.updates.mode == "ask"
    before = await asyncio.to_thread(versions.read)
    waits = {before.offered.version} if before.offered and not asks else set()
    await asyncio.to_thread(versions.prune, {current, before.previous, job.version} | waits)
    if asks:
        offer = Offer(job.version, job.digest)
        await asyncio.to_thread(versions.change, lambda now: state.offered(now, offer))
        await asyncio.to_thread(site.ledger.append, "update.offered", **said)
        raise UpdateAsksError(
            f"Exclave {job.version} lies ready on the agent's machine; the customer's policy asks for their yes to updates"
        )
    trial = Trial(job.version, job.version, job.digest, current, context.job_id, context.attempt)
    await asyncio.to_thread(site.ledger.append, "update.begun", **said)
    context.log(f"Exclave {job.version} is tried once what runs here has ended")
    await asyncio.to_thread(versions.change, lambda now: state.staged(now, trial))


async def _in_window(job: UpdateJob, context: JobContext, site: Site, updates: Updates) -> Policy:
    """Wait until the customer's windows let the agent be replaced; gives their policy of that moment. Raises JobFailedError."""
    told = ""
    while True:
        policy = await asyncio.to_thread(site.rules.load)
        await asyncio.to_thread(_check, job, policy, site, updates)
        opens = policy.update_waits_until(site.clock())
        if opens is None or policy.document.updates.mode != "auto":
            return policy
        said = f"Exclave {job.version} lies ready; the customer's maintenance window opens at {opens:%Y-%m-%d %H:%M %Z}"
        if said != told:
            context.log(said)
            told = said
        await asyncio.sleep(updates.window_seconds)


def _check(job: UpdateJob, policy: Policy, site: Site, updates: Updates) -> None:
    """Whether the version may be brought here at all. Blocks. Raises JobFailedError."""
    policy.check_update(job.version)
    site.trust.check("the agent", [job.digest])
    now = updates.versions.read()
    if job.version == VERSION:
        return
    highest = now.highest if state.newer(now.highest, VERSION) else VERSION
    if not state.newer(job.version, highest):
        raise UpdateRefusedError(
            f"Exclave {job.version} is older than {highest}, which has run here",
            remedy="Ask the customer, if it must be: `exclave agent update --to` goes back to a version that lies there.",
        )
    if job.digest in now.refused:
        raise UpdateRefusedError(
            f"Exclave {job.version} was tried here already and didn't hold, or the customer went back from it",
            remedy="Publish a newer version, or ask the customer to run `exclave agent update --to`.",
        )
    if now.trial:
        raise UpdateRefusedError(
            f"an update to Exclave {now.trial.version} is under way", remedy="Try again when it has ended."
        )


async def _fetch(job: UpdateJob, registry: RegistryClient, versions: Versions, supervised: Supervised) -> None:
    """Have the version's folder, made of this very artifact, every byte of it checked."""
    digest = await asyncio.to_thread(versions.digest, job.version)
    if digest == job.digest and not await asyncio.to_thread(versions.problem, job.version):
        return
    from agent.update.unpack import unpack  # what makes environments is needed once in a version's life

    layers = await fitting_wheels(registry, job.digest, job.version)
    await asyncio.to_thread(versions.prepare)
    downloads = Path(await asyncio.to_thread(tempfile.mkdtemp, dir=versions.folder, prefix=".wheels-"))
    try:
        await download_blobs(registry, REPOSITORY, layers, downloads)
        wheels = []
        for layer in layers:  # their names are those of wheels: `fitting_wheels` has parsed them
            wheels.append((downloads / hex_of(layer.digest)).rename(downloads / layer.annotations[TITLE]))
        await asyncio.to_thread(unpack, wheels, job.version, job.digest, versions, supervised.packages)
    finally:
        await asyncio.to_thread(shutil.rmtree, downloads, ignore_errors=True)
