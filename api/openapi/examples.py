"""An example of everything that is sent and answered: one deploy of a small shop, told through the API's models.

Each is an instance of its model, so that an example that no longer fits isn't imported, let alone shown.
"""

from datetime import UTC, datetime, timedelta

from api.contract.access import (
    DeviceLogin,
    DeviceLoginDone,
    DeviceLoginPoll,
    Session,
    Token,
    TokenCreate,
    TokenCreated,
    Whoami,
)
from api.contract.agent_approvals import AgentDecision, PendingApproval, PendingApprovals
from api.contract.agents import (
    Agent,
    AgentUpdateCreate,
    BuildJob,
    BuildResult,
    Finish,
    Heartbeat,
    HeartbeatAnswer,
    Job,
    Lease,
    LeaseRequest,
    RegistryAccess,
    TicketRequest,
)
from api.contract.approvals import ApprovalDecision, SkipRequest, StepApproval
from api.contract.base import Json, Model
from api.contract.component_health import checked, health_of
from api.contract.components import Component, ComponentCreate, ComponentUpdate, GitSource, Source, TerraformModuleConfig
from api.contract.deploy_batches import BusyInstall, DeployBatch, DeployBatchCreate
from api.contract.enrollment import (
    Enrollment,
    EnrollmentCreate,
    EnrollmentCreated,
    EnrollRequest,
    EnrollResponse,
    RotateKeyRequest,
    SignInRequest,
    SignInResponse,
)
from api.contract.health import Health, HealthSample
from api.contract.inputs import InputSpec
from api.contract.logs import LogPrune, LogsPruned
from api.contract.previews import (
    AppDraft,
    DeployPreview,
    DeployPreviewRequest,
    DraftCheck,
    DraftProblem,
    PreviewComponent,
    PreviewStep,
)
from api.contract.registry import Collection, InRepository, SkippedRepository
from api.contract.renders import InstallRender, RenderedComponent, RenderedText
from api.contract.resources import (
    App,
    AppCreate,
    AppUpdate,
    Artifact,
    Build,
    Deploy,
    DeployCreate,
    Event,
    Install,
    InstallCreate,
    InstalledComponent,
    InstallUpdate,
    ModuleOutput,
    ModuleVariable,
    PlannedChange,
    PlanSummary,
    Release,
    ReleaseBuild,
    ReleaseCreate,
    RollbackCreate,
    ServerInfo,
    Step,
)
from api.contract.secrets import Rotation, Secret, SecretCreate, SecretUpdate, SecretUse
from api.contract.signed_releases import ReleaseContent, ReleaseContents, ReleaseSignature, StoredSignature
from api.contract.statistics import ComponentStats, Durations, InstallStats, JobRun
from api.contract.webhooks import (
    Delivery,
    Webhook,
    WebhookCreate,
    WebhookReplay,
    WebhookRotate,
    WebhookUpdate,
    WebhookWithSecret,
)
from api.events.schemas import Verification
from api.monitoring.schemas import Liveness, Readiness
from api.openapi.terraform_examples import TERRAFORM_ANSWERS

_AT = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
_LATER = _AT + timedelta(seconds=40)


def _id(prefix: str, letter: str = "a") -> str:
    return f"{prefix}_01kajxq5w{letter}0000000000000000"[: len(prefix) + 27]


_APP, _INSTALL, _RELEASE, _BUILD, _DEPLOY = (_id(prefix) for prefix in ("app", "ins", "rel", "bld", "dep"))
_PLAN_STEP, _APPROVE_STEP, _JOB, _AGENT, _SECRET, _WEBHOOK = (
    _id(*each) for each in (("stp",), ("stp", "b"), ("job",), ("agt",), ("sec",), ("whk",))
)
_DIGEST = "sha256:" + "5f" * 32
_KEY = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrb="
_PEM = "-----BEGIN PUBLIC KEY-----\n…\n-----END PUBLIC KEY-----\n"
_ENVELOPE = '{"payload":"eyJhcHAi…","payloadType":"application/vnd.exclave.signed-release.v1+json","signatures":[…]}'

