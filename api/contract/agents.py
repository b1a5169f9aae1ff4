"""The agent protocol, `/v1/agent`, past sign-in (see `enrollment`): lease, heartbeat, logs, finish.

Every write of an agent about a job names its attempt, which is the fence: a report of an attempt that isn't the current one
is refused with `stale_attempt`. The server chooses all intervals and says them in every answer.
"""

from typing import Annotated, Literal

from pydantic import Field

from api.contract.base import AgentKind, Digest, Failure, Json, Model, Timestamp
from api.contract.component_health import ComponentHealth
from api.contract.components import ComponentConfig, ContainerImageConfig
from api.contract.health import AgentStatus, Health, HealthSample
from api.contract.replans import Replan
from api.contract.resources import Approval, Artifact, ModuleOutput, ModuleVariable, PlanSummary

JobKind = Literal["build", "sync", "plan", "apply", "plan_destroy", "destroy", "update_agent"]
JobState = Literal["queued", "leased", "unknown", "succeeded", "failed", "cancelled"]
Cancel = Literal["none", "graceful", "force"]

AGENT_REPOSITORY = "dev.exclave/agent"
"""Where the vendor's registry has the agent itself, a version a tag. No app can have the name."""

LOG_CHUNK_BYTES = 64 * 1024
"""At most so many bytes of text, before gzip, in one log chunk."""


class RegistryAccess(Model):
    """Where a job pushes or pulls, and with what. The credential is a ticket: Basic at the registry's token endpoint.

    A pull ticket works once, for `repository` and the digests of the job; a push ticket works while the attempt is current.
    A registry that takes no tokens of others has a `login_url`: there a ticket buys a `RegistryLogin`.
    """

    url: str = Field(description="The registry's base URL, such as `http://127.0.0.1:8420`.")
    repository: str
    username: str
    password: str
    login_url: str = Field(default="", description="Where the ticket is exchanged for a login; empty where it is one itself.")
    prefix: str = Field(
        default="", description="What the registry has before `repository` in every path, such as the name of a Google project."
    )


class RegistryLogin(Model):
    """A user name and a password that the registry itself gave, for one repository and `expires_in` seconds."""

    username: str
    password: str = Field(repr=False)
    expires_in: int


class BuildJob(Model):
    """Build one component config and push the artifact."""

    kind: Literal["build"] = "build"
    build_id: str
    app: str
    component: str
    config: ComponentConfig
    registry: RegistryAccess
    sealed: str | None = Field(
        default=None,
        description="A sealed box with `secrets`, the named secrets that the config asks for; its context is the job, the "
        "attempt and the build's id. None if it asks for none.",
    )
    images: list[ContainerImageConfig] = Field(
        default_factory=list,
        description="The app's components whose images are in registries that ask for a login: what this component names in "
        "the same registry is pulled in the same way. Their secrets are in `sealed`, too.",
    )


class SyncJob(Model):
    """Copy an artifact with its signature into the customer's registry."""

    kind: Literal["sync"] = "sync"
    deploy_id: str
    component: str
    digest: Digest
    registry: RegistryAccess


class DeployJob(Model):
    """Plan, apply, plan the destruction of, or destroy one component.

    `apply` and `destroy` run the plan that the job `plan_job_id` saved, and only that (`saved-plan`).
    """

    kind: Literal["plan", "apply", "plan_destroy", "destroy"]
    deploy_id: str
    component: str
    digest: Digest
    repository: str
    config: ComponentConfig
    install_id: str
    install_name: str
    install_platform: str | None = None
    install_region: str | None = None
    install_labels: dict[str, str] = Field(
        default_factory=dict,
        description="The install's labels that the config refers to. Left out where there are none, for earlier agents.",
        exclude_if=lambda labels: not labels,
    )
    inputs: dict[str, Json]
    sensitive_inputs: dict[str, Json] = Field(
        default_factory=dict, description="Only for an agent without a sealing key; else they are in `sealed`.", repr=False
    )
    secrets: dict[str, Json] = Field(
        default_factory=dict, description="The named secrets that the component refers to; as `sensitive_inputs`.", repr=False
    )
    sealed: str | None = Field(
        default=None,
        description="A sealed box (see docs/reference/secrets.md) with `sensitive_inputs` and `secrets`, in base64.",
    )
    digests: dict[str, Digest] = Field(
        default_factory=dict, description="The artifact of each component of the release, for image references."
    )
    look_at_health: bool = Field(
        default=False,
        description="A plan: say how the component is now, too, as in a drift run. Left out where it is false.",
        exclude_if=lambda look: not look,
    )
    replan: Replan | None = Field(
        default=None, description="A plan: in part, or anew. Left out where it isn't.", exclude_if=lambda replan: replan is None
    )
    plan_job_id: str | None = None
    plan_digest: Digest | None = Field(default=None, description="Of the plan to apply, as it was approved.")
    approval: Approval = Field(default="auto", description="Who had to approve. `customer`: the agent checks its own record.")


AgentVersion = Annotated[
    str,
    Field(
        pattern=r"^[0-9]+(\.[0-9]+){1,3}((a|b|rc)[0-9]+)?(\.post[0-9]+)?$",
        max_length=64,
        description="A version of Exclave, such as `0.2.0`, as PEP 440 writes it.",
    ),
]


