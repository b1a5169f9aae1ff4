"""`/v1/agents` for people, and `/v1/agent`: the protocol that agents speak."""

import asyncio
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from api.access import AdminOfInstall, AgentOf, AgentSession, Enroller, Key, State, Viewer
from api.agents import disconnecting, health, service, standing, updates
from api.contract.agents import (
    LOG_CHUNK_BYTES,
    Agent,
    AgentUpdateCreate,
    Finish,
    Heartbeat,
    HeartbeatAnswer,
    Job,
    Lease,
    LeaseRequest,
    RegistryAccess,
    TicketRequest,
)
from api.contract.base import AgentKind, Page
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
from api.contract.health import HealthSample
from api.contract.logs import JOB_LOG_BYTES
from api.contract.problems import ContentTooLargeError, LogFullError
from api.contract.signed_releases import StoredSignature
from api.db.idempotency import once
from api.http import LARGEST, After, Limit, Moment, SecretOnce
from api.jobs import further_ticket, hot, logs, outcomes, queue, signed_release

people = APIRouter(prefix="/v1/agents", tags=["agents"])
protocol = APIRouter(prefix="/v1/agent", tags=["agent protocol"])

_CHUNK_LIMIT = 128 * 1024
"""gzip makes nothing twice as large."""


@people.post("/enrollments", status_code=201, dependencies=[SecretOnce])
async def create_enrollment(body: EnrollmentCreate, ims: State, caller: Enroller) -> EnrollmentCreated:
    """Make a one-time token with which one agent can enrol."""
    standing.check_kind(caller.identity.role, body.kind)
    return await caller.write(service.create_enrollment, body, seconds=ims.settings.intervals.enrollment)


@people.get("/enrollments/{enrollment}")
async def get_enrollment(enrollment: str, caller: Viewer) -> Enrollment:
    """One enrolment token, without its secret."""
    return await caller.read(service.get_enrollment, enrollment)


@people.delete("/enrollments/{enrollment}", status_code=204)
async def delete_enrollment(enrollment: str, caller: AdminOfInstall) -> None:
    """End an enrolment token that nobody has used."""
    await caller.write(service.delete_enrollment, enrollment)


@people.get("")
async def list_agents(
    ims: State,
    caller: Viewer,
    limit: Limit = 100,
    after: After = None,
    install: str | None = None,
    kind: AgentKind | None = None,
    name: str | None = None,
    version: Annotated[str | None, Query(description="Only those that run this version.")] = None,
) -> Page[Agent]:
    """Page through the agents, of one install or of all."""
    return await caller.read(
        service.list_agents,
        ims.settings.intervals,
        limit=limit,
        after=after,
        install=install,
        kind=kind,
        name=name,
        version=version,
    )


@people.get("/{agent}")
async def get_agent(agent: str, ims: State, caller: Viewer) -> Agent:
    """One agent."""
    return await caller.read(service.get, agent, ims.settings.intervals)


@people.get("/{agent}/health")
async def get_health(
    agent: str,
    caller: Viewer,
    since: Annotated[Moment | None, Query(description="Nothing older than this moment.")] = None,
    limit: Limit = 100,
    after: Annotated[Moment | None, Query(description="The `after` of the page before.")] = None,
) -> Page[HealthSample]:
    """What an agent said of its machine, at most once a minute, oldest first."""
    return await caller.read(lambda tx: health.history(tx, service.find(tx, agent).id, since=since, after=after, limit=limit))


@people.post("/{agent}/updates", status_code=201)
async def offer_version(agent: str, body: AgentUpdateCreate, caller: AdminOfInstall, key: Key) -> Job:
    """Offer an install agent another version of itself.

    It is tried only if the vendor's key has signed it for an agent of that version, and the customer's policy allows it. The
    job ends once the version has held, or with what kept it from that.
    """
    return await caller.write(lambda tx: once(tx, key, body, Job, lambda: updates.offer(tx, agent, body)))


@people.delete("/{agent}", status_code=204)
async def revoke_agent(agent: str, caller: AdminOfInstall) -> None:
    """End an agent's access at once."""
    await caller.write(service.revoke, agent)


@protocol.post("/enroll")
async def enroll(body: EnrollRequest, request: Request, ims: State) -> EnrollResponse:
    """Become an agent. Needs no bearer token: the one-time token in the body is the proof."""
    ims.limiter.enter("enroll", request)
    return await ims.db.write("enrollment", service.enroll, body)


@protocol.post("/session")
async def sign_in(body: SignInRequest, request: Request, ims: State) -> SignInResponse:
    """Get an access token. Needs no bearer token: the signature is the proof."""
    ims.limiter.enter("sign_in", request, agent_id=body.agent_id)
    return await ims.db.write(f"agent:{body.agent_id}"[:64], service.sign_in, body, seconds=ims.settings.intervals.access_token)