_INPUT = InputSpec(name="cidr", description="The network's addresses.", group="Network", default="10.0.0.0/16")
_CONFIG = TerraformModuleConfig(
    source=Source(git=GitSource(url="https://git.example.com/shop.git", ref="v1.4.0", subdirectory="modules/network")),
    variables={"cidr": "{{ inputs.cidr }}"},
)
_ARTIFACT = Artifact(
    repository="shop/network",
    digest=_DIGEST,
    media_type="application/vnd.oci.image.manifest.v1+json",
    artifact_type="application/vnd.opentofu.modulepkg",
    size=184_320,
)
_PLAN = PlanSummary(
    add=1, resources=[PlannedChange(address="aws_vpc.main", actions=["create"], attributes=["cidr_block"])], outputs_change=True
)
_HEALTH = Health(version="0.1.0", uptime_seconds=86_400, jobs=1, load=0.4, cpus=2, memory_used_mb=512, memory_total_mb=4096)
_SAMPLE = HealthSample(at=_AT, **_HEALTH.model_dump())
_USE = SecretUse(app="shop", component="network", field="variables.password")
_URL = "https://hooks.example.com/exclave"
_DURATIONS = Durations(
    total=12,
    succeeded=11,
    failed=1,
    cancelled=0,
    success_rate=0.9167,
    p50_seconds=38.2,
    p95_seconds=71.5,
    last_outcome="succeeded",
    last_ended_at=_LATER,
)
_TOKEN = Token(
    id=_id("tok"),
    name="ci",
    role="deployer",
    scope=f"app:{_APP}",
    scope_name="shop",
    created_at=_AT,
    expires_at=None,
    last_used_at=_LATER,
    revoked_at=None,
)
_ANN = Whoami(
    name="person:ann@example.com",
    role="deployer",
    permissions=["read", "define", "deploy"],
    scope="all",
    scope_name=None,
    expires_at=_LATER,
)
_HOOK = Webhook(
    id=_WEBHOOK,
    name="chat",
    url=_URL,
    events=["deploy.*"],
    app_id=_APP,
    install_id=None,
    enabled=True,
    description="Tells the team.",
    disabled_because=None,
    failing_since=None,
    cursor=41,
    previous_secret_until=None,
    version=1,
    created_at=_AT,
    updated_at=_AT,
)
_WAITING = StepApproval(
    approver="vendor",
    plan_digest=_DIGEST,
    requested_at=_LATER,
    expires_at=None,
    decision=None,
    decided_by=None,
    decided_at=None,
    note="",
)


def _step(step_id: str, **more: Json) -> Step:
    rest = {"attempt": 0, "job_id": None, "plan": None, "approval": None, "failure": None, "ended_at": None}
    return Step.model_validate({"id": step_id, "component": "network", "started_at": _AT, "needs": [], **rest, **more})


REQUESTS: list[Model] = [
    AppCreate(name="shop", description="Our shop, in your cloud.", inputs=[_INPUT]),
    AppUpdate(description="Our shop, in your cloud.", inputs=[_INPUT]),
    ComponentCreate(name="network", config=_CONFIG),
    ComponentUpdate(config=_CONFIG),
    InstallCreate(
        app_id="shop", name="acme", inputs={"cidr": "10.8.0.0/16"}, approval="vendor", platform="aws", region="eu-central-1"
    ),
    InstallUpdate(inputs={"cidr": "10.8.0.0/16"}, approval="vendor", labels={"region": "eu", "tier": "gold"}),
    ReleaseCreate(app_id="shop", components={"network": 3}),
    ReleaseSignature(envelope=_ENVELOPE, public_key=_PEM),
    RollbackCreate(release_id=_RELEASE),
    DeployCreate(install_id="acme", release_id=_RELEASE, inputs_version=2),
    DeployBatchCreate(release_id=_RELEASE, selector="region=eu,tier!=free"),
    AppDraft(components={"network": _CONFIG.model_dump(mode="json", exclude_none=True)}, complete=True),
    DeployPreviewRequest(install_id="acme", release_number=7),
    ApprovalDecision(plan_digest=_DIGEST, note="Looked at it with Ann."),
    AgentDecision(decision="approved", plan_digest=_DIGEST, note="In our window."),
    SkipRequest(note="Its quota is used up; tomorrow."),
    EnrollmentCreate(kind="install", install_id="acme"),
    AgentUpdateCreate(version="0.2.0", digest=_DIGEST),
    EnrollRequest(token="exce_…", public_key=_KEY, name="acme-1", version="0.1.0", platform="linux/amd64"),  # noqa: S106
    SignInRequest(
        agent_id=_AGENT, timestamp=1_795_251_600, nonce="b2f7c6a1d0e94f38", signature="vB3…", version="0.1.0", sealing_key=_KEY
    ),
    LeaseRequest(wait_seconds=0, holding=[], health=_HEALTH),
    Heartbeat(attempt=1, health=_HEALTH),
    TicketRequest(attempt=1),
    Finish(
        attempt=1,
        outcome="succeeded",
        result=BuildResult(
            source_revision="3f1c2a9", artifact=_ARTIFACT, variables=[ModuleVariable(name="cidr", required=True)]
        ),
    ),
    LogPrune(older_than_seconds=90 * 86400),
    TokenCreate(name="ci", role="deployer", scope="app:shop", expires_in=90 * 86400),
    DeviceLoginPoll(device_code="excd_…"),
    RotateKeyRequest(
        public_key=_KEY, timestamp=1_795_251_600, nonce="b2f7c6a1d0e94f38", old_signature="vB3…", new_signature="x0Q…"
    ),
    SecretCreate(name="db-password", value="correct horse battery staple", app_id="shop"),
    SecretUpdate(value="another horse"),
    WebhookCreate(name="chat", url=_URL, events=["deploy.*"], app_id="shop"),
    WebhookUpdate(url=_URL, events=["deploy.*", "agent.offline"], app_id="shop"),
    WebhookRotate(overlap_seconds=3600),
    WebhookReplay(after=17),
]

