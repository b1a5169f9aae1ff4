"""How images are reached that a component names without saying how: in charts, manifests, plugins and Dockerfiles."""

import asyncio
from collections.abc import Sequence
from itertools import takewhile

from agent.build.builder import BuildContext
from agent.build.container_image.access import Access, access_to
from agent.build.image_reference import ImageNameError, ImageReference
from agent.build.registry_logins import login_for
from agent.failure import JobFailedError
from agent.oci.client import RegistryClient
from api.contract.components import ContainerImageConfig


async def registry_of(image: ImageReference, context: BuildContext) -> RegistryClient:
    """Its registry, with this machine's login for it, else with that of another component of the app that has one there.

    Raises LoginsWrongError, CloudAccessError, SecretMissingError.
    """
    credential = await asyncio.to_thread(login_for, image, context.env)
    if credential is None and (nearest := nearest_to(image, context.images)) is not None:
        access = await _access(nearest, image, context)
        context.log(f"{image} is pulled with the login of the component that copies {access.image_url}")
        credential = access.credential
    return RegistryClient(image.url, credential, context.http)


async def _access(config: ContainerImageConfig, image: ImageReference, context: BuildContext) -> Access:
    try:
        return await access_to(config, context)
    except JobFailedError as error:  # its field is one of another component
        message = f"{image}: {_url_of(config)} is a component with a login for the same registry, but: {error}"
        raise JobFailedError(error.failure.model_copy(update={"message": message, "field": None})) from None


def nearest_to(image: ImageReference, components: Sequence[ContainerImageConfig]) -> ContainerImageConfig | None:
    """The component of the same registry, never another, whose path has most in common with the image's.

    Where a registry is many people's, that is the first part of the path at least, such as `acme` of `ghcr.io/acme`: a login
    mustn't spoil what anybody may pull. Amazon's and Azure's registries have one owner each.
    """
    found: list[tuple[int, ContainerImageConfig]] = []
    for config in components:
        try:
            theirs = ImageReference.parse(_url_of(config))
        except ImageNameError:
            continue
        shared = _shared(theirs.repository, image.repository)
        if theirs.url == image.url and (shared or config.aws_ecr or config.azure_acr):
            found.append((shared, config))
    return max(found, key=lambda each: each[0])[1] if found else None


def _url_of(config: ContainerImageConfig) -> str:
    block = config.public or config.aws_ecr or config.gcp_gar or config.azure_acr or config.registry
    return block.image_url if block else ""


def _shared(one: str, other: str) -> int:
    """How many parts of two paths are the same, from the first on."""
    same = takewhile(lambda parts: parts[0] == parts[1], zip(one.split("/"), other.split("/"), strict=False))
    return len(list(same))
