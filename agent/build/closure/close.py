"""Close a component over its images (`closure`): each is mirrored into the component's own repository, or the build fails."""

from collections.abc import Iterable
from dataclasses import dataclass

from agent.artifact.manifest import Images
from agent.build.builder import BuildContext
from agent.build.closure.found_images import FoundImage, by_name
from agent.build.image_reference import ImageNameError, ImageReference
from agent.build.mirror import Mirrored, mirror
from agent.build.named_images import registry_of
from agent.failure import CodedError
from agent.oci.client import RegistryClient
from agent.oci.errors import RegistryError, RegistryUnavailableError
from agent.oci.manifest import Manifest


class NotClosedError(CodedError):
    """`closure`: an install would need something from elsewhere. The message has file, line and reference of each."""

    code = "not_closed"
    remedy = (
        "Correct the reference; let the build agent log in (`docker login` on its machine, as its user), or make a private one "
        "a container_image component and refer to it; or set `closure` to off, and see to it that every install can pull it."
    )


@dataclass(frozen=True)
class Closed:
    """The map of images, and the mirrored manifests to list in the artifact's index."""

    images: Images
    parts: list[Mirrored]


async def close(found: Iterable[FoundImage], context: BuildContext, field: str) -> Closed:
    """Mirror every image that isn't a component of the app itself. `field` of the config says where they were found.

    All are looked up before the first is copied, so that one error names all that is wrong. Raises NotClosedError, and
    RegistryUnavailableError, after which the job may be tried again.
    """
    wanted = [image for image in by_name(found).values() if not image.own]
    looked_up = [(image, await _look_up(image, context)) for image in wanted]
    leaks = [looked for _, looked in looked_up if isinstance(looked, str)]
    if leaks:
        raise NotClosedError("an install would need what it can't have: " + "; ".join(leaks), field=field)
    images: Images = {}
    parts: list[Mirrored] = []
    for image, looked in looked_up:
        assert not isinstance(looked, str)
        mirrored = await mirror(looked.client, looked.image, looked.manifest, context.target, context.repository)
        context.log(f"{image.file}:{image.line}: {image.name} is {mirrored.digest}")
        images[image.name] = mirrored.digest
        parts.append(mirrored)
    return Closed(images, parts)


@dataclass(frozen=True)
class _LookedUp:
    client: RegistryClient
    image: ImageReference
    manifest: Manifest


async def _look_up(found: FoundImage, context: BuildContext) -> "_LookedUp | str":
    """Where the image is; or, in words, with file, line and reference, why it can't be had."""
    if found.unknown:
        return f"{found} depends on a value that only the deploy knows"
    try:
        image = ImageReference.parse(found.name)
    except ImageNameError:
        return f"{found} is not the name of an image"
    client = await registry_of(image, context)
    try:
        return _LookedUp(client, image, await client.get_manifest(image.repository, image.reference))
    except RegistryUnavailableError as error:
        if found.sure:
            raise RegistryUnavailableError(f"{found}: {error}") from None
        return f"{found} can't be had: {error}"
    except RegistryError as error:
        return f"{found} can't be had: {error}"
