"""Build a component of the kind `container_image`: the image itself, in the vendor's registry under the same digest."""

from agent.artifact.outputs import IMAGE_OUTPUTS, declared
from agent.build.builder import BuildContext, BuiltArtifact
from agent.build.container_image.access import Access, access_to
from agent.build.container_image.verification import check_signature
from agent.build.image_reference import ImageNameError, ImageReference
from agent.build.materials import image_material
from agent.build.mirror import mirror
from agent.failure import CodedError
from agent.oci.client import RegistryClient
from agent.oci.errors import AccessRefusedError, NotFoundError, TicketRefusedError
from agent.oci.token import Credential
from api.contract.components import ContainerImageConfig


class ImageRefusedError(CodedError):
    """The source registry doesn't let the build agent read the image."""

    code = "image_access_refused"


class ImageNotFoundError(CodedError):
    """The source registry has no such image."""

    code = "image_not_found"
    remedy = "Correct `image_url` or `tag`. Some registries answer like this too where the credential may not read the image."


async def build_container_image(config: ContainerImageConfig, context: BuildContext) -> BuiltArtifact:
    """Copy the image by the digest that its tag stands for now. Raises JobFailedError."""
    access = await access_to(config, context)
    image = _reference(access)

    async def renew() -> Credential | None:
        return (await access_to(config, context)).credential

    source = RegistryClient(image.url, access.credential, context.http, renew=renew)
    try:
        found = await source.get_manifest(image.repository, image.reference)
    except (TicketRefusedError, AccessRefusedError) as error:
        raise ImageRefusedError(str(error), remedy=access.remedy, field=access.blamed) from None
    except NotFoundError as error:
        raise ImageNotFoundError(str(error), field=f"{access.block}.image_url") from None
    if config.verify is not None:
        await check_signature(config.verify, source, image, found.digest, context)
    mirrored = await mirror(
        source, image, found, context.target, context.repository, platforms=config.platforms, tag=context.tag
    )
    context.log(f"{image} is {mirrored.digest}")
    return BuiltArtifact(
        digest=mirrored.digest,
        media_type=mirrored.media_type,
        artifact_type=mirrored.artifact_type,
        size=mirrored.size,
        revision=mirrored.digest,
        materials=(image_material(str(image), found.digest),),
        outputs=declared(IMAGE_OUTPUTS),
    )


def _reference(access: Access) -> ImageReference:
    separator = "@" if access.tag.startswith("sha256:") else ":"
    try:
        return ImageReference.parse(f"{access.image_url.removeprefix('https://')}{separator}{access.tag}")
    except ImageNameError as error:
        raise ImageNameError(str(error), field=f"{access.block}.image_url") from None