class UpdateJob(Model):
    """Replace the agent by another version of itself.

    What the IMS says here is an offer: the vendor's signature must name the version, and the customer's rules must let it.
    """

    kind: Literal["update_agent"] = "update_agent"
    version: AgentVersion
    digest: Digest
    registry: RegistryAccess


JobPayload = Annotated[BuildJob | SyncJob | DeployJob | UpdateJob, Field(discriminator="kind")]


class LeaseRequest(Model):
    """Ask for one job; the server holds the answer back until there is one, or `wait_seconds` have passed.

    `resume` names a job that the agent's journal says it held when it stopped: it gets that attempt again if it is still the
    current one.
    """

    wait_seconds: float = Field(default=50, ge=0, le=60)
    resume: "HeldJob | None" = None
    holding: "list[HeldJob] | None" = Field(
        default=None,
        description="Every job that the agent has now. One that it was leased and doesn't name never reached it: the "
        "answer with the lease was lost. That one is offered again.",
    )
    health: Health | None = Field(default=None, description="At most once a minute.")


class HeldJob(Model):
    """A job and the attempt under which an agent held it."""

    job_id: str
    attempt: int


class Lease(Model):
    """A job, and the attempt that fences every report about it. `resumed` says that it is the agent's own, given again."""

    job_id: str
    attempt: int
    resumed: bool = False
    lease_seconds: float
    heartbeat_seconds: float
    log_seconds: float = Field(default=1, description="How long log lines may wait to be sent: less while somebody watches.")
    payload: JobPayload


class Heartbeat(Model):
    """Still at work on this attempt."""

    attempt: int
    health: Health | None = Field(default=None, description="At most once a minute.")


class TicketRequest(Model):
    """The wish for another pull ticket, by whoever holds this attempt."""

    attempt: int


class HeartbeatAnswer(Model):
    """The lease is renewed. `cancel`: `graceful` = stop as soon as it is safe; `force` = stop now."""

    cancel: Cancel
    lease_seconds: float
    heartbeat_seconds: float
    log_seconds: float = 1


FoundHealth = Annotated[
    ComponentHealth | None,
    Field(
        description="How the component is; None if nothing looks at it. Left out where it is None: an earlier IMS refuses it.",
        exclude_if=lambda health: health is None,
    ),
]


class BuildResult(Model):
    """A build that succeeded."""

    kind: Literal["build"] = "build"
    source_revision: str
    artifact: Artifact
    variables: list[ModuleVariable] = Field(default_factory=list)
    outputs: list[ModuleOutput] = Field(default_factory=list)


class SyncResult(Model):
    """An artifact that is now in the customer's registry, verified before and after the copy."""

    kind: Literal["sync"] = "sync"
    copied_bytes: int
    skipped_bytes: int


class PlanResult(Model):
    """A plan that was saved. Its values stay with the agent."""

    kind: Literal["plan"] = "plan"
    summary: PlanSummary
    plan_digest: Digest
    health: FoundHealth = None


class ApplyResult(Model):
    """An apply that succeeded. `outputs_changed` counts sensitive ones too, whose values stay with the agent."""

    kind: Literal["apply"] = "apply"
    outputs: dict[str, Json] = Field(default_factory=dict)
    sensitive_outputs: list[str] = Field(default_factory=list)
    outputs_changed: bool = True
    health: FoundHealth = None


class UpdateResult(Model):
    """The agent runs the version, has reported under it and has stayed up."""

    kind: Literal["update_agent"] = "update_agent"
    version: AgentVersion


JobResult = Annotated[BuildResult | SyncResult | PlanResult | ApplyResult | UpdateResult, Field(discriminator="kind")]


class Finish(Model):
    """How an attempt ended: a result, or a failure. Sending it again is harmless."""

    attempt: int
    outcome: Literal["succeeded", "failed", "cancelled"]
    result: JobResult | None = None
    failure: Failure | None = None


class AgentUpdateCreate(Model):
    """Offer an install agent another version of itself, which `exclave agent publish` has pushed."""

    version: AgentVersion
    digest: Digest


class Agent(Model):
    """An agent, as the REST API shows it."""

    id: str
    name: str
    kind: AgentKind
    install_id: str | None
    install_name: str | None = Field(default=None, description="The name of the install agent's install.")
    version: str
    platform: str
    enrolled_at: Timestamp
    last_seen_at: Timestamp | None
    revoked_at: Timestamp | None
    status: AgentStatus = Field(description="`offline`: not heard of for longer than two of its requests may be apart.")
    offline_since: Timestamp | None = Field(description="When it was last heard of, if it is offline.")
    load: HealthSample | None = Field(description="The newest that it said of its machine.")


class Job(Model):
    """A job, as the REST API shows it. While it is queued again, `failure` says why its last attempt failed."""

    id: str
    kind: JobKind
    state: JobState
    attempt: int
    agent_id: str | None
    install_id: str | None
    install_name: str | None = Field(default=None, description="The name of the install that it is for, if it is for one.")
    build_id: str | None
    step_id: str | None
    cancel: Cancel
    failure: Failure | None
    created_at: Timestamp
    started_at: Timestamp | None
    ended_at: Timestamp | None
    lease_until: Timestamp | None
