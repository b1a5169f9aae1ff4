"""The provider's resources and data sources, typed.

Generated from provider_bridge/resources/schema.json by `python -m api.contract.cdktn_bindings`. Don't edit.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Required, TypedDict, Unpack

from constructs import Construct

from exclave_cdktn.elements import DataSource, EphemeralMeta, EphemeralResource, Meta, Provider, Resource
from exclave_cdktn.library import cdk

__all__ = [
    "DataExclaveAgent",
    "DataExclaveAgentEnrollment",
    "DataExclaveAgents",
    "DataExclaveApp",
    "DataExclaveApps",
    "DataExclaveBuild",
    "DataExclaveBuilds",
    "DataExclaveComponents",
    "DataExclaveContainerImageComponent",
    "DataExclaveCustomComponent",
    "DataExclaveDeployment",
    "DataExclaveDeployments",
    "DataExclaveDockerBuildComponent",
    "DataExclaveHelmChartComponent",
    "DataExclaveInstall",
    "DataExclaveInstalls",
    "DataExclaveKubernetesManifestComponent",
    "DataExclaveRelease",
    "DataExclaveReleases",
    "DataExclaveSecret",
    "DataExclaveSecrets",
    "DataExclaveServiceToken",
    "DataExclaveServiceTokens",
    "DataExclaveTerraformModuleComponent",
    "DataExclaveWebhook",
    "DataExclaveWebhooks",
    "EphemeralExclaveAgentEnrollment",
    "ExclaveAgentEnrollment",
    "ExclaveApp",
    "ExclaveAppInputs",
    "ExclaveContainerImageComponent",
    "ExclaveContainerImageComponentAwsEcr",
    "ExclaveContainerImageComponentAzureAcr",
    "ExclaveContainerImageComponentGcpGar",
    "ExclaveContainerImageComponentPublic",
    "ExclaveContainerImageComponentRegistry",
    "ExclaveContainerImageComponentVerify",
    "ExclaveCustomComponent",
    "ExclaveCustomComponentGit",
    "ExclaveCustomComponentPath",
    "ExclaveCustomComponentProbes",
    "ExclaveDeployment",
    "ExclaveDeploymentTimeouts",
    "ExclaveDockerBuildComponent",
    "ExclaveDockerBuildComponentGit",
    "ExclaveDockerBuildComponentPath",
    "ExclaveHelmChartComponent",
    "ExclaveHelmChartComponentGit",
    "ExclaveHelmChartComponentHelmRepo",
    "ExclaveHelmChartComponentPath",
    "ExclaveHelmChartComponentProbes",
    "ExclaveInstall",
    "ExclaveInstallTimeouts",
    "ExclaveKubernetesManifestComponent",
    "ExclaveKubernetesManifestComponentGit",
    "ExclaveKubernetesManifestComponentPath",
    "ExclaveKubernetesManifestComponentProbes",
    "ExclaveProvider",
    "ExclaveRelease",
    "ExclaveReleaseTimeouts",
    "ExclaveSecret",
    "ExclaveServiceToken",
    "ExclaveTerraformModuleComponent",
    "ExclaveTerraformModuleComponentGit",
    "ExclaveTerraformModuleComponentPath",
    "ExclaveTerraformModuleComponentProbes",
    "ExclaveWebhook",
]


class ExclaveAgentEnrollment(Resource):
    """A one-time token with which one agent enrols, written to a file. Where something in the same run takes the token, use
    the ephemeral resource of this name instead.
    """

    TYPE = "exclave_agent_enrollment"

    def __init__(
        self,
        construct_scope: Construct,
        construct_id: str,
        /,
        *,
        kind: str,
        token_file: str,
        install_id: str | None = None,
        **meta: Unpack[Meta],
    ) -> None:
        """Arguments as in HCL.

        Args:
            kind: `install`: an agent that deploys in one install's account. `build`: one that builds. One of build,
                install.
            token_file: A file to write the token to, with mode 0600, as it is shown only once; it is in no state. A destroy
                removes the file.
            install_id: The install's id or name; only for an install agent.
        """
        attributes = {
            "kind": kind,
            "token_file": token_file,
            "install_id": install_id,
        }
        super().__init__(construct_scope, construct_id, self.TYPE, attributes, meta)

    @property
    def agent_id(self) -> str:
        """The agent that has enrolled with it; null until one has."""
        return self.get_string_attribute("agent_id")

    @property
    def expires_at(self) -> str:
        """Until when the token can be used."""
        return self.get_string_attribute("expires_at")

    @property
    def id(self) -> str:
        """The enrolment's id."""
        return self.get_string_attribute("id")

    @property
    def install_id(self) -> str:
        """The install's id or name; only for an install agent."""
        return self.get_string_attribute("install_id")

    @property
    def kind(self) -> str:
        """`install`: an agent that deploys in one install's account. `build`: one that builds."""
        return self.get_string_attribute("kind")

    @property
    def token_file(self) -> str:
        """A file to write the token to, with mode 0600, as it is shown only once; it is in no state. A destroy removes the
        file.
        """
        return self.get_string_attribute("token_file")


class ExclaveAppInputs(TypedDict, total=False):
    """What each install must or may say about itself, by the input's name.

    Keys:
        default: Used where an install gives no value. Write a list or a map with `jsonencode`. A sensitive input can't have
            one.
        description: What it is for; shown to whoever sets it.
        group: The heading under which it is shown, such as `Network`.
        required: Refuse an install that gives no value and has no default.
        sensitive: Never shown, logged or stored in the clear.
        type: string, number, bool, list or map. One of string, number, bool, list, map.
    """

    default: str
    description: str
    group: str
    required: bool | cdk.IResolvable
    sensitive: bool | cdk.IResolvable
    type: str


class ExclaveApp(Resource):
    """An app: what a vendor ships into customers' clouds, with the inputs that each install gives."""

    TYPE = "exclave_app"

    def __init__(
        self,
        construct_scope: Construct,
        construct_id: str,
        /,
        *,
        name: str,
        description: str | None = None,
        inputs: Mapping[str, ExclaveAppInputs] | cdk.IResolvable | None = None,
        labels: Mapping[str, str] | cdk.IResolvable | None = None,
        **meta: Unpack[Meta],
    ) -> None:
        """Arguments as in HCL.

        Args:
            name: The app's name, unique in this IMS. A new name makes a new app.
            description: What the app is, for people.
            inputs: What each install must or may say about itself, by the input's name.
            labels: What the vendor says about the app, to choose it by.
        """
        attributes = {
            "name": name,
            "description": description,
            "inputs": inputs,
            "labels": labels,
        }
        super().__init__(construct_scope, construct_id, self.TYPE, attributes, meta)

    @property
    def description(self) -> str:
        """What the app is, for people."""
        return self.get_string_attribute("description")

    @property
    def id(self) -> str:
        """The app's id."""
        return self.get_string_attribute("id")

    @property
    def inputs(self) -> cdk.IResolvable:
        """What each install must or may say about itself, by the input's name."""
        return self.interpolation_for_attribute("inputs")

    @property
    def labels(self) -> Mapping[str, str]:
        """What the vendor says about the app, to choose it by."""
        return self.get_string_map_attribute("labels")

    @property
    def name(self) -> str:
        """The app's name, unique in this IMS. A new name makes a new app."""
        return self.get_string_attribute("name")


class ExclaveContainerImageComponentVerify(TypedDict, total=False):
    """Who must have signed the image in its source registry: without a good signature of that digest the build fails. Left
    out: anybody, or nobody.

    Keys:
        key: The public key as PEM, such as `cosign.pub`: an ECDSA key.
        key_secret: The name of the secret of the IMS (`exclave_secret`) that holds the public key, as PEM.
    """

    key: str
    key_secret: str


class ExclaveContainerImageComponentAwsEcr(TypedDict, total=False):
    """An image in Amazon ECR.

    Keys:
        external_id: The external id that the role's trust policy asks for, against a confused deputy.
        iam_role_arn: The ARN of the role that the build agent assumes to pull.
        image_url: The image's repository with its registry, without a tag: `docker.io/library/nginx`.
        region: The AWS region of the registry, such as `eu-west-1`.
        tag: The tag or digest to copy. A build resolves a tag to its digest.
    """

    iam_role_arn: Required[str]
    image_url: Required[str]
    region: Required[str]
    tag: Required[str]
    external_id: str


class ExclaveContainerImageComponentAzureAcr(TypedDict, total=False):
    """An image in Azure Container Registry.

    Keys:
        client_certificate_name: The name of the secret of the IMS that holds the client's certificate and key, as PEM.
        client_id: The application id of the service principal.
        client_secret_name: The name of the secret of the IMS (`exclave_secret`) that holds the client's secret.
        image_url: The image's repository with its registry, without a tag: `docker.io/library/nginx`.
        registry_url: The registry's login server, such as `acme.azurecr.io`.
        tag: The tag or digest to copy. A build resolves a tag to its digest.
        tenant_id: The id of the Microsoft Entra tenant.
    """

    client_id: Required[str]
    image_url: Required[str]
    registry_url: Required[str]
    tag: Required[str]
    tenant_id: Required[str]
    client_certificate_name: str
    client_secret_name: str


class ExclaveContainerImageComponentGcpGar(TypedDict, total=False):
    """An image in Google Artifact Registry.

    Keys:
        gcp_project_id: The id of the Google Cloud project that has the registry.
        image_url: The image's repository with its registry, without a tag: `docker.io/library/nginx`.
        region: The registry's location, such as `europe-west1` or `eu`.
        service_account_email: The service account that the build agent impersonates to pull.
        tag: The tag or digest to copy. A build resolves a tag to its digest.
        workload_identity_provider: The full name of the workload identity provider, for a build agent outside Google Cloud:
            `projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER`.
    """

    gcp_project_id: Required[str]
    image_url: Required[str]
    region: Required[str]
    tag: Required[str]
    service_account_email: str
    workload_identity_provider: str


class ExclaveContainerImageComponentPublic(TypedDict, total=False):
    """An image that anyone may pull.

    Keys:
        image_url: The image's repository with its registry, without a tag: `docker.io/library/nginx`.
        tag: The tag or digest to copy. A build resolves a tag to its digest.
    """

    image_url: Required[str]
    tag: Required[str]


class ExclaveContainerImageComponentRegistry(TypedDict, total=False):
    """An image in any other registry, with or without a login.

    Keys:
        image_url: The image's repository with its registry, without a tag: `docker.io/library/nginx`.
        password_secret: The name of the secret of the IMS (`exclave_secret`) that holds the password or token.
        tag: The tag or digest to copy. A build resolves a tag to its digest.
        username: Who pulls; left out, anyone may.
    """

    image_url: Required[str]
    tag: Required[str]
    password_secret: str
    username: str


class ExclaveContainerImageComponent(Resource):
    """A component of an app: an image that exists, which is copied into the customer's registry."""

    TYPE = "exclave_container_image_component"

    def __init__(
        self,
        construct_scope: Construct,
        construct_id: str,
        /,
        *,
        app_id: str,
        name: str,
        platforms: Sequence[str] | cdk.IResolvable | None = None,
        verify: ExclaveContainerImageComponentVerify | cdk.IResolvable | None = None,
        aws_ecr: ExclaveContainerImageComponentAwsEcr | cdk.IResolvable | None = None,
        azure_acr: ExclaveContainerImageComponentAzureAcr | cdk.IResolvable | None = None,
        gcp_gar: ExclaveContainerImageComponentGcpGar | cdk.IResolvable | None = None,
        public: ExclaveContainerImageComponentPublic | cdk.IResolvable | None = None,
        registry: ExclaveContainerImageComponentRegistry | cdk.IResolvable | None = None,
        **meta: Unpack[Meta],
    ) -> None:
        """Arguments as in HCL.

        Exactly one of public, aws_ecr, gcp_gar, azure_acr, registry is given.

        Args:
            app_id: The app's id or name.
            name: The component's name, unique in its app: `{{ components.NAME.outputs.X }}` refers to it.
            platforms: The platforms to take, such as `linux/amd64` and `linux/arm64`. Left out: all that there are.
            verify: Who must have signed the image in its source registry: without a good signature of that digest the build
                fails. Left out: anybody, or nobody.
            aws_ecr: An image in Amazon ECR.
            azure_acr: An image in Azure Container Registry.
            gcp_gar: An image in Google Artifact Registry.
            public: An image that anyone may pull.
            registry: An image in any other registry, with or without a login.
        """
        attributes = {
            "app_id": app_id,
            "name": name,
            "platforms": platforms,
            "verify": verify,
            "aws_ecr": aws_ecr,
            "azure_acr": azure_acr,
            "gcp_gar": gcp_gar,
            "public": public,
            "registry": registry,
        }
        super().__init__(construct_scope, construct_id, self.TYPE, attributes, meta)

    @property
    def app_id(self) -> str:
        """The app's id or name."""
        return self.get_string_attribute("app_id")

    @property
    def id(self) -> str:
        """The component's id."""
        return self.get_string_attribute("id")

    @property
    def name(self) -> str:
        """The component's name, unique in its app: `{{ components.NAME.outputs.X }}` refers to it."""
        return self.get_string_attribute("name")

    @property
    def platforms(self) -> Sequence[str]:
        """The platforms to take, such as `linux/amd64` and `linux/arm64`. Left out: all that there are."""
        return self.get_list_attribute("platforms")

    @property
    def verify(self) -> cdk.IResolvable:
        """Who must have signed the image in its source registry: without a good signature of that digest the build fails.
        Left out: anybody, or nobody.
        """
        return self.interpolation_for_attribute("verify")

    @property
    def version(self) -> float:
        """Counts the component's configs, from 1."""
        return self.get_number_attribute("version")

    @property
    def aws_ecr(self) -> cdk.IResolvable:
        """An image in Amazon ECR."""
        return self.interpolation_for_attribute("aws_ecr")

    @property
    def azure_acr(self) -> cdk.IResolvable:
        """An image in Azure Container Registry."""
        return self.interpolation_for_attribute("azure_acr")

    @property
    def gcp_gar(self) -> cdk.IResolvable:
        """An image in Google Artifact Registry."""
        return self.interpolation_for_attribute("gcp_gar")

    @property
    def public(self) -> cdk.IResolvable:
        """An image that anyone may pull."""
        return self.interpolation_for_attribute("public")

    @property
    def registry(self) -> cdk.IResolvable:
        """An image in any other registry, with or without a login."""
        return self.interpolation_for_attribute("registry")


