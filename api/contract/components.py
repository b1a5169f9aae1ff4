"""The configs of a component, one model for each kind, and the sources that they are built from."""

import re
from typing import Annotated, Literal

from pydantic import Field, model_validator

from api.contract.base import Digest, Model, Name, OneOf, Timestamp
from api.contract.image_sources import AcrImage, EcrImage, GarImage, ImageVerification, Platforms, PublicImage, RegistryImage
from api.contract.probes import Probe, Probes, probe_texts


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
    username: str | None = Field(
        default=None, min_length=1, description="Who reads it by https. Left out, `git`: services that take tokens ignore it."
    )
    password_secret: Name | None = Field(
        default=None,
        description="The name of the secret of the IMS (`exclave_secret`) that holds the password or token, for https.",
    )
    ssh_key_secret: Name | None = Field(
        default=None, description="The name of the secret of the IMS that holds a private key (OpenSSH or PEM), for ssh."
    )

    @model_validator(mode="after")
    def _fitting_login(self) -> "GitSource":
        if self.password_secret and not self.url.startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
            raise ValueError("`password_secret` is for an https:// address; for ssh give `ssh_key_secret`")
        if self.ssh_key_secret and "://" in self.url and not self.url.startswith(("ssh://", "git+ssh://")):
            raise ValueError("`ssh_key_secret` is for an address of ssh; for https give `password_secret`")
        if self.username and not self.password_secret:
            raise ValueError("`username` goes with `password_secret`; for ssh write it into the address")
        return self

    @model_validator(mode="after")
    def _no_options(self) -> "GitSource":
        # git would take a leading dash for an option.
        for value in (self.url, self.ref, self.subdirectory):
            if value.startswith("-"):
                raise ValueError(f"{value!r} begins with a dash")
        if ".." in self.subdirectory.split("/") or self.subdirectory.startswith("/"):
            raise ValueError(f"subdirectory {self.subdirectory!r} leaves the repository")
        return self


class Source(OneOf):
    """Where the files come from: exactly one of the two."""

    exactly_one_of = ("path", "git")

    path: PathSource | None = Field(default=None, description="A folder that the build agent can read.")
    git: GitSource | None = Field(default=None, description="A folder of a git repository.")


