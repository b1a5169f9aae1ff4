"""What the REST API takes and gives for apps, installs, builds, releases, deploys and events.

`XCreate` and `XUpdate` are what a caller sends; `X` is what comes back. Ids are a prefix and 26 characters that sort by
time of creation (`app_01j…`). Where a path or a field takes the id of an object that has a name, the name will do.
"""

from typing import Annotated, Literal

from pydantic import Field

from api.contract.approvals import StepApproval
from api.contract.base import Digest, Failure, Json, Model, Name, Platform, Timestamp
from api.contract.component_health import ComponentHealth
from api.contract.components import ComponentKind
from api.contract.inputs import InputSpec
from api.contract.replans import Replan


class AppCreate(Model):
    """A new app."""

    name: Name = Field(description="The app's name, unique in this IMS. A new name makes a new app.")
    description: str = Field(default="", description="What the app is, for people.")
    inputs: list[InputSpec] = Field(default_factory=list, description="What each install must or may say about itself.")
    labels: dict[str, str] = Field(default_factory=dict, description="What the vendor says about the app, to choose it by.")


class AppUpdate(Model):
    """The new description and inputs of an app; the name stays."""

    description: str = ""
    inputs: list[InputSpec] = Field(default_factory=list)
    labels: dict[str, str] = Field(default_factory=dict)


class App(Model):
    """An app. `version` counts its changes, from 1; it is also the ETag."""

    id: str
    name: str
    description: str
    inputs: list[InputSpec]
    labels: dict[str, str]
    version: int
    created_at: Timestamp
    updated_at: Timestamp


Approval = Literal["auto", "vendor", "customer"]
Region = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class InstallCreate(Model):
    """A new install of an app in one customer's account."""

    app_id: str = Field(description="The app's id or name. Another app makes a new install.")
    name: Name = Field(description="The install's name, unique in this IMS. A new name makes a new install.")
    inputs: dict[str, Json] = Field(default_factory=dict, description="Values for the app's inputs that aren't sensitive.")
    sensitive_inputs: dict[str, Json] = Field(
        default_factory=dict,
        description="Values for the app's sensitive inputs. Stored encrypted; never given back.",
    )
    approval: Approval = Field(default="auto", description="Who approves a plan: `auto` (nobody), `vendor` or `customer`.")
    approval_timeout_hours: int | None = Field(
        default=None, ge=1, le=8760, description="How long a plan waits for its approval before its step fails; null = forever."
    )
    labels: dict[str, str] = Field(
        default_factory=dict, description="What the vendor says about the install, to choose it by: `?selector=region=eu`."
    )
    drift_check_hours: int | None = Field(
        default=None, ge=1, le=8760, description="How often to look whether what is deployed has drifted; null = never."
    )
    heal_drift: bool = Field(
        default=False,
        description="Deploy the same release again when a drift run has found drift. `approval` holds for that deploy, too.",
    )
    platform: Platform | None = Field(default=None, description="Whose cloud it is in: `aws`, `google`, `azure` or `custom`.")
    region: Region | None = Field(
        default=None, description="The platform's region; `{{ install.region }}` refers to it. `custom` takes any."
    )


class InstallUpdate(Model):
    """The new inputs of an install. `sensitive_inputs` replaces all of them; None keeps those that are stored."""

    inputs: dict[str, Json] = Field(default_factory=dict)
    sensitive_inputs: dict[str, Json] | None = None
    approval: Approval = "auto"
    approval_timeout_hours: int | None = Field(default=None, ge=1, le=8760)
    labels: dict[str, str] = Field(default_factory=dict)
    drift_check_hours: int | None = Field(default=None, ge=1, le=8760)
    heal_drift: bool = False
    platform: Platform | None = None
    region: Region | None = None


ComponentStatus = Literal["pending", "deploying", "deployed", "failed", "removing"]


class InstalledComponent(Model):
    """What one component of an install is at now. `outputs` has no sensitive value; those stay with the agent."""

    name: str = Field(description="The component's name.")
    status: ComponentStatus = Field(description="`pending`, `deploying`, `deployed`, `failed` or `removing`.")
    digest: Digest | None = Field(default=None, description="The digest of the artifact that it runs.")
    release_number: int | None = Field(default=None, description="The number of the release that it is from.")
    outputs: dict[str, Json] = Field(default_factory=dict, description="Its outputs, without sensitive ones.")
    sensitive_outputs: list[str] = Field(default_factory=list, description="The names of its sensitive outputs.")
    drift_checked_at: Timestamp | None = Field(default=None, description="When a drift run last looked at it.")
    drifted: bool | None = Field(default=None, description="What it found; None = not looked at since it was deployed.")
    drift: "PlanSummary | None" = Field(default=None, description="What would have to be done to mend the drift.")
    health: ComponentHealth | None = Field(
        default=None, description="How it was when it was last looked at; None where neither it nor a probe says so."
    )
    health_since: Timestamp | None = Field(default=None, description="Since when it is known to be so.")
    health_checked_at: Timestamp | None = Field(default=None, description="When it was last looked at.")