class ExclaveCustomComponentProbes(TypedDict, total=False):
    """What the install agent looks at, by name, after each apply and in each drift run: the component is then `healthy`,
    `degraded` or `unknown`.

    Keys:
        attempts: How often to try before it counts as degraded.
        http: A URL to GET, `http://` or `https://`. It may hold references, such as `{{ self.outputs.url }}`.
        interval_seconds: How long to wait between attempts.
        status: The status that `http` must answer with; left out, any from 200 to 299.
        tcp: A `HOST:PORT` to connect to. It may hold references, such as `{{ self.outputs.host }}`.
        timeout_seconds: How long one attempt may take.
    """

    attempts: float
    http: str
    interval_seconds: float
    status: float
    tcp: str
    timeout_seconds: float


class ExclaveCustomComponentGit(TypedDict, total=False):
    """The folder with the command and its files. It is in a git repository.

    Keys:
        password_secret: The name of the secret of the IMS (`exclave_secret`) that holds the password or token, for https.
        ref: A branch, a tag or a commit.
        ssh_key_secret: The name of the secret of the IMS that holds a private key (OpenSSH or PEM), for ssh.
        subdirectory: The folder inside the repository.
        url: What `git clone` takes: https, ssh or a local path.
        username: Who reads it by https. Left out, `git`: services that take tokens ignore it.
    """

    url: Required[str]
    password_secret: str
    ref: str
    ssh_key_secret: str
    subdirectory: str
    username: str


class ExclaveCustomComponentPath(TypedDict, total=False):
    """The folder with the command and its files. It is on the disk of whoever runs Terraform and of the build agent.

    Keys:
        path: The folder's path. A relative path starts at the folder of `terraform`.
    """

    path: Required[str]


class ExclaveCustomComponent(Resource):
    """A component of an app: a command of the vendor's, which the install agent runs where the customer's policy allows it."""

    TYPE = "exclave_custom_component"

    def __init__(
        self,
        construct_scope: Construct,
        construct_id: str,
        /,
        *,
        app_id: str,
        command: Sequence[str] | cdk.IResolvable,
        name: str,
        environment: Mapping[str, str] | cdk.IResolvable | None = None,
        interface: str | None = None,
        probes: Mapping[str, ExclaveCustomComponentProbes] | cdk.IResolvable | None = None,
        git: ExclaveCustomComponentGit | cdk.IResolvable | None = None,
        path: ExclaveCustomComponentPath | cdk.IResolvable | None = None,
        **meta: Unpack[Meta],
    ) -> None:
        """Arguments as in HCL.

        Exactly one of path, git is given.

        Args:
            app_id: The app's id or name.
            command: The program and its arguments, run in the folder. A path begins with `./`.
            name: The component's name, unique in its app: `{{ components.NAME.outputs.X }}` refers to it.
            environment: Variables of the command's environment. They may hold references, such as `{{ inputs.domain }}`.
            interface: How it is spoken to. `command`: it is run as it is. `json`: it is a plugin, which takes and gives
                JSON. `python`: `command` names a plugin that is installed beside the agents, by its entry point. One of
                command, json, python.
            probes: What the install agent looks at, by name, after each apply and in each drift run: the component is then
                `healthy`, `degraded` or `unknown`.
            git: The folder with the command and its files. It is in a git repository.
            path: The folder with the command and its files. It is on the disk of whoever runs Terraform and of the build
                agent.
        """
        attributes = {
            "app_id": app_id,
            "command": command,
            "name": name,
            "environment": environment,
            "interface": interface,
            "probes": probes,
            "git": git,
            "path": path,
        }
        super().__init__(construct_scope, construct_id, self.TYPE, attributes, meta)

    @property
    def app_id(self) -> str:
        """The app's id or name."""
        return self.get_string_attribute("app_id")

    @property
    def command(self) -> Sequence[str]:
        """The program and its arguments, run in the folder. A path begins with `./`."""
        return self.get_list_attribute("command")

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables of the command's environment. They may hold references, such as `{{ inputs.domain }}`."""
        return self.get_string_map_attribute("environment")

    @property
    def id(self) -> str:
        """The component's id."""
        return self.get_string_attribute("id")

    @property
    def interface(self) -> str:
        """How it is spoken to. `command`: it is run as it is. `json`: it is a plugin, which takes and gives JSON. `python`:
        `command` names a plugin that is installed beside the agents, by its entry point.
        """
        return self.get_string_attribute("interface")

    @property
    def name(self) -> str:
        """The component's name, unique in its app: `{{ components.NAME.outputs.X }}` refers to it."""
        return self.get_string_attribute("name")

    @property
    def probes(self) -> cdk.IResolvable:
        """What the install agent looks at, by name, after each apply and in each drift run: the component is then
        `healthy`, `degraded` or `unknown`.
        """
        return self.interpolation_for_attribute("probes")

    @property
    def source_digest(self) -> str:
        """The content hash of the folder at `path`, which decides whether the source has changed. Null without `path`: for
        `git`, the build records the commit.
        """
        return self.get_string_attribute("source_digest")

    @property
    def version(self) -> float:
        """Counts the component's configs, from 1."""
        return self.get_number_attribute("version")

    @property
    def git(self) -> cdk.IResolvable:
        """The folder with the command and its files. It is in a git repository."""
        return self.interpolation_for_attribute("git")

    @property
    def path(self) -> cdk.IResolvable:
        """The folder with the command and its files. It is on the disk of whoever runs Terraform and of the build agent."""
        return self.interpolation_for_attribute("path")


class ExclaveDeploymentTimeouts(TypedDict, total=False):
    """How long to wait, such as `90s`, `20m` or `1h30m`.

    Keys:
        create: For a create; default `60m`.
        delete: For a destroy; default `60m`.
        update: For an update; default `60m`.
    """

    create: str
    delete: str
    update: str


class ExclaveDeployment(Resource):
    """A deployment: one release brought to one install, and kept there. A destroy tears the install's components down. A
    plan says in a warning what the deploy will do, component by component, or why that isn't known yet.
    """

    TYPE = "exclave_deployment"

    def __init__(
        self,
        construct_scope: Construct,
        construct_id: str,
        /,
        *,
        install_id: str,
        release_id: str,
        inputs_version: float | None = None,
        timeouts: ExclaveDeploymentTimeouts | cdk.IResolvable | None = None,
        **meta: Unpack[Meta],
    ) -> None:
        """Arguments as in HCL.

        Args:
            install_id: The install's id or name.
            release_id: The release's id. Another release is brought to the install in place.
            inputs_version: The version of the install's inputs to deploy with; a change brings the new inputs. Left out:
                the newest at the time, and a change of the inputs alone deploys nothing.
            timeouts: How long to wait, such as `90s`, `20m` or `1h30m`.
        """
        attributes = {
            "install_id": install_id,
            "release_id": release_id,
            "inputs_version": inputs_version,
            "timeouts": timeouts,
        }
        super().__init__(construct_scope, construct_id, self.TYPE, attributes, meta)

    @property
    def deploy_id(self) -> str:
        """The id of the newest deploy of the install."""
        return self.get_string_attribute("deploy_id")

    @property
    def id(self) -> str:
        """The install's id."""
        return self.get_string_attribute("id")

    @property
    def inputs_version(self) -> float:
        """The version of the install's inputs to deploy with; a change brings the new inputs. Left out: the newest at the
        time, and a change of the inputs alone deploys nothing.
        """
        return self.get_number_attribute("inputs_version")

    @property
    def install_id(self) -> str:
        """The install's id or name."""
        return self.get_string_attribute("install_id")

    @property
    def left_out(self) -> Sequence[str]:
        """Components that the newest deploy did not bring, or not wholly: somebody skipped them, or had them planned in
        part (`exclave deploys create --target`). The next plan deploys them.
        """
        return self.get_list_attribute("left_out")

    @property
    def outputs(self) -> Mapping[str, str]:
        """The components' outputs, by `component.output`: strings as they are, anything else as JSON for `jsondecode`.
        Sensitive outputs stay in the customer's account.
        """
        return self.get_string_map_attribute("outputs")

    @property
    def release_id(self) -> str:
        """The release's id. Another release is brought to the install in place."""
        return self.get_string_attribute("release_id")

    @property
    def status(self) -> str:
        """`pending`, `running`, `succeeded`, `failed`, `cancelling` or `cancelled`."""
        return self.get_string_attribute("status")

    @property
    def timeouts(self) -> cdk.IResolvable:
        """How long to wait, such as `90s`, `20m` or `1h30m`."""
        return self.interpolation_for_attribute("timeouts")


class ExclaveDockerBuildComponentGit(TypedDict, total=False):
    """The folder that is the build's context. It is in a git repository.

    Keys:
        password_secret: The name of the secret of the IMS (`exclave_secret`) that holds the password or token, for https.
        ref: A branch, a tag or a commit.
        ssh_key_secret: The name of the secret of the IMS that holds a private key (OpenSSH or PEM), for ssh.
        subdirectory: The folder inside the repository.
        url: What `git clone` takes: https, ssh or a local path.
        username: Who reads it by https. Left out, `git`: services that take tokens ignore it.
    """

    url: Required[str]
    password_secret: str
    ref: str
    ssh_key_secret: str
    subdirectory: str
    username: str


class ExclaveDockerBuildComponentPath(TypedDict, total=False):
    """The folder that is the build's context. It is on the disk of whoever runs Terraform and of the build agent.

    Keys:
        path: The folder's path. A relative path starts at the folder of `terraform`.
    """

    path: Required[str]


class ExclaveDockerBuildComponent(Resource):
    """A component of an app: an image that the build agent builds from a Dockerfile."""

    TYPE = "exclave_docker_build_component"

    def __init__(
        self,
        construct_scope: Construct,
        construct_id: str,
        /,
        *,
        app_id: str,
        name: str,
        build_args: Mapping[str, str] | cdk.IResolvable | None = None,
        dockerfile: str | None = None,
        platforms: Sequence[str] | cdk.IResolvable | None = None,
        secrets: Mapping[str, str] | cdk.IResolvable | None = None,
        target: str | None = None,
        git: ExclaveDockerBuildComponentGit | cdk.IResolvable | None = None,
        path: ExclaveDockerBuildComponentPath | cdk.IResolvable | None = None,
        **meta: Unpack[Meta],
    ) -> None:
        """Arguments as in HCL.

        Exactly one of path, git is given.

        Args:
            app_id: The app's id or name.
            name: The component's name, unique in its app: `{{ components.NAME.outputs.X }}` refers to it.
            build_args: Values for the Dockerfile's `ARG`s. Not for secrets.
            dockerfile: The Dockerfile's path in the folder.
            platforms: The platforms to build for, such as `linux/amd64`. Left out: the build agent's own.
            secrets: Secrets for `RUN --mount=type=secret,id=ID`: by id, the name of a secret of the IMS (`exclave_secret`).
            target: The stage to build; left out, the last one.
            git: The folder that is the build's context. It is in a git repository.
            path: The folder that is the build's context. It is on the disk of whoever runs Terraform and of the build
                agent.
        """
        attributes = {
            "app_id": app_id,
            "name": name,
            "build_args": build_args,
            "dockerfile": dockerfile,
            "platforms": platforms,
            "secrets": secrets,
            "target": target,
            "git": git,
            "path": path,
        }
        super().__init__(construct_scope, construct_id, self.TYPE, attributes, meta)

    @property
    def app_id(self) -> str:
        """The app's id or name."""
        return self.get_string_attribute("app_id")

    @property
    def build_args(self) -> Mapping[str, str]:
        """Values for the Dockerfile's `ARG`s. Not for secrets."""
        return self.get_string_map_attribute("build_args")

    @property
    def dockerfile(self) -> str:
        """The Dockerfile's path in the folder."""
        return self.get_string_attribute("dockerfile")

    @property
    def id(self) -> str:
        """The component's id."""
        return self.get_string_attribute("id")

    @property
    def name(self) -> str:
        """The component's name, unique in its app: `{{ components.NAME.outputs.X }}` refers to it."""
        return self.get_string_attribute("name")

    @property
    def platforms(self) -> Sequence[str]:
        """The platforms to build for, such as `linux/amd64`. Left out: the build agent's own."""
        return self.get_list_attribute("platforms")

    @property
    def secrets(self) -> Mapping[str, str]:
        """Secrets for `RUN --mount=type=secret,id=ID`: by id, the name of a secret of the IMS (`exclave_secret`)."""
        return self.get_string_map_attribute("secrets")

    @property
    def source_digest(self) -> str:
        """The content hash of the folder at `path`, which decides whether the source has changed. Null without `path`: for
        `git`, the build records the commit.
        """
        return self.get_string_attribute("source_digest")

    @property
    def target(self) -> str:
        """The stage to build; left out, the last one."""
        return self.get_string_attribute("target")

    @property
    def version(self) -> float:
        """Counts the component's configs, from 1."""
        return self.get_number_attribute("version")

    @property
    def git(self) -> cdk.IResolvable:
        """The folder that is the build's context. It is in a git repository."""
        return self.interpolation_for_attribute("git")

    @property
    def path(self) -> cdk.IResolvable:
        """The folder that is the build's context. It is on the disk of whoever runs Terraform and of the build agent."""
        return self.interpolation_for_attribute("path")


class ExclaveHelmChartComponentHelmRepo(TypedDict, total=False):
    """A chart of a repository, instead of a folder.

    Keys:
        chart: The chart's name in the repository.
        repo_url: The repository's URL: `https://…` of an index, or `oci://…` of a registry.
        version: The chart's exact version.
    """

    chart: Required[str]
    repo_url: Required[str]
    version: Required[str]


class ExclaveHelmChartComponentProbes(TypedDict, total=False):
    """What the install agent looks at, by name, after each apply and in each drift run: the component is then `healthy`,
    `degraded` or `unknown`.

    Keys:
        attempts: How often to try before it counts as degraded.
        http: A URL to GET, `http://` or `https://`. It may hold references, such as `{{ self.outputs.url }}`.
        interval_seconds: How long to wait between attempts.
        status: The status that `http` must answer with; left out, any from 200 to 299.
        tcp: A `HOST:PORT` to connect to. It may hold references, such as `{{ self.outputs.host }}`.
        timeout_seconds: How long one attempt may take.
    """

    attempts: float
    http: str
    interval_seconds: float
    status: float
    tcp: str
    timeout_seconds: float


class ExclaveHelmChartComponentGit(TypedDict, total=False):
    """The chart's folder. It is in a git repository.

    Keys:
        password_secret: The name of the secret of the IMS (`exclave_secret`) that holds the password or token, for https.
        ref: A branch, a tag or a commit.
        ssh_key_secret: The name of the secret of the IMS that holds a private key (OpenSSH or PEM), for ssh.
        subdirectory: The folder inside the repository.
        url: What `git clone` takes: https, ssh or a local path.
        username: Who reads it by https. Left out, `git`: services that take tokens ignore it.
    """

    url: Required[str]
    password_secret: str
    ref: str
    ssh_key_secret: str
    subdirectory: str
    username: str