ANSWERS: list[Model] = [
    App(
        id=_APP,
        name="shop",
        description="Our shop, in your cloud.",
        inputs=[_INPUT],
        labels={"team": "web"},
        version=1,
        created_at=_AT,
        updated_at=_AT,
    ),
    Component(
        id=_id("cmp"),
        app_id=_APP,
        name="network",
        kind="terraform_module",
        version=3,
        config=_CONFIG,
        created_at=_AT,
        updated_at=_LATER,
    ),
    Install(
        id=_INSTALL,
        app_id=_APP,
        name="acme",
        inputs={"cidr": "10.8.0.0/16"},
        sensitive_fingerprints={},
        approval="vendor",
        approval_timeout_hours=None,
        labels={"region": "eu"},
        drift_check_hours=24,
        heal_drift=False,
        platform="aws",
        region="eu-central-1",
        drift_due_at=_AT + timedelta(days=1),
        inputs_version=2,
        version=4,
        agent_id=_AGENT,
        agent_last_seen_at=_LATER,
        components=[
            InstalledComponent(
                name="network",
                status="deployed",
                digest=_DIGEST,
                release_number=7,
                outputs={"vpc_id": "vpc-0a1b"},
                health=health_of([checked("probe.api", "http", "healthy")]),
                health_since=_AT,
                health_checked_at=_LATER,
            )
        ],
        created_at=_AT,
        updated_at=_LATER,
    ),
    Build(
        id=_BUILD,
        app_id=_APP,
        component="network",
        component_version=3,
        status="succeeded",
        source_revision="3f1c2a9",
        artifact=_ARTIFACT,
        variables=[ModuleVariable(name="cidr", type="string", required=True)],
        outputs=[ModuleOutput(name="vpc_id")],
        failure=None,
        waiting_for="",
        created_at=_AT,
        ended_at=_LATER,
    ),
    Release(
        id=_RELEASE,
        app_id=_APP,
        number=7,
        status="ready",
        labels={"channel": "stable"},
        builds=[
            ReleaseBuild(
                component="network",
                component_version=3,
                kind="terraform_module",
                build_id=_BUILD,
                reused=False,
                status="succeeded",
                source_revision="3f1c2a9",
                digest=_DIGEST,
                failure=None,
                waiting_for="",
            )
        ],
        failure=None,
        signed_by=_DIGEST,
        created_at=_AT,
        ended_at=_LATER,
    ),
    ReleaseContents(
        app="shop",
        number=7,
        components={
            "network": ReleaseContent(
                repository="shop/network",
                digest=_DIGEST,
                config=_CONFIG,
                source_revision="3f1c2a9",
            )
        },
    ),
    StoredSignature(envelope=_ENVELOPE, public_key=_PEM, document=_DIGEST, signed_by=_DIGEST, stored_at=_AT),
    Deploy(
        id=_DEPLOY,
        install_id=_INSTALL,
        app_id=_APP,
        release_id=_RELEASE,
        release_number=7,
        kind="deploy",
        status="running",
        approval="vendor",
        retry_of=None,
        rollback_of=None,
        inputs_version=2,
        steps=[
            _step(
                _PLAN_STEP,
                kind="plan",
                status="succeeded",
                attempt=1,
                job_id=_JOB,
                plan=_PLAN,
                ended_at=_LATER,
                waiting_for="",
            ),
            _step(
                _APPROVE_STEP,
                kind="approve",
                status="waiting",
                needs=[_PLAN_STEP],
                approval=_WAITING,
                waiting_for="waiting for the vendor's approval since 2026-11-21 09:00:40Z; 1 to add",
            ),
        ],
        left_out=[],
        outputs={"network": {"vpc_id": "vpc-0a1b"}},
        sensitive_outputs={},
        failure=None,
        waiting_for="network approve: waiting for the vendor's approval since 2026-11-21 09:00:40Z; 1 to add",
        version=5,
        created_by="token:ann",
        created_at=_AT,
        ended_at=None,
    ),
    Event(
        seq=41,
        at=_AT,
        actor="token:ci",
        action="deploy.created",
        object_id=_DEPLOY,
        app_id=_APP,
        install_id=_INSTALL,
        after={"install": "acme", "release": 7},
        previous_hash="c4" * 32,
        hash="9e" * 32,
    ),
    Verification(whole=True, broken_at=None, lines=41, last_hash="9e" * 32),
    _TOKEN,
    TokenCreated(**_TOKEN.model_dump(), secret="excl_…"),  # noqa: S106
    _ANN,
    Session(
        id=_id("ses"),
        name="person:ann@example.com",
        role="deployer",
        scope="all",
        scope_name=None,
        created_at=_AT,
        expires_at=_LATER,
    ),
    DeviceLogin(
        device_code="excd_…",
        user_code="BCDF-GHJK",
        verification_uri="https://ims.example.com/login/device",
        verification_uri_complete="https://ims.example.com/login/device?user_code=BCDF-GHJK",
        expires_in=600,
        interval=5,
    ),
    DeviceLoginDone(access_token="exclp_…", expires_in=28800, whoami=_ANN),  # noqa: S106
    ServerInfo(version="0.1.0", time=_AT),
    Secret(
        id=_SECRET,
        name="db-password",
        app_id=_APP,
        install_id=None,
        version=2,
        fingerprint="b7" * 16,
        used_by=[_USE],
        created_at=_AT,
        updated_at=_LATER,
    ),
    Collection(
        dry_run=False,
        repositories=12,
        manifests=[InRepository(repository="shop/network", digest=_DIGEST)],
        blobs=[InRepository(repository="shop/network", digest="sha256:" + "6a" * 32)],
        freed_bytes=27_000_000,
        skipped=[SkippedRepository(repository="shop/service", reason="a build is being pushed")],
    ),
    Rotation(data_key=_id("key"), done=False, values_done=200, values=512, begun_at=_AT, finished_at=None),
    _HOOK,
    WebhookWithSecret(**_HOOK.model_dump(), secret="whsec_…"),  # noqa: S106
    Delivery(
        id=_id("msg"),
        webhook_id=_WEBHOOK,
        seq=41,
        action="deploy.created",
        status="succeeded",
        attempts=1,
        due_at=None,
        response_status=204,
        response_start="",
        error="",
        created_at=_AT,
        ended_at=_LATER,
    ),
    EnrollmentCreated(
        id=_id("enr"),
        kind="install",
        install_id=_INSTALL,
        secret="exce_…",  # noqa: S106
        expires_at=_AT + timedelta(days=1),
    ),
    Enrollment(
        id=_id("enr"),
        kind="install",
        install_id=_INSTALL,
        agent_id=None,
        created_at=_AT,
        expires_at=_AT + timedelta(days=1),
    ),
    EnrollResponse(
        agent_id=_AGENT, kind="install", install_id=_INSTALL, install_name="acme", app_name="shop", vendor_keys=[_PEM]
    ),
    SignInResponse(access_token="exca_…", expires_in=3600),  # noqa: S106
    Lease(
        job_id=_JOB,
        attempt=1,
        lease_seconds=60,
        heartbeat_seconds=15,
        payload=BuildJob(
            build_id=_BUILD,
            app="shop",
            component="network",
            config=_CONFIG,
            registry=RegistryAccess(
                url="https://ims.example.com",
                repository="shop/network",
                username="ticket",
                password="exct_…",  # noqa: S106
            ),
        ),
    ),
    HeartbeatAnswer(cancel="none", lease_seconds=60, heartbeat_seconds=15),
    RegistryAccess(
        url="https://ims.example.com",
        repository="shop/network",
        username="ticket",
        password="exct_…",  # noqa: S106
    ),
    Agent(
        id=_AGENT,
        name="acme-1",
        kind="install",
        install_id=_INSTALL,
        version="0.1.0",
        platform="linux/amd64",
        enrolled_at=_AT,
        last_seen_at=_LATER,
        revoked_at=None,
        status="online",
        offline_since=None,
        load=_SAMPLE,
    ),
    _SAMPLE,
    PendingApprovals(
        items=[
            PendingApproval(
                deploy_id=_DEPLOY,
                release_number=7,
                step_id=_APPROVE_STEP,
                component="network",
                action="apply",
                plan_job_id=_JOB,
                plan_digest=_DIGEST,
                plan=_PLAN,
                requested_at=_LATER,
                expires_at=None,
            )
        ]
    ),
    Job(
        id=_JOB,
        kind="plan",
        state="succeeded",
        attempt=1,
        agent_id=_AGENT,
        install_id=_INSTALL,
        build_id=None,
        step_id=_PLAN_STEP,
        cancel="none",
        failure=None,
        created_at=_AT,
        started_at=_AT,
        ended_at=_LATER,
        lease_until=None,
    ),
    DraftCheck(
        ok=False,
        problems=[
            DraftProblem(
                component="network",
                field="config.variables.cidr",
                message="{{ inputs.cird }} refers to an input that the app doesn't have; it has: cidr",
                remedy="Did you mean 'cidr'?",
            )
        ],
    ),
    DeployBatch(
        release_id=_RELEASE,
        release_number=7,
        created=214,
        busy=[BusyInstall(install_id=_INSTALL, install="acme", deploy_id=_DEPLOY)],
    ),
    DeployPreview(
        ok=True,
        install_id=_INSTALL,
        app_id=_APP,
        kind="deploy",
        release_id=_RELEASE,
        release_number=7,
        approval="vendor",
        components=[
            PreviewComponent(
                name="network", action="update", why="its config has changed", wave=1, build="ready", asks_approval=True
            )
        ],
        steps=[
            PreviewStep(component="network", kind="sync", needs=[], conditional=False),
            PreviewStep(component="network", kind="plan", needs=["network sync"], conditional=False),
            PreviewStep(component="network", kind="approve", needs=["network plan"], conditional=False),
            PreviewStep(component="network", kind="apply", needs=["network approve"], conditional=False),
        ],
        problems=[],
        notes=[],
    ),
    LogsPruned(jobs=12, chunks=340, bytes=1_048_576, ended_before=_AT - timedelta(days=90)),
    JobRun(
        job_id=_JOB,
        kind="plan",
        component="network",
        deploy_id=_DEPLOY,
        outcome="succeeded",
        attempts=1,
        failure_code=None,
        queued_seconds=0.2,
        run_seconds=39.8,
        created_at=_AT,
        started_at=_AT,
        ended_at=_LATER,
    ),
    InstallRender(
        install_id=_INSTALL,
        install="acme",
        release_number=7,
        components=[
            RenderedComponent(
                name="service",
                kind="terraform_module",
                texts=[
                    RenderedText(
                        field="variables.vpc_id", text="{{ components.network.outputs.vpc_id | upper }}", value="VPC-0A1B"
                    ),
                    RenderedText(
                        field="variables.url",
                        text="https://{{ inputs.user }}:{{ secrets.password }}@api.example.com",
                        value="https://app:(sensitive)@api.example.com",
                        sensitive=True,
                    ),
                ],
            )
        ],
    ),
    InstallStats(
        install_id=_INSTALL, deploys=_DURATIONS, components=[ComponentStats(component="network", **_DURATIONS.model_dump())]
    ),
    Liveness(),
    Readiness(ready=True, reasons=[]),
    *TERRAFORM_ANSWERS,
]


def examples() -> dict[str, Json]:
    """Every example by its model's name. A request has only what a caller would say; an answer has every field."""
    said = {type(one).__name__: one.model_dump(mode="json", exclude_unset=True) for one in REQUESTS}
    for name in ("ComponentCreate", "ComponentUpdate", "Finish"):  # `kind` chooses among models, so it is said
        said[name] = next(one for one in REQUESTS if type(one).__name__ == name).model_dump(mode="json", exclude_none=True)
    return said | {type(one).__name__: one.model_dump(mode="json") for one in ANSWERS}


def schemas_of_examples(schemas: list[str]) -> dict[str, Json]:
    """The example of each schema of the document that has one; a page has one item."""
    known = examples()
    pages = {f"Page_{name}_": {"items": [example], "after": None} for name, example in known.items()}
    return {name: example for name, example in (known | pages).items() if name in schemas}
