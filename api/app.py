"""The IMS as an ASGI app: REST API, agent protocol and registry in one process."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from importlib.metadata import version

from fastapi import FastAPI, Request
from fastapi.routing import APIRouter
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api import housekeeping
from api.access import State
from api.agents.fast_path import FastPath
from api.agents.routes import people as agent_routes
from api.agents.routes import protocol as agent_protocol
from api.apps.routes import router as app_routes
from api.body_limit import BodyLimit
from api.builds.routes import router as build_routes
from api.collection import service as collection
from api.collection.routes import router as collection_routes
from api.components.routes import router as component_routes
from api.contract.problems import RateLimitedError
from api.contract.resources import ServerInfo
from api.db.database import Database
from api.db.doorbell import Doorbell
from api.db.schema import open_database
from api.deploys import due, planner
from api.deploys.action_routes import installs as install_action_routes
from api.deploys.action_routes import protocol as approval_protocol
from api.deploys.action_routes import router as deploy_action_routes
from api.deploys.preview_routes import router as deploy_preview_routes
from api.deploys.routes import router as deploy_routes
from api.drafts.routes import router as draft_routes
from api.errors import install_handlers
from api.events.chain import Chain
from api.events.routes import router as event_routes
from api.ims import Ims
from api.installs.routes import router as install_routes
from api.jobs import log_files, outcomes
from api.jobs.routes import router as job_routes
from api.logins.routes import browser as login_pages
from api.logins.routes import programs as login_routes
from api.monitoring.metrics import Metrics
from api.monitoring.middleware import Monitoring
from api.monitoring.routes import router as monitoring_routes
from api.openapi.document import install_document, name_operations
from api.rate_limits import Limiter
from api.registry import durable
from api.registry.app import create_registry, registry_routes
from api.registry.care import RegistryCare
from api.registry.credentials import Credentials
from api.registry.errors import TooManyRequestsError
from api.registry.s3 import S3UnusableError
from api.registry.storage import BlobsElsewhereError
from api.registry.tokens import TokenSigner
from api.releases.routes import router as release_routes
from api.secrets.keyring import open_vault
from api.secrets.keys import open_provider
from api.secrets.routes import router as secret_routes
from api.secrets.vault import Vault
from api.settings import UNFINISHED_RESTORE, Settings, UnusableDataError
from api.statistics.routes import router as statistics_routes
from api.terraform_registry.routes import router as terraform_registry_routes
from api.terraform_registry.service import TerraformRegistry
from api.tickets.credentials import TicketCredentials
from api.tickets.logins import LOGIN_PATH, LoginRoute
from api.tickets.vendor_registry import check_extras, front_of, logins_of
from api.tokens.routes import router as token_routes
from api.webhooks.guard import Guard
from api.webhooks.post import Poster
from api.webhooks.routes import router as webhook_routes
from api.webhooks.sender import Sender

_log = logging.getLogger(__name__)

_server = APIRouter(tags=["server"])


@_server.get("/v1")  # not within `create_app`: FastAPI's caches keep each endpoint, and with it what it closes over
async def server_info(request: Request, ims: State) -> ServerInfo:
    """What this server is; needs no token."""
    return ServerInfo(version=request.app.version, time=ims.db.now())


ROUTERS: list[APIRouter] = [
    agent_protocol,  # first, because it is asked most
    app_routes,
    draft_routes,
    component_routes,
    install_routes,
    build_routes,
    release_routes,
    deploy_routes,
    deploy_preview_routes,
    deploy_action_routes,
    install_action_routes,
    approval_protocol,
    agent_routes,
    job_routes,
    event_routes,
    token_routes,
    login_routes,
    login_pages,
    monitoring_routes,
    secret_routes,
    webhook_routes,
    statistics_routes,
    collection_routes,
    terraform_registry_routes,
    _server,
]


class _Api(FastAPI):
    """FastAPI, with what has to see each request before it does."""

    _outermost: ASGIApp

    def look_first(self, metrics: Metrics) -> None:
        """Count and name every request; give the agents' calls their short way, unless every request is to be traced."""
        ims: Ims = self.state.ims
        inner = super().__call__
        short = inner if ims.settings.otel_endpoint else FastPath(inner, ims, self.exception_handlers)
        self._outermost = Monitoring(short, metrics)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._outermost(scope, receive, send)


def utc_now() -> datetime:
    """The clock of a running IMS."""
    return datetime.now(UTC)