class ExclaveHelmChartComponentPath(TypedDict, total=False):
    """The chart's folder. It is on the disk of whoever runs Terraform and of the build agent.

    Keys:
        path: The folder's path. A relative path starts at the folder of `terraform`.
    """

    path: Required[str]


class ExclaveHelmChartComponent(Resource):
    """A component of an app: a Helm chart, which the install agent installs in the customer's cluster."""

    TYPE = "exclave_helm_chart_component"

    def __init__(
        self,
        construct_scope: Construct,
        construct_id: str,
        /,
        *,
        app_id: str,
        name: str,
        atomic: bool | cdk.IResolvable | None = None,
        bundle_helm: bool | cdk.IResolvable | None = None,
        closure: str | None = None,
        create_namespace: bool | cdk.IResolvable | None = None,
        helm_repo: ExclaveHelmChartComponentHelmRepo | cdk.IResolvable | None = None,
        namespace: str | None = None,
        probes: Mapping[str, ExclaveHelmChartComponentProbes] | cdk.IResolvable | None = None,
        release_name: str | None = None,
        skip_crds: bool | cdk.IResolvable | None = None,
        take_ownership: bool | cdk.IResolvable | None = None,
        timeout: float | None = None,
        values: Mapping[str, str] | cdk.IResolvable | None = None,
        values_files: Sequence[str] | cdk.IResolvable | None = None,
        wait: bool | cdk.IResolvable | None = None,
        git: ExclaveHelmChartComponentGit | cdk.IResolvable | None = None,
        path: ExclaveHelmChartComponentPath | cdk.IResolvable | None = None,
        **meta: Unpack[Meta],
    ) -> None:
        """Arguments as in HCL.

        Exactly one of path, git, helm_repo is given.

        Args:
            app_id: The app's id or name.
            name: The component's name, unique in its app: `{{ components.NAME.outputs.X }}` refers to it.
            atomic: Whether an apply that fails is rolled back: an upgrade to what ran before, an install to nothing.
            bundle_helm: Whether the build agent's helm rides in the artifact (some 60 MB). It then deploys the chart
                wherever the install agent is of the same platform, and its customer names no helm of their own.
            closure: Whether every image that is named travels with the artifact. `strict`: each is found at the build and
                mirrored, and one that can't be fails the build. `off`: an install may pull from elsewhere. One of strict,
                off.
            create_namespace: Whether the namespace is made where there is none.
            helm_repo: A chart of a repository, instead of a folder.
            namespace: The namespace to install into.
            probes: What the install agent looks at, by name, after each apply and in each drift run: the component is then
                `healthy`, `degraded` or `unknown`.
            release_name: The Helm release's name; left out, the component's.
            skip_crds: Whether the first install leaves out what the chart has in `crds/`. Helm never updates these.
            take_ownership: Whether objects that are there already, of nobody or of another release, become this one's.
            timeout: How long each operation, such as waiting or one hook, may take, in seconds.
            values: Chart values by dotted path, such as `image.tag`; they win over the files. They may hold references,
                such as `{{ inputs.domain }}`.
            values_files: Values files in the source's folder; a later one wins over an earlier one.
            wait: Whether an apply waits until everything that the chart runs is ready.
            git: The chart's folder. It is in a git repository.
            path: The chart's folder. It is on the disk of whoever runs Terraform and of the build agent.
        """
        attributes = {
            "app_id": app_id,
            "name": name,
            "atomic": atomic,
            "bundle_helm": bundle_helm,
            "closure": closure,
            "create_namespace": create_namespace,
            "helm_repo": helm_repo,
            "namespace": namespace,
            "probes": probes,
            "release_name": release_name,
            "skip_crds": skip_crds,
            "take_ownership": take_ownership,
            "timeout": timeout,
            "values": values,
            "values_files": values_files,
            "wait": wait,
            "git": git,
            "path": path,
        }
        super().__init__(construct_scope, construct_id, self.TYPE, attributes, meta)

    @property
    def app_id(self) -> str:
        """The app's id or name."""
        return self.get_string_attribute("app_id")

    @property
    def atomic(self) -> cdk.IResolvable:
        """Whether an apply that fails is rolled back: an upgrade to what ran before, an install to nothing."""
        return self.get_boolean_attribute("atomic")

    @property
    def bundle_helm(self) -> cdk.IResolvable:
        """Whether the build agent's helm rides in the artifact (some 60 MB). It then deploys the chart wherever the install
        agent is of the same platform, and its customer names no helm of their own.
        """
        return self.get_boolean_attribute("bundle_helm")

    @property
    def closure(self) -> str:
        """Whether every image that is named travels with the artifact. `strict`: each is found at the build and mirrored,
        and one that can't be fails the build. `off`: an install may pull from elsewhere.
        """
        return self.get_string_attribute("closure")

    @property
    def create_namespace(self) -> cdk.IResolvable:
        """Whether the namespace is made where there is none."""
        return self.get_boolean_attribute("create_namespace")

    @property
    def helm_repo(self) -> cdk.IResolvable:
        """A chart of a repository, instead of a folder."""
        return self.interpolation_for_attribute("helm_repo")

    @property
    def id(self) -> str:
        """The component's id."""
        return self.get_string_attribute("id")

    @property
    def name(self) -> str:
        """The component's name, unique in its app: `{{ components.NAME.outputs.X }}` refers to it."""
        return self.get_string_attribute("name")

    @property
    def namespace(self) -> str:
        """The namespace to install into."""
        return self.get_string_attribute("namespace")

    @property
    def probes(self) -> cdk.IResolvable:
        """What the install agent looks at, by name, after each apply and in each drift run: the component is then
        `healthy`, `degraded` or `unknown`.
        """
        return self.interpolation_for_attribute("probes")

    @property
    def release_name(self) -> str:
        """The Helm release's name; left out, the component's."""
        return self.get_string_attribute("release_name")

    @property
    def skip_crds(self) -> cdk.IResolvable:
        """Whether the first install leaves out what the chart has in `crds/`. Helm never updates these."""
        return self.get_boolean_attribute("skip_crds")

    @property
    def source_digest(self) -> str:
        """The content hash of the folder at `path`, which decides whether the source has changed. Null without `path`: for
        `git`, the build records the commit.
        """
        return self.get_string_attribute("source_digest")

    @property
    def take_ownership(self) -> cdk.IResolvable:
        """Whether objects that are there already, of nobody or of another release, become this one's."""
        return self.get_boolean_attribute("take_ownership")

    @property
    def timeout(self) -> float:
        """How long each operation, such as waiting or one hook, may take, in seconds."""
        return self.get_number_attribute("timeout")

    @property
    def values(self) -> Mapping[str, str]:
        """Chart values by dotted path, such as `image.tag`; they win over the files. They may hold references, such as `{{
        inputs.domain }}`.
        """
        return self.get_string_map_attribute("values")

    @property
    def values_files(self) -> Sequence[str]:
        """Values files in the source's folder; a later one wins over an earlier one."""
        return self.get_list_attribute("values_files")

    @property
    def version(self) -> float:
        """Counts the component's configs, from 1."""
        return self.get_number_attribute("version")

    @property
    def wait(self) -> cdk.IResolvable:
        """Whether an apply waits until everything that the chart runs is ready."""
        return self.get_boolean_attribute("wait")

    @property
    def git(self) -> cdk.IResolvable:
        """The chart's folder. It is in a git repository."""
        return self.interpolation_for_attribute("git")

    @property
    def path(self) -> cdk.IResolvable:
        """The chart's folder. It is on the disk of whoever runs Terraform and of the build agent."""
        return self.interpolation_for_attribute("path")


class ExclaveInstallTimeouts(TypedDict, total=False):
    """How long to wait, such as `90s`, `20m` or `1h30m`.

    Keys:
        delete: For a destroy; default `60m`.
    """

    delete: str


class ExclaveInstall(Resource):
    """An install: one app in one customer's account."""

    TYPE = "exclave_install"

    def __init__(
        self,
        construct_scope: Construct,
        construct_id: str,
        /,
        *,
        app_id: str,
        name: str,
        approval: str | None = None,
        approval_timeout_hours: float | None = None,
        drift_check_hours: float | None = None,
        heal_drift: bool | cdk.IResolvable | None = None,
        inputs: Mapping[str, str] | cdk.IResolvable | None = None,
        labels: Mapping[str, str] | cdk.IResolvable | None = None,
        platform: str | None = None,
        region: str | None = None,
        sensitive_inputs: Mapping[str, str] | cdk.IResolvable | None = None,
        timeouts: ExclaveInstallTimeouts | cdk.IResolvable | None = None,
        **meta: Unpack[Meta],
    ) -> None:
        """Arguments as in HCL.

        Args:
            app_id: The app's id or name. Another app makes a new install.
            name: The install's name, unique in this IMS. A new name makes a new install.
            approval: Who approves a plan: `auto` (nobody), `vendor` or `customer`. One of auto, vendor, customer.
            approval_timeout_hours: How long a plan waits for its approval before its step fails; null = forever.
            drift_check_hours: How often to look whether what is deployed has drifted; null = never.
            heal_drift: Deploy the same release again when a drift run has found drift. `approval` holds for that deploy,
                too.
            inputs: Values for the app's inputs that aren't sensitive.
            labels: What the vendor says about the install, to choose it by: `?selector=region=eu`.
            platform: Whose cloud it is in: `aws`, `google`, `azure` or `custom`. One of aws, google, azure, custom.
            region: The platform's region; `{{ install.region }}` refers to it. `custom` takes any.
            sensitive_inputs: Values for the app's sensitive inputs. The IMS stores them encrypted and never gives them
                back; a change behind Terraform's back shows in their fingerprints. Left out: what is stored stays.
            timeouts: How long to wait, such as `90s`, `20m` or `1h30m`.
        """
        attributes = {
            "app_id": app_id,
            "name": name,
            "approval": approval,
            "approval_timeout_hours": approval_timeout_hours,
            "drift_check_hours": drift_check_hours,
            "heal_drift": heal_drift,
            "inputs": inputs,
            "labels": labels,
            "platform": platform,
            "region": region,
            "sensitive_inputs": sensitive_inputs,
            "timeouts": timeouts,
        }
        super().__init__(construct_scope, construct_id, self.TYPE, attributes, meta)

    @property
    def app_id(self) -> str:
        """The app's id or name. Another app makes a new install."""
        return self.get_string_attribute("app_id")

    @property
    def approval(self) -> str:
        """Who approves a plan: `auto` (nobody), `vendor` or `customer`."""
        return self.get_string_attribute("approval")

    @property
    def approval_timeout_hours(self) -> float:
        """How long a plan waits for its approval before its step fails; null = forever."""
        return self.get_number_attribute("approval_timeout_hours")

    @property
    def drift_check_hours(self) -> float:
        """How often to look whether what is deployed has drifted; null = never."""
        return self.get_number_attribute("drift_check_hours")

    @property
    def heal_drift(self) -> cdk.IResolvable:
        """Deploy the same release again when a drift run has found drift. `approval` holds for that deploy, too."""
        return self.get_boolean_attribute("heal_drift")

    @property
    def id(self) -> str:
        """The install's id."""
        return self.get_string_attribute("id")

    @property
    def inputs(self) -> Mapping[str, str]:
        """Values for the app's inputs that aren't sensitive."""
        return self.get_string_map_attribute("inputs")

    @property
    def inputs_version(self) -> float:
        """Counts the changes of the install's inputs, from 1."""
        return self.get_number_attribute("inputs_version")

    @property
    def labels(self) -> Mapping[str, str]:
        """What the vendor says about the install, to choose it by: `?selector=region=eu`."""
        return self.get_string_map_attribute("labels")

    @property
    def name(self) -> str:
        """The install's name, unique in this IMS. A new name makes a new install."""
        return self.get_string_attribute("name")

    @property
    def platform(self) -> str:
        """Whose cloud it is in: `aws`, `google`, `azure` or `custom`."""
        return self.get_string_attribute("platform")

    @property
    def region(self) -> str:
        """The platform's region; `{{ install.region }}` refers to it. `custom` takes any."""
        return self.get_string_attribute("region")

    @property
    def sensitive_inputs(self) -> Mapping[str, str]:
        """Values for the app's sensitive inputs. The IMS stores them encrypted and never gives them back; a change behind
        Terraform's back shows in their fingerprints. Left out: what is stored stays.
        """
        return self.get_string_map_attribute("sensitive_inputs")

    @property
    def timeouts(self) -> cdk.IResolvable:
        """How long to wait, such as `90s`, `20m` or `1h30m`."""
        return self.interpolation_for_attribute("timeouts")


class ExclaveKubernetesManifestComponentProbes(TypedDict, total=False):
    """What the install agent looks at, by name, after each apply and in each drift run: the component is then `healthy`,
    `degraded` or `unknown`.

    Keys:
        attempts: How often to try before it counts as degraded.
        http: A URL to GET, `http://` or `https://`. It may hold references, such as `{{ self.outputs.url }}`.
        interval_seconds: How long to wait between attempts.
        status: The status that `http` must answer with; left out, any from 200 to 299.
        tcp: A `HOST:PORT` to connect to. It may hold references, such as `{{ self.outputs.host }}`.
        timeout_seconds: How long one attempt may take.
    """

    attempts: float
    http: str
    interval_seconds: float
    status: float
    tcp: str
    timeout_seconds: float


class ExclaveKubernetesManifestComponentGit(TypedDict, total=False):
    """The folder with the manifests. It is in a git repository.

    Keys:
        password_secret: The name of the secret of the IMS (`exclave_secret`) that holds the password or token, for https.
        ref: A branch, a tag or a commit.
        ssh_key_secret: The name of the secret of the IMS that holds a private key (OpenSSH or PEM), for ssh.
        subdirectory: The folder inside the repository.
        url: What `git clone` takes: https, ssh or a local path.
        username: Who reads it by https. Left out, `git`: services that take tokens ignore it.
    """

    url: Required[str]
    password_secret: str
    ref: str
    ssh_key_secret: str
    subdirectory: str
    username: str


class ExclaveKubernetesManifestComponentPath(TypedDict, total=False):
    """The folder with the manifests. It is on the disk of whoever runs Terraform and of the build agent.

    Keys:
        path: The folder's path. A relative path starts at the folder of `terraform`.
    """

    path: Required[str]


