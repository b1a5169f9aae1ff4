"""`/healthz`, `/readyz`, `/metrics`: for the machines that watch the IMS."""

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from api.access import Credentials, Needs, State
from api.db.schema import newest_version
from api.monitoring.counts import count
from api.monitoring.metrics import Metrics
from api.monitoring.readiness import reasons_against
from api.monitoring.schemas import Liveness, Readiness

router = APIRouter(tags=["monitoring"])


@router.get("/healthz")
async def health() -> Liveness:
    """Whether the process lives; asks nothing of the database, needs no token."""
    return Liveness()


@router.get("/readyz", responses={503: {"model": Readiness, "description": "Not ready; `reasons` says why."}})
async def readiness(ims: State, response: Response) -> Readiness:
    """Whether the IMS can do its work now; needs no token."""
    reasons = await reasons_against(ims, newest_schema=newest_version())
    response.status_code = 503 if reasons else 200
    return Readiness(ready=not reasons, reasons=reasons)


_reads_all = Needs("read", "all")


async def _may_scrape(request: Request, ims: State, credentials: Credentials) -> None:
    if not ims.settings.metrics_public:
        await _reads_all(request, ims, credentials)


@router.get("/metrics", response_class=Response, dependencies=[Depends(_may_scrape)])
async def metrics(request: Request, ims: State) -> Response:
    """The metrics in Prometheus's text format."""
    found: Metrics = request.app.state.metrics
    found.set_counts(await ims.db.read(count))
    found.long_polls.set(ims.db.doorbell.waiting)
    found.queued_writes.set(ims.db.queued)
    return Response(generate_latest(found.registry), media_type=CONTENT_TYPE_LATEST)
