"""The IMS as an ASGI app: REST API, agent protocol and registry in one process."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from importlib.metadata import version

from fastapi import FastAPI, Request
from fastapi.routing import APIRouter

from api.agents.routes import people as agent_routes
from api.agents.routes import protocol as agent_protocol
from api.apps.routes import router as app_routes
from api.builds.routes import router as build_routes
from api.components.routes import router as component_routes
from api.contract.problems import Problem, RateLimitedError
from api.contract.resources import ServerInfo
from api.db.database import Database
from api.db.doorbell import Doorbell
from api.db.schema import migrate
from api.deploys.routes import router as deploy_routes
from api.errors import install_handlers
from api.events import service as events
from api.events.routes import router as event_routes
from api.ims import Ims
from api.installs.routes import router as install_routes
from api.installs.vault import Vault
from api.jobs import outcomes
from api.jobs.routes import router as job_routes
from api.logins.routes import browser as login_pages
from api.logins.routes import programs as login_routes
from api.rate_limits import Limiter
from api.registry.app import create_registry, registry_routes
from api.registry.errors import TooManyRequestsError
from api.registry.storage import RegistryStorage
from api.registry.tokens import TokenSigner
from api.releases.routes import router as release_routes
from api.settings import Settings
from api.tickets.service import TicketCredentials
from api.tokens.routes import router as token_routes

_log = logging.getLogger(__name__)

ROUTERS: list[APIRouter] = [
    app_routes,
    component_routes,
    install_routes,
    build_routes,
    release_routes,
    deploy_routes,
    agent_routes,
    agent_protocol,
    job_routes,
    event_routes,
    token_routes,
    login_routes,
    login_pages,
]


def utc_now() -> datetime:
    """The clock of a running IMS."""
    return datetime.now(UTC)


def create_app(settings: Settings, *, doorbell: Doorbell | None = None, clock: Callable[[], datetime] = utc_now) -> FastAPI:
    """An IMS on the data folder of `settings`, which is made and migrated here. Raises UnusableDataError.

    Whoever stops the server closes `doorbell` first, or its long polls hold the stop up.
    """
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    vault = Vault.open(settings.secrets_key, make=not settings.database.exists())  # first, so that no database is without one
    migrate(settings.database)
    db = Database(settings.database, clock=clock, doorbell=doorbell or Doorbell(), record=events.record)
    storage = RegistryStorage.open(settings.data / "registry")

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await db.write("system", outcomes.forgive_downtime, settings.intervals)
        sweeper = asyncio.create_task(_sweep(db, settings), name="sweeper")
        try:
            yield
        finally:
            sweeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sweeper
            await db.close()
            storage.close()

    app = FastAPI(
        title="Exclave IMS",
        version=version("exclave"),
        summary="Runs a vendor's product inside its customers' clouds.",
        lifespan=lifespan,
        responses={
            422: {"model": Problem, "description": "A value can't be accepted; `errors` names the fields."},
            "4XX": {"model": Problem, "description": "A problem (RFC 9457), as application/problem+json."},
        },
    )
    limiter = Limiter(settings.rate_limits, clock)
    app.state.ims = Ims(settings, db, vault, limiter)
    install_handlers(app)
    for router in ROUTERS:
        app.include_router(router)

    @app.get("/v1", tags=["server"])
    async def server_info() -> ServerInfo:
        """What this server is; needs no token."""
        return ServerInfo(version=app.version, time=clock())

    signer = TokenSigner.open(settings.data / "registry-token.key", issuer="exclave")
    registry = create_registry(
        storage,
        signer,
        TicketCredentials(db),
        service="exclave",
        admit=lambda request: _admit(limiter, request),
    )
    app.router.routes.extend(registry_routes(registry))
    return app


def _admit(limiter: Limiter, request: Request) -> None:
    """The registry's token endpoint speaks the registry's own language of errors."""
    try:
        limiter.enter("registry_token", request)
    except RateLimitedError as error:
        raise TooManyRequestsError(error.detail, headers={"Retry-After": str(error.retry_after)}) from error


async def _sweep(db: Database, settings: Settings) -> None:
    """Look for expired leases and due retries, for as long as the server runs."""
    while True:
        await asyncio.sleep(settings.intervals.sweep)
        try:
            if await db.read(outcomes.overdue, settings.intervals):
                await db.write("system", outcomes.sweep, settings.intervals)
        except Exception:  # one bad sweep must not be the last: the next one tries again
            _log.exception("the sweep failed")
