"""The provider's resources and data sources, typed.

Generated from provider_bridge/resources/schema.json by `python -m api.contract.cdktn_bindings`. Don't edit.
"""

from collections.abc import Mapping
from typing import Required, TypedDict, Unpack

from constructs import Construct

from exclave_cdktn.elements import DataSource, Meta, Provider, Resource
from exclave_cdktn.library import cdk

__all__ = [
    "DataExclaveApp",
    "DataExclaveDeployment",
    "DataExclaveInstall",
    "DataExclaveRelease",
    "DataExclaveTerraformModuleComponent",
    "ExclaveApp",
    "ExclaveAppInputs",
    "ExclaveDeployment",
    "ExclaveDeploymentTimeouts",
    "ExclaveInstall",
    "ExclaveProvider",
    "ExclaveRelease",
    "ExclaveReleaseTimeouts",
    "ExclaveTerraformModuleComponent",
    "ExclaveTerraformModuleComponentSource",
    "ExclaveTerraformModuleComponentSourceGit",
]


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
        scope: Construct,
        construct_id: str,
        /,
        *,
        name: str,
        description: str | None = None,
        inputs: Mapping[str, ExclaveAppInputs] | cdk.IResolvable | None = None,
        **meta: Unpack[Meta],
    ) -> None:
        """Arguments as in HCL.

        Args:
            name: The app's name, unique in this IMS. A new name makes a new app.
            description: What the app is, for people.
            inputs: What each install must or may say about itself, by the input's name.
        """
        attributes = {
            "name": name,
            "description": description,
            "inputs": inputs,
        }
        super().__init__(scope, construct_id, self.TYPE, attributes, meta)

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
    def name(self) -> str:
        """The app's name, unique in this IMS. A new name makes a new app."""
        return self.get_string_attribute("name")


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
    """A deployment: one release brought to one install, and kept there. A destroy tears the install's components down."""

    TYPE = "exclave_deployment"

    def __init__(
        self,
        scope: Construct,
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
        super().__init__(scope, construct_id, self.TYPE, attributes, meta)

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
        """`running`, `succeeded`, `failed`, `cancelling` or `cancelled`."""
        return self.get_string_attribute("status")

    @property
    def timeouts(self) -> cdk.IResolvable:
        """How long to wait, such as `90s`, `20m` or `1h30m`."""
        return self.interpolation_for_attribute("timeouts")


class ExclaveInstall(Resource):
    """An install: one app in one customer's account."""

    TYPE = "exclave_install"

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        /,
        *,
        app_id: str,
        name: str,
        approval: str | None = None,
        approval_timeout_hours: float | None = None,
        drift_check_hours: float | None = None,
        inputs: Mapping[str, str] | cdk.IResolvable | None = None,
        labels: Mapping[str, str] | cdk.IResolvable | None = None,
        sensitive_inputs: Mapping[str, str] | cdk.IResolvable | None = None,
        **meta: Unpack[Meta],
    ) -> None:
        """Arguments as in HCL.

        Args:
            app_id: The app's id or name. Another app makes a new install.
            name: The install's name, unique in this IMS. A new name makes a new install.
            approval: Who approves a plan: `auto` (nobody), `vendor` or `customer`. One of auto, vendor, customer.
            approval_timeout_hours: How long a plan waits for its approval before its step fails; null = forever.
            drift_check_hours: How often to look whether what is deployed has drifted; null = never.
            inputs: Values for the app's inputs that aren't sensitive.
            labels: What the vendor says about the install, to choose it by: `?selector=region=eu`.
            sensitive_inputs: Values for the app's sensitive inputs. The IMS stores them encrypted and never gives them
                back; a change behind Terraform's back shows in their fingerprints. Left out: what is stored stays.
        """
        attributes = {
            "app_id": app_id,
            "name": name,
            "approval": approval,
            "approval_timeout_hours": approval_timeout_hours,
            "drift_check_hours": drift_check_hours,
            "inputs": inputs,
            "labels": labels,
            "sensitive_inputs": sensitive_inputs,
        }
        super().__init__(scope, construct_id, self.TYPE, attributes, meta)

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
    def sensitive_inputs(self) -> Mapping[str, str]:
        """Values for the app's sensitive inputs. The IMS stores them encrypted and never gives them back; a change behind
        Terraform's back shows in their fingerprints. Left out: what is stored stays.
        """
        return self.get_string_map_attribute("sensitive_inputs")


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
        scope: Construct,
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
        super().__init__(scope, construct_id, self.TYPE, attributes, meta)

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


class ExclaveTerraformModuleComponentSourceGit(TypedDict, total=False):
    """A folder of a git repository.

    Keys:
        ref: A branch, a tag or a commit.
        subdirectory: The folder inside the repository.
        url: What `git clone` takes: https, ssh or a local path.
    """

    url: Required[str]
    ref: str
    subdirectory: str