class Install(Model):
    """An install. `inputs_version` counts the changes of its inputs, from 1.

    `inputs` are the values given, in the form given. `sensitive_fingerprints` has one keyed hash for each sensitive input:
    equal values give equal fingerprints in this IMS, and nobody can compute them without its key.
    """

    id: str
    app_id: str
    name: str
    inputs: dict[str, Json]
    sensitive_fingerprints: dict[str, str]
    approval: Approval
    approval_timeout_hours: int | None
    labels: dict[str, str]
    drift_check_hours: int | None
    heal_drift: bool
    platform: Platform | None
    region: str | None
    drift_due_at: Timestamp | None = Field(description="When drift is looked for next; a deploy under way delays it.")
    inputs_version: int
    version: int
    agent_id: str | None
    agent_last_seen_at: Timestamp | None
    components: list[InstalledComponent]
    created_at: Timestamp
    updated_at: Timestamp


BuildStatus = Literal["queued", "running", "succeeded", "failed", "cancelled"]


class Artifact(Model):
    """A signed OCI artifact in the vendor's registry."""

    repository: str = Field(description="The repository's path in the registry, without its host.")
    digest: Digest
    media_type: str = Field(description="The media type of its manifest.")
    artifact_type: str = Field(description="What it is, as OCI's `artifactType` says it.")
    size: int = Field(description="Bytes of the manifest and everything that it lists.")


class ModuleVariable(Model):
    """A variable that a Terraform module declares. `type` is its constraint as written, or None."""

    name: str
    type: str | None = None
    required: bool = False
    sensitive: bool = False


class ModuleOutput(Model):
    """An output that a Terraform module declares."""

    name: str
    sensitive: bool = False


class Build(Model):
    """One component config at one source revision."""

    id: str
    app_id: str
    component: str
    component_version: int
    status: BuildStatus
    source_revision: str | None = Field(description="The commit, or the folder's content hash.")
    artifact: Artifact | None
    variables: list[ModuleVariable]
    outputs: list[ModuleOutput]
    failure: Failure | None
    waiting_for: str = Field(description="In plain words, why it isn't done yet; empty when it is.")
    created_at: Timestamp
    ended_at: Timestamp | None


ReleaseStatus = Literal["building", "ready", "failed"]


class ReleaseCreate(Model):
    """A new release of an app: a build of each component at the version named.

    `components` maps each component's name to its version; empty takes the newest version of every component.
    """

    app_id: str = Field(description="The app's id or name.")
    components: dict[str, int] = Field(default_factory=dict, description="The version of each component, by its name.")
    labels: dict[str, str] = Field(default_factory=dict, description="What the vendor says about the release, to choose it by.")


class ReleaseBuild(Model):
    """One build of a release. `reused` says that an earlier release had made it already."""

    component: str
    component_version: int
    kind: ComponentKind
    build_id: str
    reused: bool
    status: BuildStatus
    source_revision: str | None
    digest: Digest | None
    failure: Failure | None
    waiting_for: str


class Release(Model):
    """An immutable, numbered set of builds. `ready` once each build succeeded."""

    id: str
    app_id: str
    app_name: str = Field(default="", description="The name of its app; empty from an IMS of an earlier version.")
    number: int
    status: ReleaseStatus
    labels: dict[str, str]
    builds: list[ReleaseBuild]
    failure: Failure | None
    waiting_for: str = Field(default="", description="In plain words, why it isn't ready yet; empty when it is, or failed.")
    signed_by: Digest | None = Field(
        default=None,
        description="Fingerprint of the vendor's key that has signed the release as a whole; null if none has.",
    )
    created_at: Timestamp
    ended_at: Timestamp | None


DeployKind = Literal["deploy", "teardown", "drift"]
DeployStatus = Literal["pending", "running", "succeeded", "failed", "cancelling", "cancelled"]
StepKind = Literal["sync", "plan", "approve", "apply", "plan_destroy", "destroy"]
StepStatus = Literal["waiting", "ready", "running", "unknown", "succeeded", "failed", "cancelled", "skipped"]


class RollbackCreate(Model):
    """Back to an earlier release: the newest one before the current one that was deployed well, or the one named."""

    release_id: str | None = Field(default=None, description="The release's id; left out, the one before.")


class DeployCreate(Model):
    """One release brought to one install; or, with kind `teardown` and no release, everything removed from it."""

    install_id: str = Field(description="The install's id or name.")
    release_id: str | None = Field(default=None, description="The release's id; None only for a teardown.")
    kind: Literal["deploy", "teardown"] = "deploy"
    inputs_version: int | None = Field(
        default=None, description="The install's inputs version that the caller expects; another one is refused."
    )
    replan: list[Replan] = Field(
        default_factory=list, max_length=100, description="Components to plan though nothing differs. Not for a teardown."
    )


