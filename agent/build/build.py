"""One build job, of any kind: build and push, sign what was pushed, verify what was signed, and say where it comes from."""

import asyncio
import hashlib
import os
import shutil
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import httpx

from agent.build.builder import BuildContext, BuiltArtifact
from agent.build.container_image.build import build_container_image
from agent.build.custom.build import build_custom
from agent.build.docker_build.build import build_docker_build
from agent.build.docker_build.builder_folder import sweep_builder_folders
from agent.build.helm_chart.build import build_helm_chart
from agent.build.kubernetes_manifest.build import build_kubernetes_manifest
from agent.build.materials import record_of
from agent.build.terraform_module.build import build_terraform_module
from agent.bundle.zip_store import ZipStore
from agent.engine.find import Engine
from agent.oci.job_registry import registry_of
from agent.oci.manifest import Descriptor
from agent.oci.provenance import BuildRecord, attach_provenance
from agent.oci.signature import sign, verify
from agent.oci.vendor_key import VendorKey
from agent.trust.claims import claims_of
from agent.trust.notices import NO_NOTICES, Notices
from api.contract.agents import BuildJob, BuildResult
from api.contract.components import (
    ComponentConfig,
    ContainerImageConfig,
    CustomConfig,
    DockerBuildConfig,
    HelmChartConfig,
    KubernetesManifestConfig,
    TerraformModuleConfig,
)
from api.contract.resources import Artifact


async def run_build(
    job: BuildJob,
    *,
    work: Path,
    engine: Callable[[], Awaitable[Engine]],
    key: VendorKey,
    http: httpx.AsyncClient,
    log: Callable[[str], None],
    env: Mapping[str, str] = os.environ,
    secrets: Mapping[str, str] | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    notices: Notices = NO_NOTICES,
) -> BuildResult:
    """Build the job's component, and say the `notices` with its signatures. Raises JobFailedError.

    `work` belongs to this agent's builds: `cache/` stays in it, and the job's own folder goes at the end of the job, or, after
    a `kill -9`, at the beginning of its next attempt. Cancelling this coroutine stops all programs that it runs.
    """
    started = now()
    own = work / f"build-{hashlib.sha256(job.build_id.encode()).hexdigest()[:16]}"
    await asyncio.to_thread(shutil.rmtree, own, ignore_errors=True)
    own.mkdir(parents=True)
    access = job.registry
    context = BuildContext(
        work=own,
        store=ZipStore(work / "cache"),
        target=registry_of(access, http),
        repository=access.repository,
        tag=job.build_id,
        http=http,
        env=env,
        log=log,
        engine=engine,
        secrets=secrets or {},
        images=job.images,
    )
    context.target.will_push(access.repository)
    try:
        built = await _build(job.config, context)
    finally:
        await asyncio.to_thread(shutil.rmtree, own, ignore_errors=True)
    log(f"pushed {access.repository}@{built.digest}, {built.size} bytes")
    claims = claims_of(job.app, job.component, job.config)
    if notices.previous:
        await _sign(built, notices.previous, context, claims | notices.vouching(key))
    await _sign(built, key, context, claims | notices.of_all())
    record = record_of(job, built.revision, built.materials, started, now())
    await _attest(built, key, record, context)
    return _result(built, access.repository)


async def sweep(work: Path) -> None:
    """Remove what builds left that were killed with their agent. Before the first build of the agent that has this folder."""
    for left in await asyncio.to_thread(lambda: list(work.glob("build-*"))):
        await asyncio.to_thread(shutil.rmtree, left, ignore_errors=True)
    await sweep_builder_folders()


async def _build(config: ComponentConfig, context: BuildContext) -> BuiltArtifact:
    match config:
        case TerraformModuleConfig():
            return await build_terraform_module(config, context)
        case ContainerImageConfig():
            return await build_container_image(config, context)
        case DockerBuildConfig():
            return await build_docker_build(config, context)
        case HelmChartConfig():
            return await build_helm_chart(config, context)
        case KubernetesManifestConfig():
            return await build_kubernetes_manifest(config, context)
        case CustomConfig():
            return await build_custom(config, context)


async def _sign(built: BuiltArtifact, key: VendorKey, context: BuildContext, claims: Mapping[str, str]) -> None:
    """Sign what was built, and for what: the install agent runs it with no other config (`config-signed`)."""
    named = context.target.name_of(context.repository)
    await sign(context.target, context.repository, built.digest, key, named, claims)
    await verify(context.target, context.repository, built.digest, (key.public_pem,), claims)
    context.log("signed it with the vendor's key")


async def _attest(built: BuiltArtifact, key: VendorKey, record: BuildRecord, context: BuildContext) -> None:
    """SBOM and provenance refer to the artifact, whose digest doesn't depend on them; they travel with it when it is copied."""
    manifest = await context.target.get_manifest(context.repository, built.digest)
    artifact = Descriptor(media_type=manifest.media_type, digest=manifest.digest, size=manifest.size)
    await attach_provenance(context.target, context.repository, artifact, key, record)
    context.log(f"attached its SBOM, of {len(record.materials)} parts, and its provenance")


def _result(built: BuiltArtifact, repository: str) -> BuildResult:
    return BuildResult(
        source_revision=built.revision,
        artifact=Artifact(
            repository=repository,
            digest=built.digest,
            media_type=built.media_type,
            artifact_type=built.artifact_type,
            size=built.size,
        ),
        variables=list(built.variables),
        outputs=list(built.outputs),
    )
