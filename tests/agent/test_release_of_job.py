"""What a job asks the IMS for: how its release is signed, and further tickets. What gets no answer is asked again."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from agent.attempt import Attempt, ImsAwayError
from agent.failure import JobFailedError
from agent.identity import Identity
from agent.job import JobContext
from agent.journal import Journal
from agent.redaction import Redactor
from agent.report import Office
from agent.session import Session
from api.client import ApiError
from api.contract.agents import JobPayload, JobResult, Lease, RegistryAccess, SyncJob, SyncResult
from api.contract.enrollment import EnrollResponse
from api.contract.problems import PROBLEM_MEDIA_TYPE, NotFoundError

pytestmark = pytest.mark.anyio

ENROLLED = EnrollResponse(
    agent_id="agt_1", kind="install", install_id="ins_1", install_name="acme", app_name="shop", vendor_keys=[]
)
SIGNED = {"envelope": "{}", "public_key": "PEM", "document": "sha256:" + "0" * 64, "newer": True}


def session(answer: Callable[[], httpx.Response]) -> Session:
    """One with an IMS that answers the question like this."""

    def ims(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/agent/session":
            return httpx.Response(200, json={"access_token": "t", "expires_in": 3600})
        assert request.url.path in ("/v1/agent/jobs/job_1/release", "/v1/agent/jobs/job_1/ticket")
        return answer()

    http = httpx.AsyncClient(transport=httpx.MockTransport(ims))
    return Session("https://ims.test", Identity(Ed25519PrivateKey.generate(), ENROLLED, X25519PrivateKey.generate()), http)


def unknown() -> httpx.Response:
    problem = NotFoundError("it isn't signed").problem()
    return httpx.Response(404, content=problem.model_dump_json(), headers={"Content-Type": PROBLEM_MEDIA_TYPE})


async def test_the_document_is_taken_as_it_is_and_what_the_ims_says_besides_is_passed_over() -> None:
    assert await session(lambda: httpx.Response(200, json=SIGNED)).release_of("job_1") == "{}"


async def test_a_release_of_which_the_ims_knows_no_document_is_not_signed() -> None:
    assert await session(unknown).release_of("job_1") is None


async def test_a_further_ticket_is_what_the_ims_gives_and_none_of_one_that_knows_of_none() -> None:
    ticket = {"url": "https://ims.test", "repository": "shop/web", "username": "tkt_2", "password": "exct_2"}
    given = await session(lambda: httpx.Response(200, json=ticket)).ticket_of("job_1", 1)
    assert given is not None
    assert (given.username, given.password) == ("tkt_2", "exct_2")
    assert await session(unknown).ticket_of("job_1", 1) is None
    with pytest.raises(ApiError):
        await session(lambda: httpx.Response(404, text="a proxy's page")).ticket_of("job_1", 1)


@dataclass
class Asking:
    """An executor that only asks."""

    failure: JobFailedError | None = None

    async def run(self, payload: JobPayload, context: JobContext) -> JobResult:
        try:
            await context.release()
        except JobFailedError as error:
            self.failure = error
        return SyncResult(copied_bytes=0, skipped_bytes=0)


@pytest.mark.parametrize("status", [404, 500, 503])
async def test_an_ims_that_gives_no_answer_is_not_taken_for_one_that_says_no(status: int, tmp_path: Path) -> None:
    """Also a proxy's 404: a problem document is the IMS's own."""
    office = Office(session(lambda: httpx.Response(status, text="<html>")), Journal(tmp_path / "journal"), tmp_path / "logs")
    access = RegistryAccess(url="http://r.test", repository="shop/web", username="u", password="p")
    job = SyncJob(deploy_id="dep_1", component="web", digest="sha256:" + "0" * 64, registry=access)
    lease = Lease(job_id="job_1", attempt=1, lease_seconds=60, heartbeat_seconds=20, payload=job)
    asking = Asking()
    await Attempt(office, asking, lease, Redactor())._work()
    assert isinstance(asking.failure, ImsAwayError)
    assert asking.failure.failure.retryable