EngineLayer = Literal["auto", "always", "never"]
_PLATFORM = re.compile(r"[a-z0-9]+/[a-z0-9]+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OF_THE_AGENT = ("TF_", "LD_", "EXCLAVE_")
"""What the agent, the engine and the system's loader are told by is not the vendor's to set."""


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
    platforms: list[str] = Field(
        default_factory=list,
        description="The platforms of the install agents, such as `linux/amd64` and `linux/arm64`: each gets the providers of "
        "its own. Left out: the build agent's own platform.",
    )
    var_files: list[str] = Field(
        default_factory=list,
        description="Files of variables (`.tfvars`, `.tfvars.json`) in the source's folder; a later one wins over an earlier "
        "one, and `variables` over all.",
    )
    environment: dict[str, str] = Field(
        default_factory=dict,
        description="Variables of the engine's environment, for providers that take settings there. They may hold references, "
        "such as `{{ inputs.region }}`. What the install agent's own environment has, wins.",
    )
    parallelism: int | None = Field(
        default=None, ge=1, le=256, description="How many objects are worked on at once. Left out: the engine's own number, 10."
    )
    timeout: int | None = Field(
        default=None,
        ge=1,
        le=86400,
        description="How long a plan, an apply or a destroy may take, in seconds; it is then stopped as by Ctrl-C. Left out: "
        "an hour for a plan, six for the others.",
    )
    probes: Probes = Field(default_factory=dict)

    @model_validator(mode="after")
    def _known_platforms(self) -> "TerraformModuleConfig":
        for name in self.platforms:
            if not _PLATFORM.fullmatch(name):
                raise ValueError(f"platforms: {name!r} isn't an operating system and an architecture, such as linux/arm64")
        return self

    @model_validator(mode="after")
    def _safe_settings(self) -> "TerraformModuleConfig":
        for path in self.var_files:
            if not path or path.startswith(("/", "-")) or ".." in path.split("/"):
                raise ValueError(f"var_files: {path!r} isn't a path in the source's folder")
        for name in self.environment:
            if not _VARIABLE.fullmatch(name) or name.startswith(_OF_THE_AGENT):
                raise ValueError(
                    f"environment: {name!r} can't be set; a name has letters, digits and _, and doesn't begin with "
                    f"{', '.join(_OF_THE_AGENT)}"
                )
        return self


class ContainerImageConfig(OneOf):
    """An image that exists, copied as it is, byte for byte."""

    exactly_one_of = ("public", "aws_ecr", "gcp_gar", "azure_acr", "registry")

    kind: Literal["container_image"] = "container_image"
    public: PublicImage | None = Field(default=None, description="An image that anyone may pull.")
    aws_ecr: EcrImage | None = Field(default=None, description="An image in Amazon ECR.")
    gcp_gar: GarImage | None = Field(default=None, description="An image in Google Artifact Registry.")
    azure_acr: AcrImage | None = Field(default=None, description="An image in Azure Container Registry.")
    registry: RegistryImage | None = Field(default=None, description="An image in any other registry, with or without a login.")
    platforms: Platforms = Field(default_factory=list)
    verify: ImageVerification | None = Field(
        default=None,
        description="Who must have signed the image in its source registry: without a good signature of that digest the build "
        "fails. Left out: anybody, or nobody.",
    )


class DockerBuildConfig(Model):
    """An image built from a Dockerfile."""

    kind: Literal["docker_build"] = "docker_build"
    source: Source = Field(description="The folder that is the build's context.")
    dockerfile: str = Field(default="Dockerfile", min_length=1, description="The Dockerfile's path in the folder.")
    target: str | None = Field(default=None, description="The stage to build; left out, the last one.")
    build_args: dict[str, str] = Field(default_factory=dict, description="Values for the Dockerfile's `ARG`s. Not for secrets.")
    secrets: dict[str, Name] = Field(
        default_factory=dict,
        description="Secrets for `RUN --mount=type=secret,id=ID`: by id, the name of a secret of the IMS (`exclave_secret`).",
    )
    platforms: list[str] = Field(
        default_factory=list, description="The platforms to build for, such as `linux/amd64`. Left out: the build agent's own."
    )


Closure = Annotated[
    Literal["strict", "off"],
    Field(
        description="Whether every image that is named travels with the artifact. `strict`: each is found at the build and "
        "mirrored, and one that can't be fails the build. `off`: an install may pull from elsewhere.",
    ),
]


class HelmRepository(Model):
    """A chart in a chart repository."""

    repo_url: str = Field(
        min_length=1, description="The repository's URL: `https://…` of an index, or `oci://…` of a registry."
    )
    chart: str = Field(min_length=1, description="The chart's name in the repository.")
    version: str = Field(min_length=1, description="The chart's exact version.")


class HelmChartConfig(OneOf):
    """A Helm chart, from source or from a repository."""

    exactly_one_of = ("source", "helm_repo")

    kind: Literal["helm_chart"] = "helm_chart"
    source: Source | None = Field(default=None, description="The chart's folder.")
    helm_repo: HelmRepository | None = Field(default=None, description="A chart of a repository, instead of a folder.")
    release_name: Name | None = Field(default=None, description="The Helm release's name; left out, the component's.")
    namespace: str = Field(default="default", min_length=1, description="The namespace to install into.")
    values: dict[str, str] = Field(
        default_factory=dict,
        description="Chart values by dotted path, such as `image.tag`; they win over the files. They may hold references, such "
        "as `{{ inputs.domain }}`.",
    )
    values_files: list[str] = Field(
        default_factory=list, description="Values files in the source's folder; a later one wins over an earlier one."
    )
    create_namespace: bool = Field(default=True, description="Whether the namespace is made where there is none.")
    skip_crds: bool = Field(
        default=False,
        description="Whether the first install leaves out what the chart has in `crds/`. Helm never updates these.",
    )
    take_ownership: bool = Field(
        default=False, description="Whether objects that are there already, of nobody or of another release, become this one's."
    )
    wait: bool = Field(default=True, description="Whether an apply waits until everything that the chart runs is ready.")
    atomic: bool = Field(
        default=False,
        description="Whether an apply that fails is rolled back: an upgrade to what ran before, an install to nothing.",
    )
    timeout: int = Field(
        default=600, ge=1, le=21_600, description="How long each operation, such as waiting or one hook, may take, in seconds."
    )
    bundle_helm: bool = Field(
        default=False,
        description="Whether the build agent's helm rides in the artifact (some 60 MB). It then deploys the chart wherever the "
        "install agent is of the same platform, and its customer names no helm of their own.",
        exclude_if=lambda bundle: not bundle,
    )
    closure: Closure = "strict"
    probes: Probes = Field(default_factory=dict)


class KubernetesManifestConfig(OneOf):
    """Kubernetes manifests: inline, or from files."""

    exactly_one_of = ("manifest", "source")

    kind: Literal["kubernetes_manifest"] = "kubernetes_manifest"
    manifest: str | None = Field(
        default=None,
        description="The manifests as YAML, instead of files. They may hold references, such as `{{ inputs.domain }}`.",
    )
    source: Source | None = Field(default=None, description="The folder with the manifests.")
    kustomize: bool = Field(default=False, description="Whether the folder is a kustomization rather than plain manifests.")
    namespace: str = Field(default="default", min_length=1, description="The namespace of what names none.")
    force_conflicts: bool = Field(
        default=False, description="Whether fields that another field manager owns are taken over, rather than an error."
    )
    wait: bool = Field(default=True, description="Whether an apply waits until everything is ready.")
    timeout: int = Field(
        default=600, ge=1, le=21_600, description="How long to wait until everything is ready, or gone, in seconds."
    )
    closure: Closure = "strict"
    probes: Probes = Field(default_factory=dict)

    @model_validator(mode="after")
    def _files_to_kustomize(self) -> "KubernetesManifestConfig":
        if self.kustomize and self.source is None:
            raise ValueError("`kustomize` needs files: `path` or `git`, not `manifest`")
        return self


class CustomConfig(Model):
    """A command of the vendor's, run by the install agent where the customer's policy allows it."""

    kind: Literal["custom"] = "custom"
    source: Source = Field(description="The folder with the command and its files.")
    command: list[str] = Field(
        min_length=1, description="The program and its arguments, run in the folder. A path begins with `./`."
    )
    interface: Literal["command", "json", "python"] = Field(
        default="command",
        description="How it is spoken to. `command`: it is run as it is. `json`: it is a plugin, which takes and gives JSON. "
        "`python`: `command` names a plugin that is installed beside the agents, by its entry point.",
    )
    environment: dict[str, str] = Field(
        default_factory=dict,
        description="Variables of the command's environment. They may hold references, such as `{{ inputs.domain }}`.",
    )
    probes: Probes = Field(default_factory=dict)


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

IMAGE_KINDS: tuple[ComponentKind, ...] = ("container_image", "docker_build")
"""Kinds whose artifact is an image: others refer to either in the same way, so one can become the other."""


class ComponentCreate(Model):
    """A new component of an app."""

    name: Name = Field(description="The component's name, unique in its app: `{{ components.NAME.outputs.X }}` refers to it.")
    config: ComponentConfig


class ComponentUpdate(Model):
    """A new config. The kind stays, or changes among IMAGE_KINDS."""

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
            texts = {
                **{f"variables.{name}": text for name, text in config.variables.items()},
                **{f"environment.{name}": text for name, text in config.environment.items()},
            }
        case HelmChartConfig():
            texts = {f"values.{name}": text for name, text in config.values.items()}
        case KubernetesManifestConfig():
            texts = {"manifest": config.manifest} if config.manifest else {}
        case CustomConfig():
            texts = {f"environment.{name}": text for name, text in config.environment.items()}
        case _:
            texts = {}
    return texts | probe_texts(probes_of(config))


def probes_of(config: ComponentConfig) -> dict[str, Probe]:
    """The probes of a config. Images have none: nothing of theirs runs."""
    return {} if isinstance(config, ContainerImageConfig | DockerBuildConfig) else config.probes


def secret_texts(config: ComponentConfig) -> dict[str, str]:
    """The names of secrets that a config gives as such, rather than in references, by their field."""
    return _own_secret_texts(config) | _git_secret_texts(getattr(config, "source", None))


def _git_secret_texts(source: Source | None) -> dict[str, str]:
    if source is None or source.git is None:
        return {}
    names = {"password_secret": source.git.password_secret, "ssh_key_secret": source.git.ssh_key_secret}
    return {f"source.git.{field}": name for field, name in names.items() if name}


def _own_secret_texts(config: ComponentConfig) -> dict[str, str]:
    if isinstance(config, ContainerImageConfig):
        return _image_secret_texts(config)
    match config:
        case DockerBuildConfig():
            return {f"secrets.{mount}": name for mount, name in config.secrets.items()}
        case _:
            return {}


def _image_secret_texts(config: ContainerImageConfig) -> dict[str, str]:
    acr, registry, verify = config.azure_acr, config.registry, config.verify
    names = {
        "registry.password_secret": registry and registry.password_secret,
        "azure_acr.client_secret_name": acr and acr.client_secret_name,
        "azure_acr.client_certificate_name": acr and acr.client_certificate_name,
        "verify.key_secret": verify and verify.key_secret,
    }
    return {field: name for field, name in names.items() if name}