def create_app(settings: Settings, *, doorbell: Doorbell | None = None, clock: Callable[[], datetime] = utc_now) -> FastAPI:
    """An IMS on the data folder of `settings`, which is made and migrated here. Raises UnusableDataError.

    Whoever stops the server closes `doorbell` first, or its long polls hold the stop up.
    """
    check_extras(settings)
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    if (settings.data / UNFINISHED_RESTORE).exists():
        raise UnusableDataError(f"a restore to {settings.data} was cut off: empty the folder, and restore again")
    # First, so that no database is without a key. A file that was made in place of a lost one is refused by open_vault.
    new = settings.database != "sqlite" or not settings.database_file.exists()
    provider = open_provider(settings.secrets_provider, make=new)
    driver = open_database(settings)
    try:
        vault = open_vault(driver, provider, clock)
    except BaseException:
        driver.close()
        raise
    db = Database(driver, clock=clock, doorbell=doorbell or Doorbell(), history=Chain())
    try:
        storage = settings.registry.open(settings.data / "registry")
    except (BlobsElsewhereError, S3UnusableError) as error:
        driver.close()
        raise UnusableDataError(str(error)) from None
    care = RegistryCare(storage, settings.registry, needs=lambda: db.read(collection.needs))
    sender = Sender(db, vault, Poster(Guard(settings.webhooks_allow_private)), pace=settings.intervals.webhooks)

    front = front_of(settings)
    terraform_registry = TerraformRegistry(settings.packages_folder, settings.data / "packages.key")

    at_end = contextlib.ExitStack()

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        db.listen()
        await log_files.take_over(db, settings.data / "logs")
        await db.write("system", outcomes.forgive_downtime, settings.intervals)
        tasks = [
            asyncio.create_task(_sweep(db, settings, vault), name="sweeper"),
            asyncio.create_task(housekeeping.run(db, settings), name="housekeeping"),
            asyncio.create_task(sender.run(), name="webhook-sender"),
            asyncio.create_task(planner.run(db, vault), name="deploy-planner"),
            asyncio.create_task(care.run(collection.recorder(db)), name="registry-care"),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await terraform_registry.filler.close()
            if front:
                await front.close()
            await db.close()
            storage.close()
            await asyncio.to_thread(at_end.close)

    app = _Api(
        title="Exclave IMS",
        version=version("exclave"),
        summary="Runs a vendor's product inside its customers' clouds.",
        lifespan=lifespan,
    )
    install_document(app)
    limiter = Limiter(settings.rate_limits, clock)
    app.state.ims = Ims(settings, db, vault, provider, limiter)
    app.state.webhook_sender = sender
    app.state.terraform_registry = terraform_registry
    app.state.registry_care = care
    app.state.metrics = metrics = Metrics()
    db.committed = metrics.committed
    if settings.otel_endpoint:
        at_end.callback(_tracing()(app, db, settings.otel_endpoint))
    install_handlers(app)
    app.add_middleware(BodyLimit, largest=settings.body_limit)
    app.look_first(metrics)
    for router in ROUTERS:
        app.router.routes.extend(router.routes)  # as they are: include_router makes each of them anew for this app

    signer = TokenSigner.open(settings.data / "registry-token.key", issuer="exclave")
    durable.write_file(settings.data / "registry-token.crt", signer.certificate_pem)
    credentials = TicketCredentials(db)
    registry = create_registry(
        storage,
        signer,
        credentials,
        service="exclave",
        admit=lambda request: _admit(limiter, request),
        under_way=care.uploads,
        read_only=settings.registry.read_only,
        more=_logins(settings, credentials, lambda request: _admit(limiter, request)),
        front=front,
    )
    app.router.routes.extend(registry_routes(registry))
    name_operations(app.routes)
    return app


def _logins(
    settings: Settings, credentials: Credentials, admit: Callable[[Request], None]
) -> dict[str, Callable[[Request], Awaitable[Response]]]:
    logins = logins_of(settings)
    route = LoginRoute(credentials, logins, admit, settings.vendor_registry_front) if logins else None
    return {LOGIN_PATH: route.get} if route else {}


def _admit(limiter: Limiter, request: Request) -> None:
    """The registry's token endpoint speaks the registry's own language of errors."""
    try:
        limiter.enter("registry_token", request)
    except RateLimitedError as error:
        raise TooManyRequestsError(error.detail, headers={"Retry-After": str(error.retry_after)}) from error


def _tracing() -> Callable[[FastAPI, Database, str], Callable[[], None]]:
    try:
        from api.monitoring.tracing import trace
    except ImportError as error:
        raise UnusableDataError(
            f"otel_endpoint needs packages that aren't there ({error.name}): `pip install 'exclave[otel]'`"
        ) from None
    return trace


async def _sweep(db: Database, settings: Settings, vault: Vault) -> None:
    """Look for expired leases, due retries, expired approvals and due drift runs, for as long as the server runs."""
    while True:
        await asyncio.sleep(settings.intervals.sweep)
        try:
            if await db.read(outcomes.overdue, settings.intervals):
                await db.write("system", outcomes.sweep, settings.intervals)
            if await db.read(due.overdue):
                await db.write("system", due.sweep, vault)
        except Exception:  # one bad sweep must not be the last: the next one tries again
            _log.exception("the sweep failed")