class ExclaveTerraformModuleComponentSource(TypedDict, total=False):
    """The module's folder: exactly one of `path` and `git`.

    Keys:
        git: A folder of a git repository.
        path: A folder that the build agent can read. A relative path starts at the folder of `terraform`.
    """

    git: ExclaveTerraformModuleComponentSourceGit | cdk.IResolvable
    path: str


class ExclaveTerraformModuleComponent(Resource):
    """A component of an app: a Terraform module, which the install agent runs in the customer's account."""

    TYPE = "exclave_terraform_module_component"

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        /,
        *,
        app_id: str,
        name: str,
        source: ExclaveTerraformModuleComponentSource | cdk.IResolvable,
        bundle_engine: str | None = None,
        variables: Mapping[str, str] | cdk.IResolvable | None = None,
        **meta: Unpack[Meta],
    ) -> None:
        """Arguments as in HCL.

        Args:
            app_id: The app's id or name.
            name: The component's name, unique in its app: `{{ components.NAME.outputs.X }}` refers to it.
            source: The module's folder: exactly one of `path` and `git`.
            bundle_engine: Whether the engine's binary travels in the bundle. `auto`: OpenTofu (MPL-2.0) does, Terraform
                (BUSL-1.1) doesn't and the install agent uses its own. One of auto, always, never.
            variables: Values for the module's variables. They may hold references, such as `{{ inputs.domain }}` or `{{
                components.network.outputs.id }}`. Lists and maps are written as JSON.
        """
        attributes = {
            "app_id": app_id,
            "name": name,
            "source": source,
            "bundle_engine": bundle_engine,
            "variables": variables,
        }
        super().__init__(scope, construct_id, self.TYPE, attributes, meta)

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
    def id(self) -> str:
        """The component's id."""
        return self.get_string_attribute("id")

    @property
    def name(self) -> str:
        """The component's name, unique in its app: `{{ components.NAME.outputs.X }}` refers to it."""
        return self.get_string_attribute("name")

    @property
    def source(self) -> cdk.IResolvable:
        """The module's folder: exactly one of `path` and `git`."""
        return self.interpolation_for_attribute("source")

    @property
    def source_digest(self) -> str:
        """The content hash of the folder at `source.path`, which decides whether the source has changed. Null for git, of
        which the build records the commit.
        """
        return self.get_string_attribute("source_digest")

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


class DataExclaveApp(DataSource):
    """Reads an app, by `id` or by `name`."""

    TYPE = "exclave_app"

    def __init__(
        self,
        scope: Construct,
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
        super().__init__(scope, construct_id, self.TYPE, attributes, meta)

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
    def name(self) -> str:
        """The app's name, unique in this IMS. A new name makes a new app."""
        return self.get_string_attribute("name")


class DataExclaveDeployment(DataSource):
    """Reads what was last deployed to an install."""

    TYPE = "exclave_deployment"

    def __init__(
        self,
        scope: Construct,
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
        super().__init__(scope, construct_id, self.TYPE, attributes, meta)

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
        """`running`, `succeeded`, `failed`, `cancelling` or `cancelled`."""
        return self.get_string_attribute("status")


class DataExclaveInstall(DataSource):
    """Reads an install, by `id` or by `name`. Its sensitive inputs can't be read."""

    TYPE = "exclave_install"

    def __init__(
        self,
        scope: Construct,
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
        super().__init__(scope, construct_id, self.TYPE, attributes, meta)

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


class DataExclaveRelease(DataSource):
    """Reads a release, by `id`, or by `app_id` and `number`."""

    TYPE = "exclave_release"

    def __init__(
        self,
        scope: Construct,
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
        super().__init__(scope, construct_id, self.TYPE, attributes, meta)

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


class DataExclaveTerraformModuleComponent(DataSource):
    """Reads a component that is a Terraform module, by its app and name."""

    TYPE = "exclave_terraform_module_component"

    def __init__(
        self,
        scope: Construct,
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
        super().__init__(scope, construct_id, self.TYPE, attributes, meta)

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
    def id(self) -> str:
        """The component's id."""
        return self.get_string_attribute("id")

    @property
    def name(self) -> str:
        """The component's name, unique in its app: `{{ components.NAME.outputs.X }}` refers to it."""
        return self.get_string_attribute("name")

    @property
    def source(self) -> cdk.IResolvable:
        """The module's folder: exactly one of `path` and `git`."""
        return self.interpolation_for_attribute("source")

    @property
    def source_digest(self) -> str:
        """The content hash of the folder at `source.path`, which decides whether the source has changed. Null for git, of
        which the build records the commit.
        """
        return self.get_string_attribute("source_digest")

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


class ExclaveProvider(Provider):
    """Describe a product to Exclave and bring it into customers' clouds."""

    def __init__(
        self,
        scope: Construct,
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
        super().__init__(scope, construct_id, attributes, alias)
