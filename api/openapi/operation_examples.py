"""Examples of what whoever runs an IMS sends and is answered: logins, secrets, webhooks, the history."""

from api.contract.access import DeviceLogin, DeviceLoginDone, DeviceLoginPoll, Session, Token, TokenCreate, TokenCreated, Whoami
from api.contract.base import Model
from api.contract.registry import Collection, InRepository, SkippedRepository
from api.contract.resources import Event, ServerInfo
from api.contract.secrets import Rotation, Secret, SecretCreate, SecretUpdate, SecretUse
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
from api.openapi.example_values import APP, AT, DEPLOY, DIGEST, INSTALL, LATER, id_of

_SECRET = id_of("sec")
_WEBHOOK = id_of("whk")
_USE = SecretUse(app="shop", component="network", field="variables.password")
_URL = "https://hooks.example.com/exclave"
_TOKEN = Token(
    id=id_of("tok"),
    name="ci",
    role="deployer",
    scope=f"app:{APP}",
    scope_name="shop",
    created_at=AT,
    expires_at=None,
    last_used_at=LATER,
    revoked_at=None,
)
_ANN = Whoami(
    name="person:ann@example.com",
    role="deployer",
    permissions=["read", "define", "deploy"],
    scope="all",
    scope_name=None,
    expires_at=LATER,
)
_HOOK = Webhook(
    id=_WEBHOOK,
    name="chat",
    url=_URL,
    events=["deploy.*"],
    app_id=APP,
    install_id=None,
    enabled=True,
    description="Tells the team.",
    disabled_because=None,
    failing_since=None,
    cursor=41,
    previous_secret_until=None,
    version=1,
    created_at=AT,
    updated_at=AT,
)

OPERATION_REQUESTS: list[Model] = [
    TokenCreate(name="ci", role="deployer", scope="app:shop", expires_in=90 * 86400),
    DeviceLoginPoll(device_code="excd_…"),
    SecretCreate(name="db-password", value="correct horse battery staple", app_id="shop"),
    SecretUpdate(value="another horse"),
    WebhookCreate(name="chat", url=_URL, events=["deploy.*"], app_id="shop"),
    WebhookUpdate(url=_URL, events=["deploy.*", "agent.offline"], app_id="shop"),
    WebhookRotate(overlap_seconds=3600),
    WebhookReplay(after=17),
]

OPERATION_ANSWERS: list[Model] = [
    Event(
        seq=41,
        at=AT,
        actor="token:ci",
        action="deploy.created",
        object_id=DEPLOY,
        app_id=APP,
        install_id=INSTALL,
        after={"install": "acme", "release": 7},
        previous_hash="c4" * 32,
        hash="9e" * 32,
    ),
    Verification(whole=True, broken_at=None, lines=41, last_hash="9e" * 32),
    _TOKEN,
    TokenCreated(**_TOKEN.model_dump(), secret="excl_…"),  # noqa: S106
    _ANN,
    Session(
        id=id_of("ses"),
        name="person:ann@example.com",
        role="deployer",
        scope="all",
        scope_name=None,
        created_at=AT,
        expires_at=LATER,
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
    ServerInfo(version="0.1.0", time=AT),
    Secret(
        id=_SECRET,
        name="db-password",
        app_id=APP,
        install_id=None,
        version=2,
        fingerprint="b7" * 16,
        used_by=[_USE],
        created_at=AT,
        updated_at=LATER,
    ),
    Collection(
        dry_run=False,
        repositories=12,
        manifests=[InRepository(repository="shop/network", digest=DIGEST)],
        blobs=[InRepository(repository="shop/network", digest="sha256:" + "6a" * 32)],
        freed_bytes=27_000_000,
        skipped=[SkippedRepository(repository="shop/service", reason="a build is being pushed")],
    ),
    Rotation(data_key=id_of("key"), done=False, values_done=200, values=512, begun_at=AT, finished_at=None),
    _HOOK,
    WebhookWithSecret(**_HOOK.model_dump(), secret="whsec_…"),  # noqa: S106
    Delivery(
        id=id_of("msg"),
        webhook_id=_WEBHOOK,
        seq=41,
        action="deploy.created",
        status="succeeded",
        attempts=1,
        due_at=None,
        response_status=204,
        response_start="",
        error="",
        created_at=AT,
        ended_at=LATER,
    ),
    Liveness(),
    Readiness(ready=True, reasons=[]),
]
