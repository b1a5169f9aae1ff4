"""With what an image is pulled: one credential for each of the config's five blocks."""

import asyncio
from dataclasses import dataclass, field

from agent.build.builder import BuildContext
from agent.build.container_image.azure import acr_credential
from agent.build.container_image.ecr import ecr_credential
from agent.build.container_image.gar import gar_credential
from agent.oci.token import Credential
from api.contract.components import ContainerImageConfig
from api.contract.image_sources import RegistryImage


@dataclass(frozen=True)
class Access:
    """How to reach an image. `block` is the config's block that says so.

    If the registry refuses the credential, `blamed` is the field at fault, and `remedy` what to do.
    """

    image_url: str
    tag: str
    block: str
    blamed: str
    remedy: str
    credential: Credential | None = field(default=None, repr=False)


async def access_to(config: ContainerImageConfig, context: BuildContext) -> Access:
    """The image and its credential. Raises CloudAccessError, SecretMissingError."""
    if (ecr := config.aws_ecr) is not None:
        remedy = "Give the role the right to pull this repository: `repository_arns` of the module ecr-access."
        credential = await asyncio.to_thread(ecr_credential, ecr)
        return Access(ecr.image_url, ecr.tag, "config.aws_ecr", "config.aws_ecr.iam_role_arn", remedy, credential)
    if (gar := config.gcp_gar) is not None:
        remedy = "Give the service account the right to read this repository: `repository_ids` of the module gar-access."
        credential = await asyncio.to_thread(gar_credential, gar)
        return Access(gar.image_url, gar.tag, "config.gcp_gar", "config.gcp_gar.service_account_email", remedy, credential)
    if (acr := config.azure_acr) is not None:
        remedy = "Give the service principal the role AcrPull on the registry, and check its secret or certificate."
        credential = await acr_credential(acr, context)
        return Access(acr.image_url, acr.tag, "config.azure_acr", "config.azure_acr.client_id", remedy, credential)
    if (registry := config.registry) is not None:
        remedy = "Check the user name, and the value of the secret that `password_secret` names."
        login = _login(registry, context)
        return Access(registry.image_url, registry.tag, "config.registry", "config.registry.password_secret", remedy, login)
    assert config.public is not None
    remedy = "Anyone may read a public image; for this one use the block `registry` with a user name and a password."
    return Access(config.public.image_url, config.public.tag, "config.public", "config.public.image_url", remedy)


def _login(registry: RegistryImage, context: BuildContext) -> Credential | None:
    if registry.password_secret is None:
        return None
    password = context.secret(registry.password_secret, "config.registry.password_secret")
    # Registries that take tokens look at the user name at most to show it.
    return Credential(registry.username or "token", password)
