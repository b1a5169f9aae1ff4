"""Examples of what is sent and answered about apps, installs, releases and deploys."""

from datetime import timedelta

from api.contract.approvals import ApprovalDecision, SkipRequest, StepApproval
from api.contract.base import Json, Model
from api.contract.component_health import checked, health_of
from api.contract.components import Component, ComponentCreate, ComponentUpdate
from api.contract.deploy_batches import BusyInstall, DeployBatch, DeployBatchCreate
from api.contract.inputs import InputSpec
from api.contract.previews import (
    AppDraft,
    DeployPreview,
    DeployPreviewRequest,
    DraftCheck,
    DraftProblem,
    PreviewComponent,
    PreviewStep,
)
from api.contract.renders import InstallRender, RenderedComponent, RenderedText
from api.contract.resources import (
    App,
    AppCreate,
    AppUpdate,
    Build,
    Deploy,
    DeployCreate,
    Install,
    InstallCreate,
    InstalledComponent,
    InstallUpdate,
    ModuleOutput,
    ModuleVariable,
    Release,
    ReleaseBuild,
    ReleaseCreate,
    RollbackCreate,
    Step,
)
from api.contract.signed_releases import ReleaseContent, ReleaseContents, ReleaseSignature, StoredSignature
from api.contract.statistics import ComponentStats, Durations, InstallStats
from api.openapi.example_values import (
    AGENT,
    APP,
    APPROVE_STEP,
    ARTIFACT,
    AT,
    BUILD,
    CONFIG,
    DEPLOY,
    DIGEST,
    INSTALL,
    JOB,
    LATER,
    PEM,
    PLAN,
    PLAN_STEP,
    id_of,
)

_RELEASE = id_of("rel")
_ENVELOPE = '{"payload":"eyJhcHAi…","payloadType":"application/vnd.exclave.signed-release.v1+json","signatures":[…]}'
_INPUT = InputSpec(name="cidr", description="The network's addresses.", group="Network", default="10.0.0.0/16")
_DURATIONS = Durations(
    total=12,
    succeeded=11,
    failed=1,
    cancelled=0,
    success_rate=0.9167,
    p50_seconds=38.2,
    p95_seconds=71.5,
    last_outcome="succeeded",
    last_ended_at=LATER,
)
_WAITING = StepApproval(
    approver="vendor",
    plan_digest=DIGEST,
    requested_at=LATER,
    expires_at=None,
    decision=None,
    decided_by=None,
    decided_at=None,
    note="",
)


def _step(step_id: str, **more: Json) -> Step:
    rest = {"attempt": 0, "job_id": None, "plan": None, "approval": None, "failure": None, "ended_at": None}
    return Step.model_validate({"id": step_id, "component": "network", "started_at": AT, "needs": [], **rest, **more})


SHOP_REQUESTS: list[Model] = [
    AppCreate(name="shop", description="Our shop, in your cloud.", inputs=[_INPUT]),
    AppUpdate(description="Our shop, in your cloud.", inputs=[_INPUT]),
    ComponentCreate(name="network", config=CONFIG),
    ComponentUpdate(config=CONFIG),
    InstallCreate(
        app_id="shop", name="acme", inputs={"cidr": "10.8.0.0/16"}, approval="vendor", platform="aws", region="eu-central-1"
    ),
    InstallUpdate(inputs={"cidr": "10.8.0.0/16"}, approval="vendor", labels={"region": "eu", "tier": "gold"}),
    ReleaseCreate(app_id="shop", components={"network": 3}),
    ReleaseSignature(envelope=_ENVELOPE, public_key=PEM),
    RollbackCreate(release_id=_RELEASE),
    DeployCreate(install_id="acme", release_id=_RELEASE, inputs_version=2),
    DeployBatchCreate(release_id=_RELEASE, selector="region=eu,tier!=free"),
    AppDraft(components={"network": CONFIG.model_dump(mode="json", exclude_none=True)}, complete=True),
    DeployPreviewRequest(install_id="acme", release_number=7),
    ApprovalDecision(plan_digest=DIGEST, note="Looked at it with Ann."),
    SkipRequest(note="Its quota is used up; tomorrow."),
]

SHOP_ANSWERS: list[Model] = [
    App(
        id=APP,
        name="shop",
        description="Our shop, in your cloud.",
        inputs=[_INPUT],
        labels={"team": "web"},
        version=1,
        created_at=AT,
        updated_at=AT,
    ),
    Component(
        id=id_of("cmp"),
        app_id=APP,
        name="network",
        kind="terraform_module",
        version=3,
        config=CONFIG,
        created_at=AT,
        updated_at=LATER,
    ),
    Install(
        id=INSTALL,
        app_id=APP,
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
        drift_due_at=AT + timedelta(days=1),
        inputs_version=2,
        version=4,
        agent_id=AGENT,
        agent_last_seen_at=LATER,
        components=[
            InstalledComponent(
                name="network",
                status="deployed",
                digest=DIGEST,
                release_number=7,
                outputs={"vpc_id": "vpc-0a1b"},
                health=health_of([checked("probe.api", "http", "healthy")]),
                health_since=AT,
                health_checked_at=LATER,
            )
        ],
        created_at=AT,
        updated_at=LATER,
    ),
    Build(
        id=BUILD,
        app_id=APP,
        component="network",
        component_version=3,
        status="succeeded",
        source_revision="3f1c2a9",
        artifact=ARTIFACT,
        variables=[ModuleVariable(name="cidr", type="string", required=True)],
        outputs=[ModuleOutput(name="vpc_id")],
        failure=None,
        waiting_for="",
        created_at=AT,
        ended_at=LATER,
    ),
    Release(
        id=_RELEASE,
        app_id=APP,
        number=7,
        status="ready",
        labels={"channel": "stable"},
        builds=[
            ReleaseBuild(
                component="network",
                component_version=3,
                kind="terraform_module",
                build_id=BUILD,
                reused=False,
                status="succeeded",
                source_revision="3f1c2a9",
                digest=DIGEST,
                failure=None,
                waiting_for="",
            )
        ],
        failure=None,
        signed_by=DIGEST,
        created_at=AT,
        ended_at=LATER,
    ),
    ReleaseContents(
        app="shop",
        number=7,
        components={
            "network": ReleaseContent(
                repository="shop/network",
                digest=DIGEST,
                config=CONFIG,
                source_revision="3f1c2a9",
            )
        },
    ),
    StoredSignature(envelope=_ENVELOPE, public_key=PEM, document=DIGEST, signed_by=DIGEST, stored_at=AT),
    Deploy(
        id=DEPLOY,
        install_id=INSTALL,
        app_id=APP,
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
                PLAN_STEP,
                kind="plan",
                status="succeeded",
                attempt=1,
                job_id=JOB,
                plan=PLAN,
                ended_at=LATER,
                waiting_for="",
            ),
            _step(
                APPROVE_STEP,
                kind="approve",
                status="waiting",
                needs=[PLAN_STEP],
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
        created_at=AT,
        ended_at=None,
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
        busy=[BusyInstall(install_id=INSTALL, install="acme", deploy_id=DEPLOY)],
    ),
    DeployPreview(
        ok=True,
        install_id=INSTALL,
        app_id=APP,
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
    InstallRender(
        install_id=INSTALL,
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
        install_id=INSTALL, deploys=_DURATIONS, components=[ComponentStats(component="network", **_DURATIONS.model_dump())]
    ),
]