class ExclaveKubernetesManifestComponent(Resource):
    """A component of an app: Kubernetes manifests, which the install agent applies in the customer's cluster."""

    TYPE = "exclave_kubernetes_manifest_component"

    def __init__(
        self,
        construct_scope: Construct,
        construct_id: str,
        /,
        *,
        app_id: str,
        name: str,
        closure: str | None = None,
        force_conflicts: bool | cdk.IResolvable | None = None,
        kustomize: bool | cdk.IResolvable | None = None,
        manifest: str | None = None,
        namespace: str | None = None,
        probes: Mapping[str, ExclaveKubernetesManifestComponentProbes] | cdk.IResolvable | None = None,
        timeout: float | None = None,
        wait: bool | cdk.IResolvable | None = None,
        git: ExclaveKubernetesManifestComponentGit | cdk.IResolvable | None = None,
        path: ExclaveKubernetesManifestComponentPath | cdk.IResolvable | None = None,
        **meta: Unpack[Meta],
    ) -> None:
        """Arguments as in HCL.

        Exactly one of manifest, path, git is given.

        Args:
            app_id: The app's id or name.
            name: The component's name, unique in its app: `{{ components.NAME.outputs.X }}` refers to it.
            closure: Whether every image that is named travels with the artifact. `strict`: each is found at the build and
                mirrored, and one that can't be fails the build. `off`: an install may pull from elsewhere. One of strict,
                off.
            force_conflicts: Whether fields that another field manager owns are taken over, rather than an error.
            kustomize: Whether the folder is a kustomization rather than plain manifests.
            manifest: The manifests as YAML, instead of files. They may hold references, such as `{{ inputs.domain }}`.
            namespace: The namespace of what names none.
            probes: What the install agent looks at, by name, after each apply and in each drift run: the component is then
                `healthy`, `degraded` or `unknown`.
            timeout: How long to wait until everything is ready, or gone, in seconds.
            wait: Whether an apply waits until everything is ready.
            git: The folder with the manifests. It is in a git repository.
            path: The folder with the manifests. It is on the disk of whoever runs Terraform and of the build agent.
        """
        attributes = {
            "app_id": app_id,
            "name": name,
            "closure": closure,
            "force_conflicts": force_conflicts,
            "kustomize": kustomize,
            "manifest": manifest,
            "namespace": namespace,
            "probes": probes,
            "timeout": timeout,
            "wait": wait,
            "git": git,
            "path": path,
        }
        super().__init__(construct_scope, construct_id, self.TYPE, attributes, meta)

    @property
    def app_id(self) -> str:
        """The app's id or name."""
        return self.get_string_attribute("app_id")

    @property
    def closure(self) -> str:
        """Whether every image that is named travels with the artifact. `strict`: each is found at the build and mirrored,
        and one that can't be fails the build. `off`: an install may pull from elsewhere.
        """
        return self.get_string_attribute("closure")

    @property
    def force_conflicts(self) -> cdk.IResolvable:
        """Whether fields that another field manager owns are taken over, rather than an error."""
        return self.get_boolean_attribute("force_conflicts")

    @property
    def id(self) -> str:
        """The component's id."""
        return self.get_string_attribute("id")

    @property
    def kustomize(self) -> cdk.IResolvable:
        """Whether the folder is a kustomization rather than plain manifests."""
        return self.get_boolean_attribute("kustomize")

    @property
    def manifest(self) -> str:
        """The manifests as YAML, instead of files. They may hold references, such as `{{ inputs.domain }}`."""
        return self.get_string_attribute("manifest")

    @property
    def name(self) -> str:
        """The component's name, unique in its app: `{{ components.NAME.outputs.X }}` refers to it."""
        return self.get_string_attribute("name")

    @property
    def namespace(self) -> str:
        """The namespace of what names none."""
        return self.get_string_attribute("namespace")

    @property
    def probes(self) -> cdk.IResolvable:
        """What the install agent looks at, by name, after each apply and in each drift run: the component is then
        `healthy`, `degraded` or `unknown`.
        """
        return self.interpolation_for_attribute("probes")

    @property
    def source_digest(self) -> str:
        """The content hash of the folder at `path`, which decides whether the source has changed. Null without `path`: for
        `git`, the build records the commit.
        """
        return self.get_string_attribute("source_digest")

    @property
    def timeout(self) -> float:
        """How long to wait until everything is ready, or gone, in seconds."""
        return self.get_number_attribute("timeout")

    @property
    def version(self) -> float:
        """Counts the component's configs, from 1."""
        return self.get_number_attribute("version")

    @property
    def wait(self) -> cdk.IResolvable:
        """Whether an apply waits until everything is ready."""
        return self.get_boolean_attribute("wait")

    @property
    def git(self) -> cdk.IResolvable:
        """The folder with the manifests. It is in a git repository."""
        return self.interpolation_for_attribute("git")

    @property
    def path(self) -> cdk.IResolvable:
        """The folder with the manifests. It is on the disk of whoever runs Terraform and of the build agent."""
        return self.interpolation_for_attribute("path")


class ExclaveReleaseTimeouts(TypedDict, total=False):
    """How long to wait, such as `90s`, `20m` or `1h30m`.

    Keys:
        create: For a create; default `30m`.
        update: For an update; default `30m`.
    """

    create: str
    update: str


class ExclaveRelease(Resource):
    """A release: an immutable, numbered set of builds, one of each component. A change of `components` makes the next
    release; the earlier ones stay in the IMS as its history.
    """

    TYPE = "exclave_release"

    def __init__(
        self,
        construct_scope: Construct,
        construct_id: str,
        /,
        *,
        app_id: str,
        components: Mapping[str, float] | cdk.IResolvable | None = None,
        timeouts: ExclaveReleaseTimeouts | cdk.IResolvable | None = None,
        **meta: Unpack[Meta],
    ) -> None:
        """Arguments as in HCL.

        Args:
            app_id: The app's id or name.
            components: The version of each component, by its name. Left out: the newest of each when the release is first
                made; later versions then make no new release.
            timeouts: How long to wait, such as `90s`, `20m` or `1h30m`.
        """
        attributes = {
            "app_id": app_id,
            "components": components,
            "timeouts": timeouts,
        }
        super().__init__(construct_scope, construct_id, self.TYPE, attributes, meta)

    @property
    def app_id(self) -> str:
        """The app's id or name."""
        return self.get_string_attribute("app_id")

    @property
    def components(self) -> Mapping[str, float]:
        """The version of each component, by its name. Left out: the newest of each when the release is first made; later
        versions then make no new release.
        """
        return self.get_number_map_attribute("components")

    @property
    def digests(self) -> Mapping[str, str]:
        """The digest of each component's artifact, by the component's name."""
        return self.get_string_map_attribute("digests")

    @property
    def id(self) -> str:
        """The release's id."""
        return self.get_string_attribute("id")

    @property
    def number(self) -> float:
        """Counts the app's releases, from 1."""
        return self.get_number_attribute("number")

    @property
    def status(self) -> str:
        """`building`, `ready` or `failed`."""
        return self.get_string_attribute("status")

    @property
    def timeouts(self) -> cdk.IResolvable:
        """How long to wait, such as `90s`, `20m` or `1h30m`."""
        return self.interpolation_for_attribute("timeouts")


class ExclaveSecret(Resource):
    """A named secret, which components refer to as `{{ secrets.NAME }}`. Its value is write-only: it is in no plan and no
    state, and the IMS stores it encrypted and never gives it back. Needs Terraform 1.11 or newer.
    """

    TYPE = "exclave_secret"

    def __init__(
        self,
        construct_scope: Construct,
        construct_id: str,
        /,
        *,
        name: str,
        value_wo: str,
        app_id: str | None = None,
        install_id: str | None = None,
        value_wo_version: float | None = None,
        **meta: Unpack[Meta],
    ) -> None:
        """Arguments as in HCL.

        Args:
            name: The secret's name, unique in its scope.
            value_wo: The value: a variable, or an ephemeral value of another provider. It is in no plan or state.
            app_id: The id or name of the only app that may use it.
            install_id: The id or name of the only install that may use it.
            value_wo_version: Change it to write the value anew. Left out: another value is noticed by its fingerprint,
                which suits a value that is the same in each run.
        """
        attributes = {
            "name": name,
            "value_wo": value_wo,
            "app_id": app_id,
            "install_id": install_id,
            "value_wo_version": value_wo_version,
        }
        super().__init__(construct_scope, construct_id, self.TYPE, attributes, meta)

    @property
    def app_id(self) -> str:
        """The id or name of the only app that may use it."""
        return self.get_string_attribute("app_id")

    @property
    def fingerprint(self) -> str:
        """A keyed hash of the value: equal values have equal ones in one IMS, and only there."""
        return self.get_string_attribute("fingerprint")

    @property
    def id(self) -> str:
        """The secret's id."""
        return self.get_string_attribute("id")

    @property
    def install_id(self) -> str:
        """The id or name of the only install that may use it."""
        return self.get_string_attribute("install_id")

    @property
    def name(self) -> str:
        """The secret's name, unique in its scope."""
        return self.get_string_attribute("name")

    @property
    def value_wo_version(self) -> float:
        """Change it to write the value anew. Left out: another value is noticed by its fingerprint, which suits a value
        that is the same in each run.
        """
        return self.get_number_attribute("value_wo_version")

    @property
    def version(self) -> float:
        """Counts the values, from 1."""
        return self.get_number_attribute("version")


class ExclaveServiceToken(Resource):
    """A token with which a program calls the IMS. The token itself is written to a file, never to the state. A destroy
    revokes it.
    """

    TYPE = "exclave_service_token"

    def __init__(
        self,
        construct_scope: Construct,
        construct_id: str,
        /,
        *,
        name: str,
        expires_in: float | None = None,
        role: str | None = None,
        scope: str | None = None,
        secret_file: str | None = None,
        **meta: Unpack[Meta],
    ) -> None:
        """Arguments as in HCL.

        Args:
            name: The token's name. Names of revoked tokens stay taken, as the history shows them: `token_name` then has a
                number after it.
            expires_in: Seconds until it expires; None means never.
            role: What the token may do. One of viewer, editor, deployer, admin, agent:build, agent:install.
            scope: Where: `all`, `app:NAME` or `install:NAME`. An id will do as a name.
            secret_file: A file to write the token to, with mode 0600, as it is shown only once; it is in no state. A
                destroy removes the file.
        """
        attributes = {
            "name": name,
            "expires_in": expires_in,
            "role": role,
            "scope": scope,
            "secret_file": secret_file,
        }
        super().__init__(construct_scope, construct_id, self.TYPE, attributes, meta)

    @property
    def expires_at(self) -> str:
        """When the token expires; null for never."""
        return self.get_string_attribute("expires_at")

    @property
    def expires_in(self) -> float:
        """Seconds until it expires; None means never."""
        return self.get_number_attribute("expires_in")

    @property
    def id(self) -> str:
        """The token's id."""
        return self.get_string_attribute("id")

    @property
    def name(self) -> str:
        """The token's name. Names of revoked tokens stay taken, as the history shows them: `token_name` then has a number
        after it.
        """
        return self.get_string_attribute("name")

    @property
    def role(self) -> str:
        """What the token may do."""
        return self.get_string_attribute("role")

    @property
    def scope(self) -> str:
        """Where: `all`, `app:NAME` or `install:NAME`. An id will do as a name."""
        return self.get_string_attribute("scope")

    @property
    def secret_file(self) -> str:
        """A file to write the token to, with mode 0600, as it is shown only once; it is in no state. A destroy removes the
        file.
        """
        return self.get_string_attribute("secret_file")

    @property
    def token_name(self) -> str:
        """The name that the history shows."""
        return self.get_string_attribute("token_name")


class ExclaveTerraformModuleComponentProbes(TypedDict, total=False):
    """What the install agent looks at, by name, after each apply and in each drift run: the component is then `healthy`,
    `degraded` or `unknown`.

    Keys:
        attempts: How often to try before it counts as degraded.
        http: A URL to GET, `http://` or `https://`. It may hold references, such as `{{ self.outputs.url }}`.
        interval_seconds: How long to wait between attempts.
        status: The status that `http` must answer with; left out, any from 200 to 299.
        tcp: A `HOST:PORT` to connect to. It may hold references, such as `{{ self.outputs.host }}`.
        timeout_seconds: How long one attempt may take.
    """

    attempts: float
    http: str
    interval_seconds: float
    status: float
    tcp: str
    timeout_seconds: float


class ExclaveTerraformModuleComponentGit(TypedDict, total=False):
    """The module's folder. It is in a git repository.

    Keys:
        password_secret: The name of the secret of the IMS (`exclave_secret`) that holds the password or token, for https.
        ref: A branch, a tag or a commit.
        ssh_key_secret: The name of the secret of the IMS that holds a private key (OpenSSH or PEM), for ssh.
        subdirectory: The folder inside the repository.
        url: What `git clone` takes: https, ssh or a local path.
        username: Who reads it by https. Left out, `git`: services that take tokens ignore it.
    """

    url: Required[str]
    password_secret: str
    ref: str
    ssh_key_secret: str
    subdirectory: str
    username: str


class ExclaveTerraformModuleComponentPath(TypedDict, total=False):
    """The module's folder. It is on the disk of whoever runs Terraform and of the build agent.

    Keys:
        path: The folder's path. A relative path starts at the folder of `terraform`.
    """

    path: Required[str]


