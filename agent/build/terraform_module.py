"""Build a component of the kind `terraform_module`: a signed bundle in the vendor's registry."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx

from agent.build.provider_packages import fetch_providers
from agent.build.source import FetchedSource, fetch_source, field_of
from agent.bundle.hcl import has_configuration, read_blocks
from agent.bundle.manifest import ARTIFACT_TYPE
from agent.bundle.module import ModuleInterface, interface_of
from agent.bundle.pack import UNDATED, Bundle, Contents, pack
from agent.bundle.platform import current_platform
from agent.bundle.zip_store import ZipStore
from agent.engine.find import Engine
from agent.failure import CodedError, JobFailedError
from agent.oci.client import RegistryClient
from agent.oci.manifest import IMAGE_MANIFEST
from agent.oci.push import push_bytes, push_file
from agent.oci.signature import sign, verify
from agent.oci.token import Credential
from agent.oci.vendor_key import VendorKey
from api.contract.agents import BuildJob, BuildResult
from api.contract.components import TerraformModuleConfig
from api.contract.resources import Artifact


class NotAModuleError(CodedError):
    """The folder has no Terraform files."""

    code = "not_a_module"
    remedy = "Name the folder that has the module's .tf files itself, not one above or below it."


async def build_terraform_module(
    job: BuildJob,
    config: TerraformModuleConfig,
    *,
    work: Path,
    store: ZipStore,
    engine: Engine,
    key: VendorKey,
    http: httpx.AsyncClient,
    env: Mapping[str, str],
    log: Callable[[str], None],
) -> BuildResult:
    """Fetch the source, pack it with what it needs, push, sign, and verify what was signed. `work` is empty and the job's own.

    Repeating it does no harm: the same source gives the same digest, and what is in the registry isn't sent again.
    Raises JobFailedError.
    """
    source = await fetch_source(config.source, work, env)
    log(f"fetched the source at {source.revision}")
    bundle = await _pack(config, source, work, store, engine, env, log)
    access = job.registry
    client = RegistryClient(access.url, Credential(access.username, access.password), http)
    await _push(client, access.repository, bundle, tag=job.build_id)
    log(f"pushed {access.repository}@{bundle.digest}, {bundle.size} bytes")
    await sign(client, access.repository, bundle.digest, key, f"{client.url.netloc.decode()}/{access.repository}")
    await verify(client, access.repository, bundle.digest, (key.public_pem,))
    log("signed it with the vendor's key")
    return BuildResult(
        source_revision=source.revision,
        artifact=Artifact(
            repository=access.repository,
            digest=bundle.digest,
            media_type=IMAGE_MANIFEST,
            artifact_type=ARTIFACT_TYPE,
            size=bundle.size,
        ),
        variables=list(bundle.config.variables),
        outputs=list(bundle.config.outputs),
    )


async def _pack(
    config: TerraformModuleConfig,
    source: FetchedSource,
    work: Path,
    store: ZipStore,
    engine: Engine,
    env: Mapping[str, str],
    log: Callable[[str], None],
) -> Bundle:
    platform = current_platform()
    try:
        interface = await asyncio.to_thread(_interface, source.folder)
        providers = await fetch_providers(source.folder, work / "data", engine, platform, env, log)
    except JobFailedError as error:
        if error.failure.field is not None:
            raise
        raise JobFailedError(error.failure.model_copy(update={"field": field_of(config.source)})) from error
    contents = Contents(
        source=source.folder,
        interface=interface,
        providers=providers,
        engine=engine,
        bundle_engine=config.bundle_engine,
        platform=platform,
        revision=source.revision,
        created=source.created or UNDATED,
    )
    return await asyncio.to_thread(pack, contents, work, store)


def _interface(folder: Path) -> ModuleInterface:
    if not has_configuration(folder):
        raise NotAModuleError("the source has no .tf or .tf.json files")
    return interface_of(read_blocks(folder))


async def _push(client: RegistryClient, repository: str, bundle: Bundle, *, tag: str) -> None:
    """Blobs first. The tag keeps the manifest from being cleaned up; everything else goes by digest."""
    client.will_push(repository)
    await push_bytes(client, repository, bundle.config.blob())
    for layer in bundle.layers:
        await push_file(client, repository, layer.path, layer.entry.digest, layer.entry.size)
    await client.put_manifest(repository, tag, bundle.manifest, IMAGE_MANIFEST)
