"""Build a component of the kind `docker_build`: an image for each platform, from bases that were resolved beforehand."""

import asyncio
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agent.artifact.outputs import IMAGE_OUTPUTS, declared
from agent.build.builder import BuildContext, BuiltArtifact
from agent.build.closure.close import NotClosedError
from agent.build.docker_build.builder_folder import builder_folder
from agent.build.docker_build.builders import Order, build_image
from agent.build.docker_build.dockerfile import Base, Dockerfile, DockerfileError, read_dockerfile
from agent.build.docker_build.layout import push_layout, write_layout
from agent.build.image_reference import ImageNameError, ImageReference
from agent.build.materials import image_materials
from agent.build.mirror import PlatformMissingError, single
from agent.build.named_images import registry_of
from agent.build.source import FetchedSource
from agent.bundle.platform import current_platform
from agent.failure import CodedError, JobFailedError
from agent.oci.client import RegistryClient
from agent.oci.digest import digest_of
from agent.oci.errors import RegistryError, RegistryUnavailableError
from agent.oci.manifest import IMAGE_INDEX, Manifest, canonical_json
from api.contract.components import DockerBuildConfig

_BASE = "org.opencontainers.image.base"
_MOST_DOCKERFILE = 1024 * 1024


class DockerfileMissingError(CodedError):
    """The source has no such Dockerfile."""

    code = "dockerfile_not_found"
    remedy = "Write its path inside the source's folder."


@dataclass(frozen=True)
class _Resolved:
    """A base with the manifest that its tag stands for now: of one platform, or an index."""

    base: Base
    image: ImageReference
    client: RegistryClient
    manifest: Manifest


async def build_docker_build(config: DockerBuildConfig, context: BuildContext) -> BuiltArtifact:
    """Resolve the bases, build for each platform, push. Raises JobFailedError."""
    secrets = {mount: context.secret(name, f"config.secrets.{mount}") for mount, name in config.secrets.items()}
    source = await context.fetch(config.source)
    dockerfile = await asyncio.to_thread(_read, config, source.folder)
    resolved = await _resolve(dockerfile, config, context)
    platforms = config.platforms or [str(current_platform()).replace("_", "/")]
    images = [await _build(config, source, dockerfile, resolved, platform, secrets, context) for platform in platforms]
    if len(images) == 1:
        manifest, size = images[0]
    else:
        manifest, size = _index(images, platforms)
    await context.target.put_manifest(context.repository, context.tag, manifest.data, manifest.media_type)
    config_blob = manifest.body().config
    return BuiltArtifact(
        digest=manifest.digest,
        media_type=manifest.media_type,
        artifact_type=config_blob.media_type if config_blob else manifest.media_type,
        size=size,
        revision=source.revision,
        materials=image_materials({name: base.manifest.digest for name, base in resolved.items()}),
        outputs=declared(IMAGE_OUTPUTS),
    )


def _read(config: DockerBuildConfig, folder: Path) -> Dockerfile:
    path = (folder / config.dockerfile).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file() or path.stat().st_size > _MOST_DOCKERFILE:
        raise DockerfileMissingError(f"the source has no Dockerfile {config.dockerfile!r}", field="config.dockerfile")
    try:
        return read_dockerfile(path.read_text(), config.build_args, config.target)
    except UnicodeDecodeError:
        raise DockerfileError(f"{config.dockerfile} isn't UTF-8", field="config.dockerfile") from None
    except DockerfileError as error:
        update = {"message": f"{config.dockerfile}: {error}", "field": error.failure.field or "config.dockerfile"}
        raise JobFailedError(error.failure.model_copy(update=update)) from None


async def _resolve(dockerfile: Dockerfile, config: DockerBuildConfig, context: BuildContext) -> dict[str, _Resolved]:
    """What each base's tag stands for now, by its name. All leaks are told at once (`closure`)."""
    resolved: dict[str, _Resolved] = {}
    leaks: list[str] = []
    for base in dockerfile.bases:
        at = f"{config.dockerfile}:{base.line}: {base.image}"
        try:
            image = ImageReference.parse(base.image)
            client = await registry_of(image, context)
            manifest = await client.get_manifest(image.repository, image.reference)
        except ImageNameError:
            leaks.append(f"{at} is neither a stage nor the name of an image")
        except RegistryUnavailableError as error:
            raise RegistryUnavailableError(f"{at}: {error}", field="config.dockerfile") from None
        except RegistryError as error:
            leaks.append(f"{at} can't be had: {error}")
        else:
            context.log(f"{at} is {manifest.digest}")
            resolved[base.image] = _Resolved(base, image, client, manifest)
    if leaks:
        raise NotClosedError(
            "the build needs what it can't have: " + "; ".join(leaks),
            remedy="Correct the reference; or let the build agent log in: `docker login` on its machine, as its user.",
            field="config.dockerfile",
        )
    return resolved


async def _build(
    config: DockerBuildConfig,
    source: FetchedSource,
    dockerfile: Dockerfile,
    resolved: dict[str, _Resolved],
    platform: str,
    secrets: dict[str, str],
    context: BuildContext,
) -> tuple[Manifest, int]:
    """One platform's image, pushed, and its size."""
    names = {image: f"localhost/exclave-base:{number}" for number, image in enumerate(sorted(resolved))}
    annotations: dict[str, str] = {}
    async with builder_folder() as folder:
        bases: dict[str, Path] = {}
        for image, base in resolved.items():
            try:
                one = await single(base.client, base.image, base.manifest, platform)
            except PlatformMissingError as error:
                raise PlatformMissingError(
                    f"{config.dockerfile}:{base.base.line}: {error}", remedy=error.failure.remedy, field="config.platforms"
                ) from None
            bases[names[image]] = folder / f"base-{len(bases)}"
            await write_layout(base.client, base.image.repository, one, bases[names[image]])
            if image == dockerfile.final:
                annotations = {f"{_BASE}.name": str(base.image), f"{_BASE}.digest": one.digest}
        await asyncio.to_thread(shutil.copytree, source.folder, folder / "context", symlinks=True)
        (folder / "Dockerfile").write_text(dockerfile.rewritten(lambda image: names.get(image, image)))
        (folder / "secrets").mkdir(mode=0o700)
        for number, value in enumerate(secrets.values()):
            (folder / "secrets" / str(number)).write_text(value)
        order = Order(
            folder=folder,
            context=folder / "context",
            dockerfile=folder / "Dockerfile",
            bases=bases,
            out=folder / "out",
            platform=platform,
            timestamp=int(datetime.fromisoformat(source.created).timestamp()) if source.created else 0,
            target=config.target,
            build_args=config.build_args,
            annotations=annotations,
            secrets={mount: folder / "secrets" / str(number) for number, mount in enumerate(secrets)},
        )
        await build_image(order, context)
        return await push_layout(order.out, context)


def _index(images: list[tuple[Manifest, int]], platforms: list[str]) -> tuple[Manifest, int]:
    entries = []
    for (manifest, _), platform in zip(images, platforms, strict=True):
        os, architecture, *variant = platform.split("/")
        names = {"os": os, "architecture": architecture, **({"variant": variant[0]} if variant else {})}
        entries.append({"mediaType": manifest.media_type, "digest": manifest.digest, "size": manifest.size, "platform": names})
    data = canonical_json({"schemaVersion": 2, "mediaType": IMAGE_INDEX, "manifests": entries})
    return Manifest(data, IMAGE_INDEX, digest_of(data)), len(data) + sum(size for _, size in images)