class ExclaveTerraformModuleComponent(Resource):
    """A component of an app: a Terraform module, which the install agent runs in the customer's account."""

    TYPE = "exclave_terraform_module_component"

    def __init__(
        self,
        construct_scope: Construct,
        construct_id: str,
        /,
        *,
        app_id: str,
        name: str,
        bundle_engine: str | None = None,
        environment: Mapping[str, str] | cdk.IResolvable | None = None,
        parallelism: float | None = None,
        platforms: Sequence[str] | cdk.IResolvable | None = None,
        probes: Mapping[str, ExclaveTerraformModuleComponentProbes] | cdk.IResolvable | None = None,
        timeout: float | None = None,
        var_files: Sequence[str] | cdk.IResolvable | None = None,
        variables: Mapping[str, str] | cdk.IResolvable | None = None,
        git: ExclaveTerraformModuleComponentGit | cdk.IResolvable | None = None,
        path: ExclaveTerraformModuleComponentPath | cdk.IResolvable | None = None,
        **meta: Unpack[Meta],
    ) -> None:
        """Arguments as in HCL.

        Exactly one of path, git is given.

        Args:
            app_id: The app's id or name.
            name: The component's name, unique in its app: `{{ components.NAME.outputs.X }}` refers to it.
            bundle_engine: Whether the engine's binary travels in the bundle. `auto`: OpenTofu (MPL-2.0) does, Terraform
                (BUSL-1.1) doesn't and the install agent uses its own. One of auto, always, never.
            environment: Variables of the engine's environment, for providers that take settings there. They may hold
                references, such as `{{ inputs.region }}`. What the install agent's own environment has, wins.
            parallelism: How many objects are worked on at once. Left out: the engine's own number, 10.
            platforms: The platforms of the install agents, such as `linux/amd64` and `linux/arm64`: each gets the providers
                of its own. Left out: the build agent's own platform.
            probes: What the install agent looks at, by name, after each apply and in each drift run: the component is then
                `healthy`, `degraded` or `unknown`.
            timeout: How long a plan, an apply or a destroy may take, in seconds; it is then stopped as by Ctrl-C. Left out:
                an hour for a plan, six for the others.
            var_files: Files of variables (`.tfvars`, `.tfvars.json`) in the source's folder; a later one wins over an
                earlier one, and `variables` over all.
            variables: Values for the module's variables. They may hold references, such as `{{ inputs.domain }}` or `{{
                components.network.outputs.id }}`. Lists and maps are written as JSON.
            git: The module's folder. It is in a git repository.
            path: The module's folder. It is on the disk of whoever runs Terraform and of the build agent.
        """
        attributes = {
            "app_id": app_id,
            "name": name,
            "bundle_engine": bundle_engine,
            "environment": environment,
            "parallelism": parallelism,
            "platforms": platforms,
            "probes": probes,
            "timeout": timeout,
            "var_files": var_files,
            "variables": variables,
            "git": git,
            "path": path,
        }
        super().__init__(construct_scope, construct_id, self.TYPE, attributes, meta)

    @property
    def app_id(self) -> str:
        """The app's id or name."""
        return self.get_string_attribute("app_id")

    @property
    def bundle_engine(self) -> str:
        """Whether the engine's binary travels in the bundle. `auto`: OpenTofu (MPL-2.0) does, Terraform (BUSL-1.1) doesn't
        and the install agent uses its own.
        """
        return self.get_string_attribute("bundle_engine")

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables of the engine's environment, for providers that take settings there. They may hold references, such as
        `{{ inputs.region }}`. What the install agent's own environment has, wins.
        """
        return self.get_string_map_attribute("environment")

    @property
    def id(self) -> str:
        """The component's id."""
        return self.get_string_attribute("id")

    @property
    def name(self) -> str:
        """The component's name, unique in its app: `{{ components.NAME.outputs.X }}` refers to it."""
        return self.get_string_attribute("name")

    @property
    def parallelism(self) -> float:
        """How many objects are worked on at once. Left out: the engine's own number, 10."""
        return self.get_number_attribute("parallelism")

    @property
    def platforms(self) -> Sequence[str]:
        """The platforms of the install agents, such as `linux/amd64` and `linux/arm64`: each gets the providers of its own.
        Left out: the build agent's own platform.
        """
        return self.get_list_attribute("platforms")

    @property
    def probes(self) -> cdk.IResolvable:
        """What the install agent looks at, by name, after each apply and in each drift run: the component is then
        `healthy`, `degraded` or `unknown`.
        """
        return self.interpolation_for_attribute("probes")

    @property
    def source_digest(self) -> str:
        """The content hash of the folder at `path`, which decides whether the source has changed. Null without `path`: for
        `git`, the build records the commit.
        """
        return self.get_string_attribute("source_digest")

    @property
    def timeout(self) -> float:
        """How long a plan, an apply or a destroy may take, in seconds; it is then stopped as by Ctrl-C. Left out: an hour
        for a plan, six for the others.
        """
        return self.get_number_attribute("timeout")

    @property
    def var_files(self) -> Sequence[str]:
        """Files of variables (`.tfvars`, `.tfvars.json`) in the source's folder; a later one wins over an earlier one, and
        `variables` over all.
        """
        return self.get_list_attribute("var_files")

    @property
    def variables(self) -> Mapping[str, str]:
        """Values for the module's variables. They may hold references, such as `{{ inputs.domain }}` or `{{
        components.network.outputs.id }}`. Lists and maps are written as JSON.
        """
        return self.get_string_map_attribute("variables")

    @property
    def version(self) -> float:
        """Counts the component's configs, from 1."""
        return self.get_number_attribute("version")

    @property
    def git(self) -> cdk.IResolvable:
        """The module's folder. It is in a git repository."""
        return self.interpolation_for_attribute("git")

    @property
    def path(self) -> cdk.IResolvable:
        """The module's folder. It is on the disk of whoever runs Terraform and of the build agent."""
        return self.interpolation_for_attribute("path")


class ExclaveWebhook(Resource):
    """A webhook: events of the history, sent to an address by POST and signed (Standard Webhooks)."""

    TYPE = "exclave_webhook"

    def __init__(
        self,
        construct_scope: Construct,
        construct_id: str,
        /,
        *,
        name: str,
        url: str,
        app_id: str | None = None,
        description: str | None = None,
        enabled: bool | cdk.IResolvable | None = None,
        events: Sequence[str] | cdk.IResolvable | None = None,
        install_id: str | None = None,
        secret_file: str | None = None,
        **meta: Unpack[Meta],
    ) -> None:
        """Arguments as in HCL.

        Args:
            name: 1 to 63 of a-z, 0-9, `-` and `_`; begins with a letter, ends with a letter or a digit.
            url: Where events are sent, by POST. https, unless the address is allowed.
            app_id: Only events of this app and its installs: its id or name.
            description: What it is for, for people.
            enabled: Whether events are sent. Exclave switches off what fails for days.
            events: Which actions are sent.
            install_id: Only events of this install: its id or name.
            secret_file: A file to write the signing secret to, with mode 0600, as it is shown only once; it is in no state.
                A destroy removes the file.
        """
        attributes = {
            "name": name,
            "url": url,
            "app_id": app_id,
            "description": description,
            "enabled": enabled,
            "events": events,
            "install_id": install_id,
            "secret_file": secret_file,
        }
        super().__init__(construct_scope, construct_id, self.TYPE, attributes, meta)

    @property
    def app_id(self) -> str:
        """Only events of this app and its installs: its id or name."""
        return self.get_string_attribute("app_id")

    @property
    def description(self) -> str:
        """What it is for, for people."""
        return self.get_string_attribute("description")

    @property
    def disabled_because(self) -> str:
        """Why Exclave switched it off by itself; null if it didn't."""
        return self.get_string_attribute("disabled_because")

    @property
    def enabled(self) -> cdk.IResolvable:
        """Whether events are sent. Exclave switches off what fails for days."""
        return self.get_boolean_attribute("enabled")

    @property
    def events(self) -> Sequence[str]:
        """Which actions are sent."""
        return self.get_list_attribute("events")

    @property
    def id(self) -> str:
        """The webhook's id."""
        return self.get_string_attribute("id")

    @property
    def install_id(self) -> str:
        """Only events of this install: its id or name."""
        return self.get_string_attribute("install_id")

    @property
    def name(self) -> str:
        """1 to 63 of a-z, 0-9, `-` and `_`; begins with a letter, ends with a letter or a digit."""
        return self.get_string_attribute("name")

    @property
    def secret_file(self) -> str:
        """A file to write the signing secret to, with mode 0600, as it is shown only once; it is in no state. A destroy
        removes the file.
        """
        return self.get_string_attribute("secret_file")

    @property
    def url(self) -> str:
        """Where events are sent, by POST. https, unless the address is allowed."""
        return self.get_string_attribute("url")


class DataExclaveAgent(DataSource):
    """Reads an agent, by its id."""

    TYPE = "exclave_agent"

    def __init__(
        self,
        construct_scope: Construct,
        construct_id: str,
        /,
        *,
        id: str,
        **meta: Unpack[Meta],
    ) -> None:
        """Arguments as in HCL.

        Args:
            id: The agent's id.
        """
        attributes = {
            "id": id,
        }
        super().__init__(construct_scope, construct_id, self.TYPE, attributes, meta)

    @property
    def enrolled_at(self) -> str:
        """When it enrolled (RFC 3339)."""
        return self.get_string_attribute("enrolled_at")

    @property
    def id(self) -> str:
        """The agent's id."""
        return self.get_string_attribute("id")

    @property
    def install_id(self) -> str:
        """The id of the install agent's install."""
        return self.get_string_attribute("install_id")

    @property
    def kind(self) -> str:
        """`build` or `install`."""
        return self.get_string_attribute("kind")

    @property
    def last_seen_at(self) -> str:
        """When it was last heard of (RFC 3339)."""
        return self.get_string_attribute("last_seen_at")

    @property
    def name(self) -> str:
        """The agent's name, as it gave it when it enrolled."""
        return self.get_string_attribute("name")

    @property
    def offline_since(self) -> str:
        """When it was last heard of, if it is offline."""
        return self.get_string_attribute("offline_since")

    @property
    def platform(self) -> str:
        """Its platform, such as `linux/amd64`."""
        return self.get_string_attribute("platform")

    @property
    def revoked_at(self) -> str:
        """When its access was ended; null while it may work."""
        return self.get_string_attribute("revoked_at")

    @property
    def status(self) -> str:
        """`offline`: not heard of for longer than two of its requests may be apart."""
        return self.get_string_attribute("status")

    @property
    def version(self) -> str:
        """The version that it runs."""
        return self.get_string_attribute("version")


class DataExclaveAgentEnrollment(DataSource):
    """Reads an enrolment token, without the token."""

    TYPE = "exclave_agent_enrollment"

    def __init__(
        self,
        construct_scope: Construct,
        construct_id: str,
        /,
        *,
        id: str,
        **meta: Unpack[Meta],
    ) -> None:
        """Arguments as in HCL.

        Args:
            id: The enrolment's id.
        """
        attributes = {
            "id": id,
        }
        super().__init__(construct_scope, construct_id, self.TYPE, attributes, meta)

    @property
    def agent_id(self) -> str:
        """The agent that has enrolled with it; null until one has."""
        return self.get_string_attribute("agent_id")

    @property
    def expires_at(self) -> str:
        """Until when the token can be used."""
        return self.get_string_attribute("expires_at")

    @property
    def id(self) -> str:
        """The enrolment's id."""
        return self.get_string_attribute("id")

    @property
    def install_id(self) -> str:
        """The install's id or name; only for an install agent."""
        return self.get_string_attribute("install_id")

    @property
    def kind(self) -> str:
        """`install`: an agent that deploys in one install's account. `build`: one that builds."""
        return self.get_string_attribute("kind")


class DataExclaveAgents(DataSource):
    """Reads the agents."""

    TYPE = "exclave_agents"

    def __init__(
        self,
        construct_scope: Construct,
        construct_id: str,
        /,
        *,
        install_id: str | None = None,
        kind: str | None = None,
        name: str | None = None,
        status: str | None = None,
        version: str | None = None,
        **meta: Unpack[Meta],
    ) -> None:
        """Arguments as in HCL.

        Args:
            install_id: Only those of this install: its id or name.
            kind: Only those of this kind. One of build, install.
            name: Only the one of this name.
            status: Only those of this status. One of online, offline, revoked.
            version: Only those that run this version.
        """
        attributes = {
            "install_id": install_id,
            "kind": kind,
            "name": name,
            "status": status,
            "version": version,
        }
        super().__init__(construct_scope, construct_id, self.TYPE, attributes, meta)

    @property
    def agents(self) -> cdk.IResolvable:
        """What was found: the agents."""
        return self.interpolation_for_attribute("agents")

    @property
    def install_id(self) -> str:
        """Only those of this install: its id or name."""
        return self.get_string_attribute("install_id")

    @property
    def kind(self) -> str:
        """Only those of this kind."""
        return self.get_string_attribute("kind")

    @property
    def name(self) -> str:
        """Only the one of this name."""
        return self.get_string_attribute("name")

    @property
    def status(self) -> str:
        """Only those of this status."""
        return self.get_string_attribute("status")

    @property
    def version(self) -> str:
        """Only those that run this version."""
        return self.get_string_attribute("version")


class DataExclaveApp(DataSource):
    """Reads an app, by `id` or by `name`."""

    TYPE = "exclave_app"

    def __init__(
        self,
        construct_scope: Construct,
        construct_id: str,
        /,
        *,
        id: str | None = None,
        name: str | None = None,
        **meta: Unpack[Meta],
    ) -> None:
        """Arguments as in HCL.

        Exactly one of id, name is given.

        Args:
            id: The app's id.
            name: The app's name, unique in this IMS. A new name makes a new app.
        """
        attributes = {
            "id": id,
            "name": name,
        }
        super().__init__(construct_scope, construct_id, self.TYPE, attributes, meta)

    @property
    def description(self) -> str:
        """What the app is, for people."""
        return self.get_string_attribute("description")

    @property
    def id(self) -> str:
        """The app's id."""
        return self.get_string_attribute("id")

    @property
    def inputs(self) -> cdk.IResolvable:
        """What each install must or may say about itself, by the input's name."""
        return self.interpolation_for_attribute("inputs")

    @property
    def labels(self) -> Mapping[str, str]:
        """What the vendor says about the app, to choose it by."""
        return self.get_string_map_attribute("labels")

    @property
    def name(self) -> str:
        """The app's name, unique in this IMS. A new name makes a new app."""
        return self.get_string_attribute("name")


class DataExclaveApps(DataSource):
    """Reads the apps."""

    TYPE = "exclave_apps"

    def __init__(
        self,
        construct_scope: Construct,
        construct_id: str,
        /,
        *,
        name: str | None = None,
        selector: str | None = None,
        **meta: Unpack[Meta],
    ) -> None:
        """Arguments as in HCL.

        Args:
            name: Only the one of this name.
            selector: Only those with these labels: `region=eu,tier!=free,env in (a,b),canary,!old`; all must hold.
        """
        attributes = {
            "name": name,
            "selector": selector,
        }
        super().__init__(construct_scope, construct_id, self.TYPE, attributes, meta)

    @property
    def apps(self) -> cdk.IResolvable:
        """What was found: the apps."""
        return self.interpolation_for_attribute("apps")

    @property
    def name(self) -> str:
        """Only the one of this name."""
        return self.get_string_attribute("name")

    @property
    def selector(self) -> str:
        """Only those with these labels: `region=eu,tier!=free,env in (a,b),canary,!old`; all must hold."""
        return self.get_string_attribute("selector")


