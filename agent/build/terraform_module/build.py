"""Build a component of the kind `terraform_module`: a signed bundle in the vendor's registry."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from agent.build.builder import BuildContext, BuiltArtifact
from agent.build.git import signed_in_to_host
from agent.build.source import FetchedSource, field_of
from agent.build.terraform_module.initialise import initialise
from agent.build.terraform_module.materials import bundle_materials, module_materials
from agent.build.terraform_module.other_platforms import Search, engine_for, packages_for
from agent.bundle.hcl import has_configuration, read_blocks, read_lock
from agent.bundle.manifest import ARTIFACT_TYPE, index_bytes
from agent.bundle.module import ModuleInterface, interface_of
from agent.bundle.pack import UNDATED, Bundle, Contents, engine_travels, pack
from agent.bundle.platform import Platform, current_platform
from agent.engine.find import Engine
from agent.failure import CodedError, JobFailedError
from agent.oci.digest import digest_of
from agent.oci.manifest import IMAGE_INDEX, IMAGE_MANIFEST, Manifest
from agent.oci.provenance import Material
from agent.oci.push import push_bytes, push_file
from api.contract.components import TerraformModuleConfig


class NotAModuleError(CodedError):
    """The folder has no Terraform files."""

    code = "not_a_module"
    remedy = "Name the folder that has the module's .tf files itself, not one above or below it."


async def build_terraform_module(config: TerraformModuleConfig, context: BuildContext) -> BuiltArtifact:
    """Fetch the source, pack it with what it needs, and push it: a bundle, or an index of one for each of several platforms.

    Raises JobFailedError.
    """
    source = await context.fetch(config.source)
    engine = await context.engine()
    try:
        bundles, materials = await _pack(config, source, engine, context)
    except JobFailedError as error:
        if error.failure.field is not None:
            raise
        raise JobFailedError(error.failure.model_copy(update={"field": field_of(config.source)})) from error
    made = await _push(context, bundles, source)
    return BuiltArtifact(
        digest=made.digest,
        media_type=made.media_type,
        artifact_type=ARTIFACT_TYPE,
        size=sum(({made.digest: made.size} | {name: size for each in bundles for name, size in each.sizes.items()}).values()),
        revision=source.revision,
        variables=bundles[0].config.variables,
        outputs=bundles[0].config.outputs,
        materials=materials,
    )


async def _pack(
    config: TerraformModuleConfig, source: FetchedSource, engine: Engine, context: BuildContext
) -> tuple[list[Bundle], tuple[Material, ...]]:
    own = current_platform()
    locked = await asyncio.to_thread(read_lock, source.folder)
    interface = await asyncio.to_thread(_interface, source.folder)
    async with _logins_for_modules(config, context) as logins:
        fetched = await initialise(source.folder, engine, own, {**context.env, **logins}, context.log)
    modules = await module_materials(fetched.modules, context.env)
    search = Search(source.folder, engine, context.env, context.http, locked, context.work / "providers", context.log)
    providers = {own: fetched.providers}
    # All of them before any is packed: the lock file in each has the hashes of all, and so the source is one layer.
    platforms = sorted({Platform.named(name) for name in config.platforms}, key=str) or [own]
    for platform in platforms:
        if platform != own:
            providers[platform] = await packages_for(platform, fetched.providers, search)
    packed = []
    for platform in platforms:
        foreign = platform != own and engine_travels(engine, config.bundle_engine)
        contents = Contents(
            source=source.folder,
            interface=interface,
            providers=providers[platform],
            engine=engine_for(platform, engine, context.env) if foreign else engine,
            bundle_engine=config.bundle_engine,
            platform=platform,
            revision=source.revision,
            created=source.created or UNDATED,
        )
        packed.append((await asyncio.to_thread(pack, contents, context.work, context.store), providers[platform]))
    return [bundle for bundle, _ in packed], bundle_materials(packed, engine, modules)


@asynccontextmanager
async def _logins_for_modules(config: TerraformModuleConfig, context: BuildContext) -> AsyncIterator[Mapping[str, str]]:
    """Modules of the source's own host are read with the source's login: private ones are mostly kept side by side."""
    login = context.git_login(config.source)
    if config.source.git is None or login is None:
        yield {}
        return
    async with signed_in_to_host(config.source.git, context.work, login) as variables:
        yield variables


def _interface(folder: Path) -> ModuleInterface:
    if not has_configuration(folder):
        raise NotAModuleError("the source has no .tf or .tf.json files")
    return interface_of(read_blocks(folder))


async def _push(context: BuildContext, bundles: list[Bundle], source: FetchedSource) -> Manifest:
    """Blobs first. The tag keeps the manifest from being cleaned up; everything else goes by digest."""
    client, repository = context.target, context.repository
    pushed = set[str]()
    for bundle in bundles:
        await push_bytes(client, repository, bundle.config.blob())
        for layer in bundle.layers:
            if layer.entry.digest not in pushed:
                await push_file(client, repository, layer.path, layer.entry.digest, layer.entry.size)
                pushed.add(layer.entry.digest)
    made = Manifest(bundles[0].manifest, IMAGE_MANIFEST, bundles[0].digest)
    if len(bundles) > 1:
        for bundle in bundles:
            await client.put_manifest(repository, bundle.digest, bundle.manifest, IMAGE_MANIFEST)
        manifests = [(bundle.config.platform, bundle.manifest) for bundle in bundles]
        index = index_bytes(manifests, created=source.created or UNDATED, revision=source.revision)
        made = Manifest(index, IMAGE_INDEX, digest_of(index))
    await client.put_manifest(repository, context.tag, made.data, made.media_type)
    return made