class PlanSummary(Model):
    """What a plan would do: counts and addresses; values only where the customer's policy shows them."""

    add: int = Field(default=0, description="How many resources would be made.")
    change: int = Field(default=0, description="How many resources would be changed.")
    destroy: int = Field(default=0, description="How many resources would be destroyed.")
    resources: list["PlannedChange"] = Field(default_factory=list, description="The resources that would be touched.")
    outputs_change: bool = Field(default=False, description="Whether outputs would change.")
    asks: list[str] = Field(
        default_factory=list,
        description="Why the customer's own yes is needed, whatever the install's `approval` says: their policy's rules that "
        "ask for it. Left out where there are none, for an earlier IMS.",
        exclude_if=lambda asks: not asks,
    )
    refused: list[str] = Field(
        default_factory=list,
        description="Only of a drift run, whose plan nobody applies: the rules of the customer's policy that would refuse it, "
        "with what they refuse.",
        exclude_if=lambda refused: not refused,
    )

    @property
    def empty(self) -> bool:
        """Whether applying it would do nothing."""
        return not (self.add or self.change or self.destroy or self.outputs_change)


class PlannedChange(Model):
    """One resource that a plan touches, with the *names* of the attributes that change."""

    address: str = Field(description="The resource's address in its module.")
    actions: list[str] = Field(description="What would be done: `create`, `update`, `delete`, `move`, `import`.")
    attributes: list[str] = Field(default_factory=list, description="The names of the attributes that would change.")
    previous_address: str | None = Field(default=None, description="Where it is now, if it would move.")
    values: dict[str, "ValueChange"] = Field(
        default_factory=dict,
        description="Values of attributes that would change, by name: only if the customer's policy says `plan_values: "
        "redacted`, and only short single ones that aren't sensitive.",
    )


class ValueChange(Model):
    """One attribute before and after, each as JSON: `"eu-west-1"`, `3`, `true`. Null is an attribute that isn't set."""

    before: str | None = Field(default=None, description="What it is, as JSON.")
    after: str | None = Field(default=None, description="What it would be, as JSON.")
    unknown: bool = Field(default=False, description="Whether only the apply tells what it will be.")


class Step(Model):
    """One step of a deploy."""

    id: str
    component: str
    kind: StepKind
    status: StepStatus
    job_id: str | None
    attempt: int
    needs: list[str] = Field(description="Ids of the steps that must end well before this one begins.")
    plan: PlanSummary | None
    approval: StepApproval | None = Field(description="On a step `approve` that has asked: what it asks for, and the answer.")
    failure: Failure | None
    waiting_for: str = Field(description="In plain words, why it isn't done yet; empty when it is.")
    started_at: Timestamp | None
    ended_at: Timestamp | None


class Deploy(Model):
    """One release on its way to one install. `version` counts its changes: long-poll with `?wait=20&seen=<version>`."""

    id: str
    install_id: str
    install_name: str = Field(default="", description="The name of its install; empty from an IMS of an earlier version.")
    app_id: str
    app_name: str = Field(default="", description="The name of its app; empty from an IMS of an earlier version.")
    release_id: str | None
    release_number: int | None
    kind: DeployKind
    status: DeployStatus
    approval: Approval = Field(description="Who approves its plans: the install's `approval` when it was made.")
    retry_of: str | None = Field(description="The deploy that this one tries again.")
    rollback_of: str | None = Field(description="The deploy whose release this one takes back.")
    replan: list[Replan] | None = Field(default=None, description="What it plans though nothing differs, if anything.")
    inputs_version: int
    steps: list[Step]
    left_out: list[str] = Field(description="Components that somebody skipped; the next deploy plans them again.")
    outputs: dict[str, dict[str, Json]] = Field(description="Outputs by component, without sensitive values.")
    sensitive_outputs: dict[str, list[str]] = Field(description="Names of sensitive outputs by component.")
    failure: Failure | None
    waiting_for: str = Field(default="", description="In plain words, why it isn't done yet; empty when it is.")
    version: int
    created_by: str = Field(description="Who made it, as the history says it; empty for one of an earlier version.")
    created_at: Timestamp
    ended_at: Timestamp | None


class Event(Model):
    """One line of the audit history. `hash` = sha256(previous hash ‖ canonical JSON of the rest): docs/reference/events.md."""

    seq: int
    at: Timestamp
    actor: str = Field(description="`token:<name>`, `agent:<id>` or `system`.")
    action: str = Field(description="`<object>.<what happened>`, such as `deploy.created` or `ticket.refused`.")
    object_id: str
    app_id: str | None = Field(default=None, description="The app whose history it is part of.")
    install_id: str | None = Field(default=None, description="The install whose history it is part of.")
    before: Json = None
    after: Json = None
    previous_hash: str
    hash: str


class ServerInfo(Model):
    """What an IMS says about itself, without a token."""

    name: Literal["exclave"] = "exclave"
    version: str
    time: Timestamp
