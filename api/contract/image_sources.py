"""Where an image is that a component copies: one model for each kind of registry; and who must have signed it."""

from typing import Annotated

from pydantic import Field

from api.contract.base import Model, Name, OneOf

ImageUrl = Annotated[
    str,
    Field(
        min_length=1,
        description="The image's repository with its registry, without a tag: `docker.io/library/nginx`.",
    ),
]
Tag = Annotated[str, Field(min_length=1, description="The tag or digest to copy. A build resolves a tag to its digest.")]
Platforms = Annotated[
    list[str],
    Field(description="The platforms to take, such as `linux/amd64` and `linux/arm64`. Left out: all that there are."),
]


class PublicImage(Model):
    """An image that anyone may pull."""

    image_url: ImageUrl
    tag: Tag


class EcrImage(Model):
    """An image in Amazon ECR, pulled with a role that trusts the build agent (see `modules/ecr-access`)."""

    image_url: ImageUrl
    tag: Tag
    region: str = Field(min_length=1, description="The AWS region of the registry, such as `eu-west-1`.")
    iam_role_arn: str = Field(min_length=1, description="The ARN of the role that the build agent assumes to pull.")
    external_id: str | None = Field(
        default=None, description="The external id that the role's trust policy asks for, against a confused deputy."
    )


class GarImage(Model):
    """An image in Google Artifact Registry, pulled through workload identity federation (see `modules/gar-access`)."""

    image_url: ImageUrl
    tag: Tag
    gcp_project_id: str = Field(min_length=1, description="The id of the Google Cloud project that has the registry.")
    region: str = Field(min_length=1, description="The registry's location, such as `europe-west1` or `eu`.")
    service_account_email: str | None = Field(
        default=None, description="The service account that the build agent impersonates to pull."
    )
    workload_identity_provider: str | None = Field(
        default=None,
        description="The full name of the workload identity provider, for a build agent outside Google Cloud: "
        "`projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER`.",
    )


class AcrImage(Model):
    """An image in Azure Container Registry, pulled by a service principal."""

    image_url: ImageUrl
    tag: Tag
    registry_url: str = Field(min_length=1, description="The registry's login server, such as `acme.azurecr.io`.")
    tenant_id: str = Field(min_length=1, description="The id of the Microsoft Entra tenant.")
    client_id: str = Field(min_length=1, description="The application id of the service principal.")
    client_secret_name: Name | None = Field(
        default=None, description="The name of the secret of the IMS (`exclave_secret`) that holds the client's secret."
    )
    client_certificate_name: Name | None = Field(
        default=None, description="The name of the secret of the IMS that holds the client's certificate and key, as PEM."
    )


class RegistryImage(Model):
    """An image in any other registry: GHCR, Docker Hub, Quay, Harbor."""

    image_url: ImageUrl
    tag: Tag
    username: str | None = Field(default=None, description="Who pulls; left out, anyone may.")
    password_secret: Name | None = Field(
        default=None, description="The name of the secret of the IMS (`exclave_secret`) that holds the password or token."
    )


class ImageVerification(OneOf):
    """Who must have signed the image: cosign's signatures with a key (`cosign sign --key`). Keyless ones aren't read."""

    exactly_one_of = ("key", "key_secret")

    key: str | None = Field(
        default=None,
        min_length=1,
        description="The public key as PEM, such as `cosign.pub`: an ECDSA key.",
    )
    key_secret: Name | None = Field(
        default=None, description="The name of the secret of the IMS (`exclave_secret`) that holds the public key, as PEM."
    )
