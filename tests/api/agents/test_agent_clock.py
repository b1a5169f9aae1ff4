"""A clock that is ten minutes wrong, on either side: sign-ins, leases and tickets of a real agent's session with a real IMS."""

from email.utils import format_datetime

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from ims_driver import PUBLIC_URL, Ims
from shop import Shop

from agent.identity import Identity
from agent.oci.client import RegistryClient
from agent.oci.token import Credential
from agent.session import Session
from api.contract.agents import Finish, Lease, LeaseRequest, SyncJob, SyncResult
from api.contract.enrollment import EnrollResponse

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("skew", [600, -600])
async def test_an_agent_whose_clock_is_ten_minutes_wrong_does_its_jobs(ims: Ims, shop: Shop, skew: float) -> None:
    async def say_the_time(response: httpx.Response) -> None:
        response.headers["Date"] = format_datetime(ims.clock(), usegmt=True)  # as uvicorn does, by the clock of the test

    ims.http.event_hooks["response"].append(say_the_time)
    scripted = await shop.install("acme")
    await ims.ok("POST", "/v1/deploys", {"install_id": "acme", "release_id": shop.release["id"]})
    enrolled = EnrollResponse(
        agent_id=scripted.id, kind="install", install_id="ins_1", install_name="acme", app_name="shop", vendor_keys=[]
    )
    identity = Identity(scripted.key, enrolled, X25519PrivateKey.generate())
    session = Session(PUBLIC_URL, identity, ims.http, wall=lambda: ims.clock().timestamp() + skew)

    lease = await session.lease(LeaseRequest(wait_seconds=0))
    assert isinstance(lease, Lease)
    assert isinstance(lease.payload, SyncJob)
    access = lease.payload.registry
    registry = RegistryClient(access.url, Credential(access.username, access.password), ims.http)
    # The ticket is good: what the scripted build never pushed is missing, and not refused.
    assert await registry.find_manifest(access.repository, lease.payload.digest) is None
    assert (await session.heartbeat(lease.job_id, lease.attempt, 30)).cancel == "none"
    result = SyncResult(copied_bytes=0, skipped_bytes=0)
    await session.finish(lease.job_id, Finish(attempt=lease.attempt, outcome="succeeded", result=result))
    assert (await ims.ok("GET", f"/v1/jobs/{lease.job_id}"))["state"] == "succeeded"

    # And the agent's next token, once that one has ended.
    ims.clock.forward(7200)
    session.use(identity)
    assert await session.release_of(lease.job_id) is None
