"""Build a component of the kind `terraform_module`: a signed bundle in the vendor's registry."""

import asyncio
from pathlib import Path

from agent.build.builder import BuildContext, BuiltArtifact
from agent.build.source import FetchedSource, field_of
from agent.build.terraform_module.initialise import initialise
from agent.build.terraform_module.materials import bundle_materials, module_materials
from agent.bundle.hcl import has_configuration, read_blocks
from agent.bundle.manifest import ARTIFACT_TYPE
from agent.bundle.module import ModuleInterface, interface_of
from agent.bundle.pack import UNDATED, Bundle, Contents, pack
from agent.bundle.platform import current_platform
from agent.engine.find import Engine
from agent.failure import CodedError, JobFailedError
from agent.oci.manifest import IMAGE_MANIFEST
from agent.oci.provenance import Material
from agent.oci.push import push_bytes, push_file
from api.contract.components import TerraformModuleConfig


class NotAModuleError(CodedError):
    """The folder has no Terraform files."""

    code = "not_a_module"
    remedy = "Name the folder that has the module's .tf files itself, not one above or below it."


async def build_terraform_module(config: TerraformModuleConfig, context: BuildContext) -> BuiltArtifact:
    """Fetch the source, pack it with what it needs, and push it. Raises JobFailedError."""
    source = await context.fetch(config.source)
    engine = await context.engine()
    try:
        bundle, materials = await _pack(config, source, engine, context)
    except JobFailedError as error:
        if error.failure.field is not None:
            raise
        raise JobFailedError(error.failure.model_copy(update={"field": field_of(config.source)})) from error
    await _push(context, bundle)
    return BuiltArtifact(
        digest=bundle.digest,
        media_type=IMAGE_MANIFEST,
        artifact_type=ARTIFACT_TYPE,
        size=bundle.size,
        revision=source.revision,
        variables=bundle.config.variables,
        outputs=bundle.config.outputs,
        materials=materials,
    )


async def _pack(
    config: TerraformModuleConfig, source: FetchedSource, engine: Engine, context: BuildContext
) -> tuple[Bundle, tuple[Material, ...]]:
    platform = current_platform()
    interface = await asyncio.to_thread(_interface, source.folder)
    fetched = await initialise(source.folder, engine, platform, context.env, context.log)
    modules = await module_materials(fetched.modules, context.env)
    contents = Contents(
        source=source.folder,
        interface=interface,
        providers=fetched.providers,
        engine=engine,
        bundle_engine=config.bundle_engine,
        platform=platform,
        revision=source.revision,
        created=source.created or UNDATED,
    )
    bundle = await asyncio.to_thread(pack, contents, context.work, context.store)
    return bundle, bundle_materials(bundle, engine, fetched, modules)


def _interface(folder: Path) -> ModuleInterface:
    if not has_configuration(folder):
        raise NotAModuleError("the source has no .tf or .tf.json files")
    return interface_of(read_blocks(folder))


async def _push(context: BuildContext, bundle: Bundle) -> None:
    """Blobs first. The tag keeps the manifest from being cleaned up; everything else goes by digest."""
    client, repository = context.target, context.repository
    await push_bytes(client, repository, bundle.config.blob())
    for layer in bundle.layers:
        await push_file(client, repository, layer.path, layer.entry.digest, layer.entry.size)
    await client.put_manifest(repository, context.tag, bundle.manifest, IMAGE_MANIFEST)