class DataExclaveBuild(DataSource):
    """Reads a build, by its id."""

    TYPE = "exclave_build"

    def __init__(
        self,
        construct_scope: Construct,
        construct_id: str,
        /,
        *,
        id: str,
        **meta: Unpack[Meta],
    ) -> None:
        """Arguments as in HCL.

        Args:
            id: The build's id.
        """
        attributes = {
            "id": id,
        }
        super().__init__(construct_scope, construct_id, self.TYPE, attributes, meta)

    @property
    def app_id(self) -> str:
        """The id of its app."""
        return self.get_string_attribute("app_id")

    @property
    def artifact(self) -> cdk.IResolvable:
        """The signed artifact; null until it is built."""
        return self.interpolation_for_attribute("artifact")

    @property
    def component(self) -> str:
        """The component's name."""
        return self.get_string_attribute("component")

    @property
    def component_version(self) -> float:
        """The version of the component's config."""
        return self.get_number_attribute("component_version")

    @property
    def created_at(self) -> str:
        """When it was made (RFC 3339)."""
        return self.get_string_attribute("created_at")

    @property
    def ended_at(self) -> str:
        """When it ended; null before."""
        return self.get_string_attribute("ended_at")

    @property
    def failure(self) -> cdk.IResolvable:
        """Why it failed."""
        return self.interpolation_for_attribute("failure")

    @property
    def id(self) -> str:
        """The build's id."""
        return self.get_string_attribute("id")

    @property
    def source_revision(self) -> str:
        """The commit, or the folder's content hash."""
        return self.get_string_attribute("source_revision")

    @property
    def status(self) -> str:
        """`queued`, `running`, `succeeded`, `failed` or `cancelled`."""
        return self.get_string_attribute("status")

    @property
    def waiting_for(self) -> str:
        """In plain words, why it isn't done yet; empty when it is."""
        return self.get_string_attribute("waiting_for")


class DataExclaveBuilds(DataSource):
    """Reads the builds, the oldest first."""

    TYPE = "exclave_builds"

    def __init__(
        self,
        construct_scope: Construct,
        construct_id: str,
        /,
        *,
        app_id: str | None = None,
        component: str | None = None,
        component_version: float | None = None,
        status: str | None = None,
        **meta: Unpack[Meta],
    ) -> None:
        """Arguments as in HCL.

        Args:
            app_id: Only those of this app: its id or name.
            component: Only those of components with this name.
            component_version: Only those of this version of a component's config.
            status: Only those of this status. One of queued, running, succeeded, failed, cancelled.
        """
        attributes = {
            "app_id": app_id,
            "component": component,
            "component_version": component_version,
            "status": status,
        }
        super().__init__(construct_scope, construct_id, self.TYPE, attributes, meta)

    @property
    def app_id(self) -> str:
        """Only those of this app: its id or name."""
        return self.get_string_attribute("app_id")

    @property
    def builds(self) -> cdk.IResolvable:
        """What was found: the builds, the oldest first."""
        return self.interpolation_for_attribute("builds")

    @property
    def component(self) -> str:
        """Only those of components with this name."""
        return self.get_string_attribute("component")

    @property
    def component_version(self) -> float:
        """Only those of this version of a component's config."""
        return self.get_number_attribute("component_version")

    @property
    def status(self) -> str:
        """Only those of this status."""
        return self.get_string_attribute("status")


class DataExclaveComponents(DataSource):
    """Reads the components of an app."""

    TYPE = "exclave_components"

    def __init__(
        self,
        construct_scope: Construct,
        construct_id: str,
        /,
        *,
        app_id: str,
        kind: str | None = None,
        name: str | None = None,
        **meta: Unpack[Meta],
    ) -> None:
        """Arguments as in HCL.

        Args:
            app_id: The app's id or name.
            kind: Only those of this kind. One of terraform_module, container_image, docker_build, helm_chart,
                kubernetes_manifest, custom.
            name: Only the one of this name.
        """
        attributes = {
            "app_id": app_id,
            "kind": kind,
            "name": name,
        }
        super().__init__(construct_scope, construct_id, self.TYPE, attributes, meta)

    @property
    def app_id(self) -> str:
        """The app's id or name."""
        return self.get_string_attribute("app_id")

    @property
    def components(self) -> cdk.IResolvable:
        """What was found: the components of an app."""
        return self.interpolation_for_attribute("components")

    @property
    def kind(self) -> str:
        """Only those of this kind."""
        return self.get_string_attribute("kind")

    @property
    def name(self) -> str:
        """Only the one of this name."""
        return self.get_string_attribute("name")


class DataExclaveContainerImageComponent(DataSource):
    """Reads a component by its app and name. A component of an app: an image that exists, which is copied into the
    customer's registry.
    """

    TYPE = "exclave_container_image_component"

    def __init__(
        self,
        construct_scope: Construct,
        construct_id: str,
        /,
        *,
        app_id: str,
        name: str,
        **meta: Unpack[Meta],
    ) -> None:
        """Arguments as in HCL.

        Args:
            app_id: The app's id or name.
            name: The component's name, unique in its app: `{{ components.NAME.outputs.X }}` refers to it.
        """
        attributes = {
            "app_id": app_id,
            "name": name,
        }
        super().__init__(construct_scope, construct_id, self.TYPE, attributes, meta)

    @property
    def app_id(self) -> str:
        """The app's id or name."""
        return self.get_string_attribute("app_id")

    @property
    def aws_ecr(self) -> cdk.IResolvable:
        """An image in Amazon ECR."""
        return self.interpolation_for_attribute("aws_ecr")

    @property
    def azure_acr(self) -> cdk.IResolvable:
        """An image in Azure Container Registry."""
        return self.interpolation_for_attribute("azure_acr")

    @property
    def gcp_gar(self) -> cdk.IResolvable:
        """An image in Google Artifact Registry."""
        return self.interpolation_for_attribute("gcp_gar")

    @property
    def id(self) -> str:
        """The component's id."""
        return self.get_string_attribute("id")

    @property
    def name(self) -> str:
        """The component's name, unique in its app: `{{ components.NAME.outputs.X }}` refers to it."""
        return self.get_string_attribute("name")

    @property
    def platforms(self) -> Sequence[str]:
        """The platforms to take, such as `linux/amd64` and `linux/arm64`. Left out: all that there are."""
        return self.get_list_attribute("platforms")

    @property
    def public(self) -> cdk.IResolvable:
        """An image that anyone may pull."""
        return self.interpolation_for_attribute("public")

    @property
    def registry(self) -> cdk.IResolvable:
        """An image in any other registry, with or without a login."""
        return self.interpolation_for_attribute("registry")

    @property
    def verify(self) -> cdk.IResolvable:
        """Who must have signed the image in its source registry: without a good signature of that digest the build fails.
        Left out: anybody, or nobody.
        """
        return self.interpolation_for_attribute("verify")

    @property
    def version(self) -> float:
        """Counts the component's configs, from 1."""
        return self.get_number_attribute("version")


class DataExclaveCustomComponent(DataSource):
    """Reads a component by its app and name. A component of an app: a command of the vendor's, which the install agent runs
    where the customer's policy allows it.
    """

    TYPE = "exclave_custom_component"

    def __init__(
        self,
        construct_scope: Construct,
        construct_id: str,
        /,
        *,
        app_id: str,
        name: str,
        **meta: Unpack[Meta],
    ) -> None:
        """Arguments as in HCL.

        Args:
            app_id: The app's id or name.
            name: The component's name, unique in its app: `{{ components.NAME.outputs.X }}` refers to it.
        """
        attributes = {
            "app_id": app_id,
            "name": name,
        }
        super().__init__(construct_scope, construct_id, self.TYPE, attributes, meta)

    @property
    def app_id(self) -> str:
        """The app's id or name."""
        return self.get_string_attribute("app_id")

    @property
    def command(self) -> Sequence[str]:
        """The program and its arguments, run in the folder. A path begins with `./`."""
        return self.get_list_attribute("command")

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables of the command's environment. They may hold references, such as `{{ inputs.domain }}`."""
        return self.get_string_map_attribute("environment")

    @property
    def git(self) -> cdk.IResolvable:
        """The folder with the command and its files. It is in a git repository."""
        return self.interpolation_for_attribute("git")

    @property
    def id(self) -> str:
        """The component's id."""
        return self.get_string_attribute("id")

    @property
    def interface(self) -> str:
        """How it is spoken to. `command`: it is run as it is. `json`: it is a plugin, which takes and gives JSON. `python`:
        `command` names a plugin that is installed beside the agents, by its entry point.
        """
        return self.get_string_attribute("interface")

    @property
    def name(self) -> str:
        """The component's name, unique in its app: `{{ components.NAME.outputs.X }}` refers to it."""
        return self.get_string_attribute("name")

    @property
    def path(self) -> cdk.IResolvable:
        """The folder with the command and its files. It is on the disk of whoever runs Terraform and of the build agent."""
        return self.interpolation_for_attribute("path")

    @property
    def probes(self) -> cdk.IResolvable:
        """What the install agent looks at, by name, after each apply and in each drift run: the component is then
        `healthy`, `degraded` or `unknown`.
        """
        return self.interpolation_for_attribute("probes")

    @property
    def source_digest(self) -> str:
        """The content hash of the folder at `path`, which decides whether the source has changed. Null without `path`: for
        `git`, the build records the commit.
        """
        return self.get_string_attribute("source_digest")

    @property
    def version(self) -> float:
        """Counts the component's configs, from 1."""
        return self.get_number_attribute("version")


class DataExclaveDeployment(DataSource):
    """Reads what was last deployed to an install."""

    TYPE = "exclave_deployment"

    def __init__(
        self,
        construct_scope: Construct,
        construct_id: str,
        /,
        *,
        install_id: str,
        **meta: Unpack[Meta],
    ) -> None:
        """Arguments as in HCL.

        Args:
            install_id: The install's id or name.
        """
        attributes = {
            "install_id": install_id,
        }
        super().__init__(construct_scope, construct_id, self.TYPE, attributes, meta)

    @property
    def deploy_id(self) -> str:
        """The id of the newest deploy of the install."""
        return self.get_string_attribute("deploy_id")

    @property
    def id(self) -> str:
        """The install's id."""
        return self.get_string_attribute("id")

    @property
    def inputs_version(self) -> float:
        """The version of the install's inputs to deploy with; a change brings the new inputs. Left out: the newest at the
        time, and a change of the inputs alone deploys nothing.
        """
        return self.get_number_attribute("inputs_version")

    @property
    def install_id(self) -> str:
        """The install's id or name."""
        return self.get_string_attribute("install_id")

    @property
    def left_out(self) -> Sequence[str]:
        """Components that the newest deploy did not bring, or not wholly: somebody skipped them, or had them planned in
        part (`exclave deploys create --target`). The next plan deploys them.
        """
        return self.get_list_attribute("left_out")

    @property
    def outputs(self) -> Mapping[str, str]:
        """The components' outputs, by `component.output`: strings as they are, anything else as JSON for `jsondecode`.
        Sensitive outputs stay in the customer's account.
        """
        return self.get_string_map_attribute("outputs")

    @property
    def release_id(self) -> str:
        """The release's id. Another release is brought to the install in place."""
        return self.get_string_attribute("release_id")

    @property
    def status(self) -> str:
        """`pending`, `running`, `succeeded`, `failed`, `cancelling` or `cancelled`."""
        return self.get_string_attribute("status")


class DataExclaveDeployments(DataSource):
    """Reads the deploys of installs, the oldest first."""

    TYPE = "exclave_deployments"

    def __init__(
        self,
        construct_scope: Construct,
        construct_id: str,
        /,
        *,
        app_id: str | None = None,
        install_id: str | None = None,
        kind: str | None = None,
        release_id: str | None = None,
        release_number: float | None = None,
        selector: str | None = None,
        status: str | None = None,
        **meta: Unpack[Meta],
    ) -> None:
        """Arguments as in HCL.

        Args:
            app_id: Only those of this app: its id or name.
            install_id: Only those of this install: its id or name.
            kind: Only those of this kind; drift runs come only so. One of deploy, teardown, drift.
            release_id: Only those of this release, by its id.
            release_number: Only those of the release of this number in its app.
            selector: Only those of installs with these labels: `region=eu,tier!=free,env in (a,b),canary,!old`; all must
                hold.
            status: Only those of this status. One of pending, running, succeeded, failed, cancelling, cancelled.
        """
        attributes = {
            "app_id": app_id,
            "install_id": install_id,
            "kind": kind,
            "release_id": release_id,
            "release_number": release_number,
            "selector": selector,
            "status": status,
        }
        super().__init__(construct_scope, construct_id, self.TYPE, attributes, meta)

    @property
    def app_id(self) -> str:
        """Only those of this app: its id or name."""
        return self.get_string_attribute("app_id")

    @property
    def deployments(self) -> cdk.IResolvable:
        """What was found: the deploys of installs, the oldest first."""
        return self.interpolation_for_attribute("deployments")

    @property
    def install_id(self) -> str:
        """Only those of this install: its id or name."""
        return self.get_string_attribute("install_id")

    @property
    def kind(self) -> str:
        """Only those of this kind; drift runs come only so."""
        return self.get_string_attribute("kind")

    @property
    def release_id(self) -> str:
        """Only those of this release, by its id."""
        return self.get_string_attribute("release_id")

    @property
    def release_number(self) -> float:
        """Only those of the release of this number in its app."""
        return self.get_number_attribute("release_number")

    @property
    def selector(self) -> str:
        """Only those of installs with these labels: `region=eu,tier!=free,env in (a,b),canary,!old`; all must hold."""
        return self.get_string_attribute("selector")

    @property
    def status(self) -> str:
        """Only those of this status."""
        return self.get_string_attribute("status")


class DataExclaveDockerBuildComponent(DataSource):
    """Reads a component by its app and name. A component of an app: an image that the build agent builds from a Dockerfile."""

    TYPE = "exclave_docker_build_component"

    def __init__(
        self,
        construct_scope: Construct,
        construct_id: str,
        /,
        *,
        app_id: str,
        name: str,
        **meta: Unpack[Meta],
    ) -> None:
        """Arguments as in HCL.

        Args:
            app_id: The app's id or name.
            name: The component's name, unique in its app: `{{ components.NAME.outputs.X }}` refers to it.
        """
        attributes = {
            "app_id": app_id,
            "name": name,
        }
        super().__init__(construct_scope, construct_id, self.TYPE, attributes, meta)

    @property
    def app_id(self) -> str:
        """The app's id or name."""
        return self.get_string_attribute("app_id")

    @property
    def build_args(self) -> Mapping[str, str]:
        """Values for the Dockerfile's `ARG`s. Not for secrets."""
        return self.get_string_map_attribute("build_args")

    @property
    def dockerfile(self) -> str:
        """The Dockerfile's path in the folder."""
        return self.get_string_attribute("dockerfile")

    @property
    def git(self) -> cdk.IResolvable:
        """The folder that is the build's context. It is in a git repository."""
        return self.interpolation_for_attribute("git")

    @property
    def id(self) -> str:
        """The component's id."""
        return self.get_string_attribute("id")

    @property
    def name(self) -> str:
        """The component's name, unique in its app: `{{ components.NAME.outputs.X }}` refers to it."""
        return self.get_string_attribute("name")

    @property
    def path(self) -> cdk.IResolvable:
        """The folder that is the build's context. It is on the disk of whoever runs Terraform and of the build agent."""
        return self.interpolation_for_attribute("path")

    @property
    def platforms(self) -> Sequence[str]:
        """The platforms to build for, such as `linux/amd64`. Left out: the build agent's own."""
        return self.get_list_attribute("platforms")

    @property
    def secrets(self) -> Mapping[str, str]:
        """Secrets for `RUN --mount=type=secret,id=ID`: by id, the name of a secret of the IMS (`exclave_secret`)."""
        return self.get_string_map_attribute("secrets")

    @property
    def source_digest(self) -> str:
        """The content hash of the folder at `path`, which decides whether the source has changed. Null without `path`: for
        `git`, the build records the commit.
        """
        return self.get_string_attribute("source_digest")

    @property
    def target(self) -> str:
        """The stage to build; left out, the last one."""
        return self.get_string_attribute("target")

    @property
    def version(self) -> float:
        """Counts the component's configs, from 1."""
        return self.get_number_attribute("version")


