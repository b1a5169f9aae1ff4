"""Examples of the agent protocol, and of what people see of agents and jobs."""

from datetime import timedelta

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
from api.contract.base import Model
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
from api.contract.logs import LogPrune, LogsPruned
from api.contract.resources import ModuleVariable
from api.contract.statistics import JobRun
from api.openapi.example_values import (
    AGENT,
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

_KEY = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrb="
_HEALTH = Health(version="0.1.0", uptime_seconds=86_400, jobs=1, load=0.4, cpus=2, memory_used_mb=512, memory_total_mb=4096)
_SAMPLE = HealthSample(at=AT, **_HEALTH.model_dump())

AGENT_REQUESTS: list[Model] = [
    AgentDecision(decision="approved", plan_digest=DIGEST, note="In our window."),
    EnrollmentCreate(kind="install", install_id="acme"),
    AgentUpdateCreate(version="0.2.0", digest=DIGEST),
    EnrollRequest(token="exce_…", public_key=_KEY, name="acme-1", version="0.1.0", platform="linux/amd64"),  # noqa: S106
    SignInRequest(
        agent_id=AGENT, timestamp=1_795_251_600, nonce="b2f7c6a1d0e94f38", signature="vB3…", version="0.1.0", sealing_key=_KEY
    ),
    LeaseRequest(wait_seconds=0, holding=[], health=_HEALTH),
    Heartbeat(attempt=1, health=_HEALTH),
    TicketRequest(attempt=1),
    Finish(
        attempt=1,
        outcome="succeeded",
        result=BuildResult(
            source_revision="3f1c2a9", artifact=ARTIFACT, variables=[ModuleVariable(name="cidr", required=True)]
        ),
    ),
    LogPrune(older_than_seconds=90 * 86400),
    RotateKeyRequest(
        public_key=_KEY, timestamp=1_795_251_600, nonce="b2f7c6a1d0e94f38", old_signature="vB3…", new_signature="x0Q…"
    ),
]

AGENT_ANSWERS: list[Model] = [
    EnrollmentCreated(
        id=id_of("enr"),
        kind="install",
        install_id=INSTALL,
        secret="exce_…",  # noqa: S106
        expires_at=AT + timedelta(days=1),
    ),
    Enrollment(
        id=id_of("enr"),
        kind="install",
        install_id=INSTALL,
        agent_id=None,
        created_at=AT,
        expires_at=AT + timedelta(days=1),
    ),
    EnrollResponse(agent_id=AGENT, kind="install", install_id=INSTALL, install_name="acme", app_name="shop", vendor_keys=[PEM]),
    SignInResponse(access_token="exca_…", expires_in=3600),  # noqa: S106
    Lease(
        job_id=JOB,
        attempt=1,
        lease_seconds=60,
        heartbeat_seconds=15,
        payload=BuildJob(
            build_id=BUILD,
            app="shop",
            component="network",
            config=CONFIG,
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
        id=AGENT,
        name="acme-1",
        kind="install",
        install_id=INSTALL,
        version="0.1.0",
        platform="linux/amd64",
        enrolled_at=AT,
        last_seen_at=LATER,
        revoked_at=None,
        status="online",
        offline_since=None,
        load=_SAMPLE,
    ),
    _SAMPLE,
    PendingApprovals(
        items=[
            PendingApproval(
                deploy_id=DEPLOY,
                release_number=7,
                step_id=APPROVE_STEP,
                component="network",
                action="apply",
                plan_job_id=JOB,
                plan_digest=DIGEST,
                plan=PLAN,
                requested_at=LATER,
                expires_at=None,
            )
        ]
    ),
    Job(
        id=JOB,
        kind="plan",
        state="succeeded",
        attempt=1,
        agent_id=AGENT,
        install_id=INSTALL,
        build_id=None,
        step_id=PLAN_STEP,
        cancel="none",
        failure=None,
        created_at=AT,
        started_at=AT,
        ended_at=LATER,
        lease_until=None,
    ),
    LogsPruned(jobs=12, chunks=340, bytes=1_048_576, ended_before=AT - timedelta(days=90)),
    JobRun(
        job_id=JOB,
        kind="plan",
        component="network",
        deploy_id=DEPLOY,
        outcome="succeeded",
        attempts=1,
        failure_code=None,
        queued_seconds=0.2,
        run_seconds=39.8,
        created_at=AT,
        started_at=AT,
        ended_at=LATER,
    ),
]