@protocol.post("/rotate-key", status_code=204)
async def rotate_key(body: RotateKeyRequest, ims: State, agent: AgentOf) -> None:
    """Replace the agent's key; the same request again is harmless. The agent then signs in with the new one."""
    await ims.db.write(f"agent:{agent.id}", service.rotate_key, agent, body)


@protocol.post("/disconnect", status_code=204)
async def disconnect(ims: State, agent: AgentOf) -> None:
    """End the agent's own access, for good. Refused while it has jobs, or a deploy is under way on its install."""
    await ims.db.write(f"agent:{agent.id}", disconnecting.disconnect, agent)


@protocol.post("/lease", responses={204: {"description": "No job; come back after `Retry-After` seconds."}})
async def lease(body: LeaseRequest, request: Request, ims: State, agent: AgentSession, response: Response) -> Lease | None:
    """Get a job, or the attempt that the agent held before it was restarted."""
    db, intervals, actor = ims.db, ims.settings.intervals, f"agent:{agent.id}"
    if body.health:
        await db.write(actor, health.record, agent.id, body.health)
    if body.resume:
        return await db.write(actor, outcomes.resume, agent, body.resume, ims.sources, intervals)
    seconds = min(body.wait_seconds, intervals.long_poll)
    first = (agent, body.holding, ims.sources, intervals)
    if seconds:
        later = (agent, None, ims.sources, intervals)  # what it lacked is offered again; what it was given since, it has
        topic = queue.topic(agent.kind, agent.install_id)
        waiting = db.write_when_rung(topic, hot.load_claims, actor, outcomes.claim, first, later)
        watch = asyncio.create_task(_hung_up(request, waiting.give_up))  # a job that is claimed then would reach nobody
        try:
            job = await waiting.result(seconds)
        finally:
            watch.cancel()
    else:
        job = await db.write_together(hot.load_claims, actor, outcomes.claim, *first, urgent=True)
    if job:
        return job
    response.status_code = 204
    response.headers["Retry-After"] = "1" if db.doorbell.closed else "0"
    return None


async def _hung_up(request: Request, tell: Callable[[], None]) -> None:
    """Tell when the caller of a request has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    tell()


@protocol.post("/jobs/{job}/heartbeat")
async def heartbeat(job: str, body: Heartbeat, ims: State, agent: AgentSession) -> HeartbeatAnswer:
    """Prolong a lease."""
    if body.health:
        await ims.db.write(f"agent:{agent.id}", service.record_health, agent, body.health)
    intervals = ims.settings.intervals
    return await ims.db.write_together(
        hot.load_heartbeats, f"agent:{agent.id}", outcomes.heartbeat, agent, job, body.attempt, intervals, urgent=True
    )


@protocol.get("/jobs/{job}/release")
async def get_job_release(job: str, ims: State, agent: AgentOf) -> StoredSignature:
    """The document with which the vendor has signed the release that a job brings, for customers who ask for one."""
    return await ims.db.read(signed_release.of_job, agent, job)


@protocol.post("/jobs/{job}/ticket")
async def renew_ticket(job: str, body: TicketRequest, ims: State, agent: AgentOf) -> RegistryAccess:
    """Get another pull ticket for a job that the agent holds, once what the first one bought has ended in mid-transfer."""
    return await ims.db.write(f"agent:{agent.id}", further_ticket.for_job, agent, job, body.attempt, ims.sources)


@protocol.put("/jobs/{job}/logs/{seq}", status_code=204)
async def put_log(
    job: str,
    seq: Annotated[int, Path(ge=0, le=LARGEST)],
    request: Request,
    ims: State,
    agent: AgentOf,
    attempt: Annotated[int, Query(ge=1)],
    offset: Annotated[int, Query(ge=0, le=LARGEST - LOG_CHUNK_BYTES)],
) -> None:
    """Store one gzip chunk of a job's log; the same chunk again is harmless. `log_full`: no more is kept of this job."""
    data = b""
    async for part in request.stream():
        data += part
        if len(data) > _CHUNK_LIMIT:
            raise ContentTooLargeError(f"a log chunk has at most {_CHUNK_LIMIT} bytes of gzip")
    text = await asyncio.to_thread(logs.text_of, data)
    taken = await ims.db.write(f"agent:{agent.id}", logs.add, agent, job, logs.Chunk(attempt, seq, offset, data, text))
    if not taken:
        raise LogFullError(f"the log of {job} has {JOB_LOG_BYTES >> 20} MiB; no more is kept", remedy="Stop sending.")


@protocol.post("/jobs/{job}/finish", status_code=204)
async def finish(job: str, body: Finish, ims: State, agent: AgentSession) -> None:
    """Report how an attempt ended; the same report again is harmless."""
    await ims.db.write_together(hot.load_reports, f"agent:{agent.id}", outcomes.finish, agent, job, body, urgent=True)