class DataExclaveHelmChartComponent(DataSource):
    """Reads a component by its app and name. A component of an app: a Helm chart, which the install agent installs in the
    customer's cluster.
    """

    TYPE = "exclave_helm_chart_component"

    def __init__(
        self,
        construct_scope: Construct,
        construct_id: str,
        /,
        *,
        app_id: str,
        name: str,
        **meta: Unpack[Meta],
    ) -> None:
        """Arguments as in HCL.

        Args:
            app_id: The app's id or name.
            name: The component's name, unique in its app: `{{ components.NAME.outputs.X }}` refers to it.
        """
        attributes = {
            "app_id": app_id,
            "name": name,
        }
        super().__init__(construct_scope, construct_id, self.TYPE, attributes, meta)

    @property
    def app_id(self) -> str:
        """The app's id or name."""
        return self.get_string_attribute("app_id")

    @property
    def atomic(self) -> cdk.IResolvable:
        """Whether an apply that fails is rolled back: an upgrade to what ran before, an install to nothing."""
        return self.get_boolean_attribute("atomic")

    @property
    def bundle_helm(self) -> cdk.IResolvable:
        """Whether the build agent's helm rides in the artifact (some 60 MB). It then deploys the chart wherever the install
        agent is of the same platform, and its customer names no helm of their own.
        """
        return self.get_boolean_attribute("bundle_helm")

    @property
    def closure(self) -> str:
        """Whether every image that is named travels with the artifact. `strict`: each is found at the build and mirrored,
        and one that can't be fails the build. `off`: an install may pull from elsewhere.
        """
        return self.get_string_attribute("closure")

    @property
    def create_namespace(self) -> cdk.IResolvable:
        """Whether the namespace is made where there is none."""
        return self.get_boolean_attribute("create_namespace")

    @property
    def git(self) -> cdk.IResolvable:
        """The chart's folder. It is in a git repository."""
        return self.interpolation_for_attribute("git")

    @property
    def helm_repo(self) -> cdk.IResolvable:
        """A chart of a repository, instead of a folder."""
        return self.interpolation_for_attribute("helm_repo")

    @property
    def id(self) -> str:
        """The component's id."""
        return self.get_string_attribute("id")

    @property
    def name(self) -> str:
        """The component's name, unique in its app: `{{ components.NAME.outputs.X }}` refers to it."""
        return self.get_string_attribute("name")

    @property
    def namespace(self) -> str:
        """The namespace to install into."""
        return self.get_string_attribute("namespace")

    @property
    def path(self) -> cdk.IResolvable:
        """The chart's folder. It is on the disk of whoever runs Terraform and of the build agent."""
        return self.interpolation_for_attribute("path")

    @property
    def probes(self) -> cdk.IResolvable:
        """What the install agent looks at, by name, after each apply and in each drift run: the component is then
        `healthy`, `degraded` or `unknown`.
        """
        return self.interpolation_for_attribute("probes")

    @property
    def release_name(self) -> str:
        """The Helm release's name; left out, the component's."""
        return self.get_string_attribute("release_name")

    @property
    def skip_crds(self) -> cdk.IResolvable:
        """Whether the first install leaves out what the chart has in `crds/`. Helm never updates these."""
        return self.get_boolean_attribute("skip_crds")

    @property
    def source_digest(self) -> str:
        """The content hash of the folder at `path`, which decides whether the source has changed. Null without `path`: for
        `git`, the build records the commit.
        """
        return self.get_string_attribute("source_digest")

    @property
    def take_ownership(self) -> cdk.IResolvable:
        """Whether objects that are there already, of nobody or of another release, become this one's."""
        return self.get_boolean_attribute("take_ownership")

    @property
    def timeout(self) -> float:
        """How long each operation, such as waiting or one hook, may take, in seconds."""
        return self.get_number_attribute("timeout")

    @property
    def values(self) -> Mapping[str, str]:
        """Chart values by dotted path, such as `image.tag`; they win over the files. They may hold references, such as `{{
        inputs.domain }}`.
        """
        return self.get_string_map_attribute("values")

    @property
    def values_files(self) -> Sequence[str]:
        """Values files in the source's folder; a later one wins over an earlier one."""
        return self.get_list_attribute("values_files")

    @property
    def version(self) -> float:
        """Counts the component's configs, from 1."""
        return self.get_number_attribute("version")

    @property
    def wait(self) -> cdk.IResolvable:
        """Whether an apply waits until everything that the chart runs is ready."""
        return self.get_boolean_attribute("wait")


class DataExclaveInstall(DataSource):
    """Reads an install, by `id` or by `name`. Its sensitive inputs can't be read."""

    TYPE = "exclave_install"

    def __init__(
        self,
        construct_scope: Construct,
        construct_id: str,
        /,
        *,
        id: str | None = None,
        name: str | None = None,
        **meta: Unpack[Meta],
    ) -> None:
        """Arguments as in HCL.

        Exactly one of id, name is given.

        Args:
            id: The install's id.
            name: The install's name, unique in this IMS. A new name makes a new install.
        """
        attributes = {
            "id": id,
            "name": name,
        }
        super().__init__(construct_scope, construct_id, self.TYPE, attributes, meta)

    @property
    def agent_id(self) -> str:
        """The id of the install's agent; null until one has enrolled."""
        return self.get_string_attribute("agent_id")

    @property
    def app_id(self) -> str:
        """The app's id or name. Another app makes a new install."""
        return self.get_string_attribute("app_id")

    @property
    def approval(self) -> str:
        """Who approves a plan: `auto` (nobody), `vendor` or `customer`."""
        return self.get_string_attribute("approval")

    @property
    def approval_timeout_hours(self) -> float:
        """How long a plan waits for its approval before its step fails; null = forever."""
        return self.get_number_attribute("approval_timeout_hours")

    @property
    def drift_check_hours(self) -> float:
        """How often to look whether what is deployed has drifted; null = never."""
        return self.get_number_attribute("drift_check_hours")

    @property
    def heal_drift(self) -> cdk.IResolvable:
        """Deploy the same release again when a drift run has found drift. `approval` holds for that deploy, too."""
        return self.get_boolean_attribute("heal_drift")

    @property
    def id(self) -> str:
        """The install's id."""
        return self.get_string_attribute("id")

    @property
    def inputs(self) -> Mapping[str, str]:
        """Values for the app's inputs that aren't sensitive."""
        return self.get_string_map_attribute("inputs")

    @property
    def inputs_version(self) -> float:
        """Counts the changes of the install's inputs, from 1."""
        return self.get_number_attribute("inputs_version")

    @property
    def labels(self) -> Mapping[str, str]:
        """What the vendor says about the install, to choose it by: `?selector=region=eu`."""
        return self.get_string_map_attribute("labels")

    @property
    def name(self) -> str:
        """The install's name, unique in this IMS. A new name makes a new install."""
        return self.get_string_attribute("name")

    @property
    def platform(self) -> str:
        """Whose cloud it is in: `aws`, `google`, `azure` or `custom`."""
        return self.get_string_attribute("platform")

    @property
    def region(self) -> str:
        """The platform's region; `{{ install.region }}` refers to it. `custom` takes any."""
        return self.get_string_attribute("region")


class DataExclaveInstalls(DataSource):
    """Reads the installs."""

    TYPE = "exclave_installs"

    def __init__(
        self,
        construct_scope: Construct,
        construct_id: str,
        /,
        *,
        app_id: str | None = None,
        release_id: str | None = None,
        release_number: float | None = None,
        selector: str | None = None,
        **meta: Unpack[Meta],
    ) -> None:
        """Arguments as in HCL.

        Args:
            app_id: Only those of this app: its id or name.
            release_id: Only those that run a component of this release, by its id.
            release_number: Only those that run a component of the release of this number.
            selector: Only those with these labels: `region=eu,tier!=free,env in (a,b),canary,!old`; all must hold.
        """
        attributes = {
            "app_id": app_id,
            "release_id": release_id,
            "release_number": release_number,
            "selector": selector,
        }
        super().__init__(construct_scope, construct_id, self.TYPE, attributes, meta)

    @property
    def app_id(self) -> str:
        """Only those of this app: its id or name."""
        return self.get_string_attribute("app_id")

    @property
    def installs(self) -> cdk.IResolvable:
        """What was found: the installs."""
        return self.interpolation_for_attribute("installs")

    @property
    def release_id(self) -> str:
        """Only those that run a component of this release, by its id."""
        return self.get_string_attribute("release_id")

    @property
    def release_number(self) -> float:
        """Only those that run a component of the release of this number."""
        return self.get_number_attribute("release_number")

    @property
    def selector(self) -> str:
        """Only those with these labels: `region=eu,tier!=free,env in (a,b),canary,!old`; all must hold."""
        return self.get_string_attribute("selector")


class DataExclaveKubernetesManifestComponent(DataSource):
    """Reads a component by its app and name. A component of an app: Kubernetes manifests, which the install agent applies
    in the customer's cluster.
    """

    TYPE = "exclave_kubernetes_manifest_component"

    def __init__(
        self,
        construct_scope: Construct,
        construct_id: str,
        /,
        *,
        app_id: str,
        name: str,
        **meta: Unpack[Meta],
    ) -> None:
        """Arguments as in HCL.

        Args:
            app_id: The app's id or name.
            name: The component's name, unique in its app: `{{ components.NAME.outputs.X }}` refers to it.
        """
        attributes = {
            "app_id": app_id,
            "name": name,
        }
        super().__init__(construct_scope, construct_id, self.TYPE, attributes, meta)

    @property
    def app_id(self) -> str:
        """The app's id or name."""
        return self.get_string_attribute("app_id")

    @property
    def closure(self) -> str:
        """Whether every image that is named travels with the artifact. `strict`: each is found at the build and mirrored,
        and one that can't be fails the build. `off`: an install may pull from elsewhere.
        """
        return self.get_string_attribute("closure")

    @property
    def force_conflicts(self) -> cdk.IResolvable:
        """Whether fields that another field manager owns are taken over, rather than an error."""
        return self.get_boolean_attribute("force_conflicts")

    @property
    def git(self) -> cdk.IResolvable:
        """The folder with the manifests. It is in a git repository."""
        return self.interpolation_for_attribute("git")

    @property
    def id(self) -> str:
        """The component's id."""
        return self.get_string_attribute("id")

    @property
    def kustomize(self) -> cdk.IResolvable:
        """Whether the folder is a kustomization rather than plain manifests."""
        return self.get_boolean_attribute("kustomize")

    @property
    def manifest(self) -> str:
        """The manifests as YAML, instead of files. They may hold references, such as `{{ inputs.domain }}`."""
        return self.get_string_attribute("manifest")

    @property
    def name(self) -> str:
        """The component's name, unique in its app: `{{ components.NAME.outputs.X }}` refers to it."""
        return self.get_string_attribute("name")

    @property
    def namespace(self) -> str:
        """The namespace of what names none."""
        return self.get_string_attribute("namespace")

    @property
    def path(self) -> cdk.IResolvable:
        """The folder with the manifests. It is on the disk of whoever runs Terraform and of the build agent."""
        return self.interpolation_for_attribute("path")

    @property
    def probes(self) -> cdk.IResolvable:
        """What the install agent looks at, by name, after each apply and in each drift run: the component is then
        `healthy`, `degraded` or `unknown`.
        """
        return self.interpolation_for_attribute("probes")

    @property
    def source_digest(self) -> str:
        """The content hash of the folder at `path`, which decides whether the source has changed. Null without `path`: for
        `git`, the build records the commit.
        """
        return self.get_string_attribute("source_digest")

    @property
    def timeout(self) -> float:
        """How long to wait until everything is ready, or gone, in seconds."""
        return self.get_number_attribute("timeout")

    @property
    def version(self) -> float:
        """Counts the component's configs, from 1."""
        return self.get_number_attribute("version")

    @property
    def wait(self) -> cdk.IResolvable:
        """Whether an apply waits until everything is ready."""
        return self.get_boolean_attribute("wait")


class DataExclaveRelease(DataSource):
    """Reads a release, by `id`, or by `app_id` and `number`."""

    TYPE = "exclave_release"

    def __init__(
        self,
        construct_scope: Construct,
        construct_id: str,
        /,
        *,
        app_id: str | None = None,
        id: str | None = None,
        number: float | None = None,
        **meta: Unpack[Meta],
    ) -> None:
        """Arguments as in HCL.

        Exactly one of id, app_id is given.

        Args:
            app_id: The app's id or name.
            id: The release's id.
            number: The release's number in its app. Left out, with `app_id`: the newest release.
        """
        attributes = {
            "app_id": app_id,
            "id": id,
            "number": number,
        }
        super().__init__(construct_scope, construct_id, self.TYPE, attributes, meta)

    @property
    def app_id(self) -> str:
        """The app's id or name."""
        return self.get_string_attribute("app_id")

    @property
    def components(self) -> Mapping[str, float]:
        """The version of each component, by its name. Left out: the newest of each when the release is first made; later
        versions then make no new release.
        """
        return self.get_number_map_attribute("components")

    @property
    def digests(self) -> Mapping[str, str]:
        """The digest of each component's artifact, by the component's name."""
        return self.get_string_map_attribute("digests")

    @property
    def id(self) -> str:
        """The release's id."""
        return self.get_string_attribute("id")

    @property
    def number(self) -> float:
        """The release's number in its app. Left out, with `app_id`: the newest release."""
        return self.get_number_attribute("number")

    @property
    def status(self) -> str:
        """`building`, `ready` or `failed`."""
        return self.get_string_attribute("status")


