"""`config-signed`: what a job is told to run, and with which config, is what the vendor's build side has signed.

Everything else in a job is the IMS's word: which of the signed things runs, when, and with which inputs. The customer's policy
and their own approval limit that. docs/decisions/0019 has the whole of it.
"""

import asyncio

from agent.install.site import Site
from agent.job import JobContext
from agent.oci.client import RegistryClient
from agent.oci.signature import Signed, good_signatures, verify
from agent.trust.claims import CONFIG, claims_of
from agent.trust.notices import fingerprint
from agent.trust.store import Learnt
from api.contract.agents import DeployJob


async def check_signed(job: DeployJob, context: JobContext, site: Site) -> None:
    """Check the artifact in the customer's registry, the app, the component and the config against one signature.

    Raises SignatureError.
    """
    claims = claims_of(site.app_name, job.component, job.config)
    registry, repository = await site.registry.client(), site.registry.repository(job.repository)
    signed = await verify(registry, repository, job.digest, site.vendor_keys, claims)
    await note_verified(job.component, job.digest, signed, context, site)
    await take_notice(registry, repository, job.digest, context, site)  # what was carried here by hand wasn't synced


async def note_verified(component: str, digest: str, signed: Signed, context: JobContext, site: Site) -> None:
    """Write down that an artifact was verified, with which key (the digest of its PEM) and for which config."""
    said = {"job": context.job_id, "component": component, "digest": digest, "key": fingerprint(signed.key)}
    if CONFIG in signed.claims:
        said["config"] = signed.claims[CONFIG]
    await asyncio.to_thread(site.ledger.append, "artifact.verified", **said)


async def take_notice(registry: RegistryClient, repository: str, digest: str, context: JobContext, site: Site) -> None:
    """Learn what the vendor says with the signatures of an artifact: the key that comes after, and what is revoked."""
    signatures = await good_signatures(registry, repository, digest, site.vendor_keys)
    await note_learnt(await asyncio.to_thread(site.trust.learn, signatures), context, site)


async def note_learnt(new: Learnt, context: JobContext, site: Site) -> None:
    """Say and write down what the vendor has told of their trust, if it was new."""
    if new.keys or new.revoked:
        keys = [fingerprint(key) for key in new.keys]
        context.log(f"the vendor's own signatures say: trust the keys {keys}; no more of {list(new.revoked)}")
        await asyncio.to_thread(
            site.ledger.append, "trust.changed", job=context.job_id, keys=keys, revoked=list(new.revoked), by="vendor"
        )
