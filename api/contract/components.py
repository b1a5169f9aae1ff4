"""The configs of a component, one model for each kind, and the sources that they are built from.

The union is whole from the start: the IMS stores every kind. A kind that the build agent can't build yet fails its build with
the code `not_built_yet`.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from api.contract.base import Digest, Model, Name, Timestamp


class PathSource(Model):
    """A folder that the build agent can read.

    `digest`, where given, is the folder's content hash (`source_digest` of the provider). It, not the path, then decides
    whether the config has changed: two checkouts of one repository are the same source.
    """

    path: str = Field(min_length=1, description="The folder's path. Relative paths start at the folder of `terraform`.")
    digest: Digest | None = Field(default=None, description="The folder's content hash, computed by whoever sends the config.")


class GitSource(Model):
    """A git repository at a ref. The build records the commit."""

    url: str = Field(min_length=1, description="What `git clone` takes: https, ssh or a local path.")
    ref: str = Field(default="HEAD", min_length=1, description="A branch, a tag or a commit.")
    subdirectory: str = Field(default="", description="The folder inside the repository.")

    @model_validator(mode="after")
    def _no_options(self) -> "GitSource":
        # git would take a leading dash for an option.
        for value in (self.url, self.ref, self.subdirectory):
            if value.startswith("-"):
                raise ValueError(f"{value!r} begins with a dash")
        if ".." in self.subdirectory.split("/") or self.subdirectory.startswith("/"):
            raise ValueError(f"subdirectory {self.subdirectory!r} leaves the repository")
        return self


class Source(Model):
    """Where the files come from: exactly one of the two."""

    path: PathSource | None = None
    git: GitSource | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> "Source":
        if (self.path is None) == (self.git is None):
            raise ValueError("give exactly one of `path` and `git`")
        return self


EngineLayer = Literal["auto", "always", "never"]


class TerraformModuleConfig(Model):
    """A Terraform module, run by the install agent."""

    kind: Literal["terraform_module"] = "terraform_module"
    source: Source = Field(description="The module's folder.")
    variables: dict[str, str] = Field(
        default_factory=dict,
        description="Values for the module's variables. They may hold references, such as `{{ inputs.domain }}` or "
        "`{{ components.network.outputs.id }}`. Lists and maps are written as JSON.",
    )
    bundle_engine: EngineLayer = Field(
        default="auto",
        description="Whether the engine's binary travels in the bundle. `auto`: OpenTofu (MPL-2.0) does, Terraform (BUSL-1.1) "
        "doesn't and the install agent uses its own.",
    )


class PublicImage(Model):
    """An image that anyone may pull."""

    image_url: str
    tag: str


class EcrImage(Model):
    """An image in Amazon ECR, pulled with a role that trusts the build agent."""

    image_url: str
    tag: str
    region: str
    iam_role_arn: str


class GarImage(Model):
    """An image in Google Artifact Registry, pulled through workload identity federation."""

    image_url: str
    tag: str
    gcp_project_id: str
    region: str
    service_account_email: str | None = None
    workload_identity_provider: str | None = None


class AcrImage(Model):
    """An image in Azure Container Registry."""

    image_url: str
    tag: str
    registry_url: str
    tenant_id: str
    client_id: str
    client_secret_name: str | None = None
    client_certificate_name: str | None = None


class RegistryImage(Model):
    """An image in any other registry. The password is the name of a secret of the IMS, not the value."""

    image_url: str
    tag: str
    username: str | None = None
    password_secret: str | None = None


class ContainerImageConfig(Model):
    """An image that exists, copied as it is. Exactly one of the blocks."""

    kind: Literal["container_image"] = "container_image"
    public: PublicImage | None = None
    aws_ecr: EcrImage | None = None
    gcp_gar: GarImage | None = None
    azure_acr: AcrImage | None = None
    registry: RegistryImage | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> "ContainerImageConfig":
        blocks = (self.public, self.aws_ecr, self.gcp_gar, self.azure_acr, self.registry)
        if sum(block is not None for block in blocks) != 1:
            raise ValueError("give exactly one of `public`, `aws_ecr`, `gcp_gar`, `azure_acr` and `registry`")
        return self


class DockerBuildConfig(Model):
    """An image built from a Dockerfile."""

    kind: Literal["docker_build"] = "docker_build"
    source: Source
    dockerfile: str = "Dockerfile"
    target: str | None = None
    build_args: dict[str, str] = Field(default_factory=dict)
    platforms: list[str] = Field(default_factory=list)


class HelmRepository(Model):
    """A chart in a public or private chart repository."""

    repo_url: str
    chart: str
    version: str


class HelmChartConfig(Model):
    """A Helm chart, from source or from a repository."""

    kind: Literal["helm_chart"] = "helm_chart"
    source: Source | None = None
    helm_repo: HelmRepository | None = None
    release_name: Name | None = None
    namespace: str = "default"
    values: dict[str, str] = Field(default_factory=dict)
    values_files: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _exactly_one(self) -> "HelmChartConfig":
        if (self.source is None) == (self.helm_repo is None):
            raise ValueError("give exactly one of `source` and `helm_repo`")
        return self


class KubernetesManifestConfig(Model):
    """Kubernetes manifests: inline, or from files."""

    kind: Literal["kubernetes_manifest"] = "kubernetes_manifest"
    manifest: str | None = None
    source: Source | None = None
    namespace: str = "default"

    @model_validator(mode="after")
    def _exactly_one(self) -> "KubernetesManifestConfig":
        if (self.manifest is None) == (self.source is None):
            raise ValueError("give exactly one of `manifest` and `source`")
        return self


class CustomConfig(Model):
    """A command of the vendor's, run by the install agent where the customer's policy allows it."""

    kind: Literal["custom"] = "custom"
    source: Source
    command: list[str] = Field(min_length=1)
    environment: dict[str, str] = Field(default_factory=dict)


ComponentConfig = Annotated[
    TerraformModuleConfig
    | ContainerImageConfig
    | DockerBuildConfig
    | HelmChartConfig
    | KubernetesManifestConfig
    | CustomConfig,
    Field(discriminator="kind"),
]
ComponentKind = Literal["terraform_module", "container_image", "docker_build", "helm_chart", "kubernetes_manifest", "custom"]


class ComponentCreate(Model):
    """A new component of an app."""

    name: Name = Field(description="The component's name, unique in its app: `{{ components.NAME.outputs.X }}` refers to it.")
    config: ComponentConfig


class ComponentUpdate(Model):
    """A new config. The kind can't change."""

    config: ComponentConfig


class Component(Model):
    """A component with its newest config. `version` counts the configs, from 1."""

    id: str
    app_id: str
    name: str
    kind: ComponentKind
    version: int
    config: ComponentConfig
    created_at: Timestamp
    updated_at: Timestamp


def template_texts(config: ComponentConfig) -> dict[str, str]:
    """The texts of a config that may hold references, by their field: `{"variables.cidr": "{{ inputs.cidr }}"}`."""
    match config:
        case TerraformModuleConfig():
            return {f"variables.{name}": text for name, text in config.variables.items()}
        case HelmChartConfig():
            return {f"values.{name}": text for name, text in config.values.items()}
        case KubernetesManifestConfig():
            return {"manifest": config.manifest} if config.manifest else {}
        case CustomConfig():
            return {f"environment.{name}": text for name, text in config.environment.items()}
        case _:
            return {}