class DataExclaveReleases(DataSource):
    """Reads the releases, the oldest first."""

    TYPE = "exclave_releases"

    def __init__(
        self,
        construct_scope: Construct,
        construct_id: str,
        /,
        *,
        app_id: str | None = None,
        number: float | None = None,
        selector: str | None = None,
        status: str | None = None,
        **meta: Unpack[Meta],
    ) -> None:
        """Arguments as in HCL.

        Args:
            app_id: Only those of this app: its id or name.
            number: Only those of this number in their app.
            selector: Only those with these labels: `region=eu,tier!=free,env in (a,b),canary,!old`; all must hold.
            status: Only those of this status. One of building, ready, failed.
        """
        attributes = {
            "app_id": app_id,
            "number": number,
            "selector": selector,
            "status": status,
        }
        super().__init__(construct_scope, construct_id, self.TYPE, attributes, meta)

    @property
    def app_id(self) -> str:
        """Only those of this app: its id or name."""
        return self.get_string_attribute("app_id")

    @property
    def number(self) -> float:
        """Only those of this number in their app."""
        return self.get_number_attribute("number")

    @property
    def releases(self) -> cdk.IResolvable:
        """What was found: the releases, the oldest first."""
        return self.interpolation_for_attribute("releases")

    @property
    def selector(self) -> str:
        """Only those with these labels: `region=eu,tier!=free,env in (a,b),canary,!old`; all must hold."""
        return self.get_string_attribute("selector")

    @property
    def status(self) -> str:
        """Only those of this status."""
        return self.get_string_attribute("status")


class DataExclaveSecret(DataSource):
    """Reads what is known of a secret, by `id` or by `name`. Not its value."""

    TYPE = "exclave_secret"

    def __init__(
        self,
        construct_scope: Construct,
        construct_id: str,
        /,
        *,
        id: str | None = None,
        name: str | None = None,
        **meta: Unpack[Meta],
    ) -> None:
        """Arguments as in HCL.

        Exactly one of id, name is given.

        Args:
            id: The secret's id.
            name: The secret's name, unique in its scope.
        """
        attributes = {
            "id": id,
            "name": name,
        }
        super().__init__(construct_scope, construct_id, self.TYPE, attributes, meta)

    @property
    def app_id(self) -> str:
        """The id or name of the only app that may use it."""
        return self.get_string_attribute("app_id")

    @property
    def fingerprint(self) -> str:
        """A keyed hash of the value: equal values have equal ones in one IMS, and only there."""
        return self.get_string_attribute("fingerprint")

    @property
    def id(self) -> str:
        """The secret's id."""
        return self.get_string_attribute("id")

    @property
    def install_id(self) -> str:
        """The id or name of the only install that may use it."""
        return self.get_string_attribute("install_id")

    @property
    def name(self) -> str:
        """The secret's name, unique in its scope."""
        return self.get_string_attribute("name")

    @property
    def version(self) -> float:
        """Counts the values, from 1."""
        return self.get_number_attribute("version")


class DataExclaveSecrets(DataSource):
    """Reads the secrets, without their values."""

    TYPE = "exclave_secrets"

    def __init__(
        self,
        construct_scope: Construct,
        construct_id: str,
        /,
        *,
        name: str | None = None,
        **meta: Unpack[Meta],
    ) -> None:
        """Arguments as in HCL.

        Args:
            name: Only those of this name, in any scope.
        """
        attributes = {
            "name": name,
        }
        super().__init__(construct_scope, construct_id, self.TYPE, attributes, meta)

    @property
    def name(self) -> str:
        """Only those of this name, in any scope."""
        return self.get_string_attribute("name")

    @property
    def secrets(self) -> cdk.IResolvable:
        """What was found: the secrets, without their values."""
        return self.interpolation_for_attribute("secrets")


class DataExclaveServiceToken(DataSource):
    """Reads a service token, by `id` or by `name`."""

    TYPE = "exclave_service_token"

    def __init__(
        self,
        construct_scope: Construct,
        construct_id: str,
        /,
        *,
        id: str | None = None,
        name: str | None = None,
        **meta: Unpack[Meta],
    ) -> None:
        """Arguments as in HCL.

        Exactly one of id, name is given.

        Args:
            id: The token's id.
            name: The token's name. Names of revoked tokens stay taken, as the history shows them: `token_name` then has a
                number after it.
        """
        attributes = {
            "id": id,
            "name": name,
        }
        super().__init__(construct_scope, construct_id, self.TYPE, attributes, meta)

    @property
    def expires_at(self) -> str:
        """When the token expires; null for never."""
        return self.get_string_attribute("expires_at")

    @property
    def id(self) -> str:
        """The token's id."""
        return self.get_string_attribute("id")

    @property
    def name(self) -> str:
        """The token's name. Names of revoked tokens stay taken, as the history shows them: `token_name` then has a number
        after it.
        """
        return self.get_string_attribute("name")

    @property
    def role(self) -> str:
        """What the token may do."""
        return self.get_string_attribute("role")

    @property
    def scope(self) -> str:
        """Where: `all`, `app:NAME` or `install:NAME`. An id will do as a name."""
        return self.get_string_attribute("scope")


class DataExclaveServiceTokens(DataSource):
    """Reads the service tokens, also revoked ones, without the tokens themselves."""

    TYPE = "exclave_service_tokens"

    def __init__(
        self,
        construct_scope: Construct,
        construct_id: str,
        /,
        *,
        role: str | None = None,
        **meta: Unpack[Meta],
    ) -> None:
        """Arguments as in HCL.

        Args:
            role: Only those of this role. One of viewer, editor, deployer, admin, agent:build, agent:install.
        """
        attributes = {
            "role": role,
        }
        super().__init__(construct_scope, construct_id, self.TYPE, attributes, meta)

    @property
    def role(self) -> str:
        """Only those of this role."""
        return self.get_string_attribute("role")

    @property
    def service_tokens(self) -> cdk.IResolvable:
        """What was found: the service tokens, also revoked ones, without the tokens themselves."""
        return self.interpolation_for_attribute("service_tokens")


class DataExclaveTerraformModuleComponent(DataSource):
    """Reads a component by its app and name. A component of an app: a Terraform module, which the install agent runs in the
    customer's account.
    """

    TYPE = "exclave_terraform_module_component"

    def __init__(
        self,
        construct_scope: Construct,
        construct_id: str,
        /,
        *,
        app_id: str,
        name: str,
        **meta: Unpack[Meta],
    ) -> None:
        """Arguments as in HCL.

        Args:
            app_id: The app's id or name.
            name: The component's name, unique in its app: `{{ components.NAME.outputs.X }}` refers to it.
        """
        attributes = {
            "app_id": app_id,
            "name": name,
        }
        super().__init__(construct_scope, construct_id, self.TYPE, attributes, meta)

    @property
    def app_id(self) -> str:
        """The app's id or name."""
        return self.get_string_attribute("app_id")

    @property
    def bundle_engine(self) -> str:
        """Whether the engine's binary travels in the bundle. `auto`: OpenTofu (MPL-2.0) does, Terraform (BUSL-1.1) doesn't
        and the install agent uses its own.
        """
        return self.get_string_attribute("bundle_engine")

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables of the engine's environment, for providers that take settings there. They may hold references, such as
        `{{ inputs.region }}`. What the install agent's own environment has, wins.
        """
        return self.get_string_map_attribute("environment")

    @property
    def git(self) -> cdk.IResolvable:
        """The module's folder. It is in a git repository."""
        return self.interpolation_for_attribute("git")

    @property
    def id(self) -> str:
        """The component's id."""
        return self.get_string_attribute("id")

    @property
    def name(self) -> str:
        """The component's name, unique in its app: `{{ components.NAME.outputs.X }}` refers to it."""
        return self.get_string_attribute("name")

    @property
    def parallelism(self) -> float:
        """How many objects are worked on at once. Left out: the engine's own number, 10."""
        return self.get_number_attribute("parallelism")

    @property
    def path(self) -> cdk.IResolvable:
        """The module's folder. It is on the disk of whoever runs Terraform and of the build agent."""
        return self.interpolation_for_attribute("path")

    @property
    def platforms(self) -> Sequence[str]:
        """The platforms of the install agents, such as `linux/amd64` and `linux/arm64`: each gets the providers of its own.
        Left out: the build agent's own platform.
        """
        return self.get_list_attribute("platforms")

    @property
    def probes(self) -> cdk.IResolvable:
        """What the install agent looks at, by name, after each apply and in each drift run: the component is then
        `healthy`, `degraded` or `unknown`.
        """
        return self.interpolation_for_attribute("probes")

    @property
    def source_digest(self) -> str:
        """The content hash of the folder at `path`, which decides whether the source has changed. Null without `path`: for
        `git`, the build records the commit.
        """
        return self.get_string_attribute("source_digest")

    @property
    def timeout(self) -> float:
        """How long a plan, an apply or a destroy may take, in seconds; it is then stopped as by Ctrl-C. Left out: an hour
        for a plan, six for the others.
        """
        return self.get_number_attribute("timeout")

    @property
    def var_files(self) -> Sequence[str]:
        """Files of variables (`.tfvars`, `.tfvars.json`) in the source's folder; a later one wins over an earlier one, and
        `variables` over all.
        """
        return self.get_list_attribute("var_files")

    @property
    def variables(self) -> Mapping[str, str]:
        """Values for the module's variables. They may hold references, such as `{{ inputs.domain }}` or `{{
        components.network.outputs.id }}`. Lists and maps are written as JSON.
        """
        return self.get_string_map_attribute("variables")

    @property
    def version(self) -> float:
        """Counts the component's configs, from 1."""
        return self.get_number_attribute("version")


class DataExclaveWebhook(DataSource):
    """Reads a webhook, by `id` or by `name`."""

    TYPE = "exclave_webhook"

    def __init__(
        self,
        construct_scope: Construct,
        construct_id: str,
        /,
        *,
        id: str | None = None,
        name: str | None = None,
        **meta: Unpack[Meta],
    ) -> None:
        """Arguments as in HCL.

        Exactly one of id, name is given.

        Args:
            id: The webhook's id.
            name: 1 to 63 of a-z, 0-9, `-` and `_`; begins with a letter, ends with a letter or a digit.
        """
        attributes = {
            "id": id,
            "name": name,
        }
        super().__init__(construct_scope, construct_id, self.TYPE, attributes, meta)

    @property
    def app_id(self) -> str:
        """Only events of this app and its installs: its id or name."""
        return self.get_string_attribute("app_id")

    @property
    def description(self) -> str:
        """What it is for, for people."""
        return self.get_string_attribute("description")

    @property
    def disabled_because(self) -> str:
        """Why Exclave switched it off by itself; null if it didn't."""
        return self.get_string_attribute("disabled_because")

    @property
    def enabled(self) -> cdk.IResolvable:
        """Whether events are sent. Exclave switches off what fails for days."""
        return self.get_boolean_attribute("enabled")

    @property
    def events(self) -> Sequence[str]:
        """Which actions are sent."""
        return self.get_list_attribute("events")

    @property
    def id(self) -> str:
        """The webhook's id."""
        return self.get_string_attribute("id")

    @property
    def install_id(self) -> str:
        """Only events of this install: its id or name."""
        return self.get_string_attribute("install_id")

    @property
    def name(self) -> str:
        """1 to 63 of a-z, 0-9, `-` and `_`; begins with a letter, ends with a letter or a digit."""
        return self.get_string_attribute("name")

    @property
    def url(self) -> str:
        """Where events are sent, by POST. https, unless the address is allowed."""
        return self.get_string_attribute("url")


class DataExclaveWebhooks(DataSource):
    """Reads the webhooks."""

    TYPE = "exclave_webhooks"

    def __init__(
        self,
        construct_scope: Construct,
        construct_id: str,
        /,
        **meta: Unpack[Meta],
    ) -> None:
        """No arguments but Terraform's own."""
        attributes: dict[str, Any] = {}
        super().__init__(construct_scope, construct_id, self.TYPE, attributes, meta)

    @property
    def webhooks(self) -> cdk.IResolvable:
        """What was found: the webhooks."""
        return self.interpolation_for_attribute("webhooks")


class EphemeralExclaveAgentEnrollment(EphemeralResource):
    """A one-time token with which one agent enrols: for the write-only attribute, or the provisioner, of what starts the
    agent. It is in no plan and no state. A token that no agent has used by the end of the run lasts until it expires;
    `revoke_unused` ends it sooner.
    """

    TYPE = "exclave_agent_enrollment"

    def __init__(
        self,
        construct_scope: Construct,
        construct_id: str,
        /,
        *,
        kind: str,
        install_id: str | None = None,
        revoke_unused: bool | cdk.IResolvable | None = None,
        **meta: Unpack[EphemeralMeta],
    ) -> None:
        """Arguments as in HCL.

        Args:
            kind: `install`: an agent that deploys in one install's account. `build`: one that builds. One of build,
                install.
            install_id: The install's id or name; only for an install agent.
            revoke_unused: Whether the token ends with the run, if no agent has used it by then.
        """
        attributes = {
            "kind": kind,
            "install_id": install_id,
            "revoke_unused": revoke_unused,
        }
        super().__init__(construct_scope, construct_id, self.TYPE, attributes, meta)

    @property
    def expires_at(self) -> str:
        """Until when the token can be used (RFC 3339)."""
        return self.get_string_attribute("expires_at")

    @property
    def id(self) -> str:
        """The token's id."""
        return self.get_string_attribute("id")

    @property
    def install_id(self) -> str:
        """The install's id or name; only for an install agent."""
        return self.get_string_attribute("install_id")

    @property
    def kind(self) -> str:
        """`install`: an agent that deploys in one install's account. `build`: one that builds."""
        return self.get_string_attribute("kind")

    @property
    def revoke_unused(self) -> cdk.IResolvable:
        """Whether the token ends with the run, if no agent has used it by then."""
        return self.get_boolean_attribute("revoke_unused")

    @property
    def token(self) -> str:
        """The token. It works once."""
        return self.get_string_attribute("token")


class ExclaveProvider(Provider):
    """Describe a product to Exclave and bring it into customers' clouds."""

    def __init__(
        self,
        construct_scope: Construct,
        construct_id: str,
        /,
        *,
        token: str | None = None,
        token_file: str | None = None,
        url: str | None = None,
        alias: str | None = None,
    ) -> None:
        """Arguments as in HCL.

        Args:
            token: A bearer token of the IMS. Default: the variable `EXCLAVE_TOKEN`.
            token_file: A file that holds the token, instead of `token`. Default: the variable `EXCLAVE_TOKEN_FILE`.
            url: The IMS's URL, such as `https://exclave.example.com`. Default: the variable `EXCLAVE_URL`.
        """
        attributes = {
            "token": token,
            "token_file": token_file,
            "url": url,
        }
        super().__init__(construct_scope, construct_id, attributes, alias)
