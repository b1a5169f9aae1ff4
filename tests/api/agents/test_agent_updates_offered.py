"""Offering an agent another version of itself: a job, which the agent takes, refuses or carries out."""

import jwt
import pytest
from ims_driver import Ims
from shop import Shop, sha

pytestmark = pytest.mark.anyio

OFFER = {"version": "0.2.0", "digest": sha("agent 0.2.0")}
DONE = {"kind": "update_agent", "version": "0.2.0"}


async def test_an_offer_is_a_job_that_names_version_and_digest_and_has_a_ticket_for_it(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    job = await ims.ok("POST", f"/v1/agents/{agent.id}/updates", OFFER)
    assert (job["kind"], job["state"]) == ("update_agent", "queued")
    lease = await agent.take("update_agent")
    payload = lease["payload"]
    assert (payload["version"], payload["digest"]) == ("0.2.0", OFFER["digest"])
    assert payload["registry"]["repository"] == "dev.exclave/agent"
    again = await agent.lease(resume=lease)
    assert again
    assert (again["attempt"], again["payload"]["digest"]) == (lease["attempt"], OFFER["digest"])

    assert (await agent.report(lease, "succeeded", result={"kind": "sync", "copied_bytes": 0, "skipped_bytes": 0})).is_error
    assert (await agent.report(lease, "succeeded", result=DONE)).status_code == 204
    assert (await ims.ok("GET", f"/v1/jobs/{job['id']}"))["state"] == "succeeded"
    events = (await ims.ok("GET", f"/v1/events?object={agent.id}"))["items"]
    offered = [event for event in events if event["action"] == "agent.update_offered"]
    assert [event["after"] for event in offered] == [{"job": job["id"], **OFFER}]


async def test_a_refusal_is_seen_by_the_vendor_and_the_agent_can_be_offered_a_version_again(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    job = await ims.ok("POST", f"/v1/agents/{agent.id}/updates", OFFER)
    await ims.refused(409, "POST", f"/v1/agents/{agent.id}/updates", OFFER)
    lease = await agent.take("update_agent")
    failure = {"code": "update_rolled_back", "message": "it didn't start"}
    assert (await agent.report(lease, "failed", failure=failure)).status_code == 204
    ended = await ims.ok("GET", f"/v1/jobs/{job['id']}")
    assert (ended["state"], ended["failure"]["code"]) == ("failed", "update_rolled_back")
    await ims.ok("POST", f"/v1/agents/{agent.id}/updates", OFFER)


async def test_nothing_is_offered_to_build_agents_and_to_revoked_ones(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    await ims.refused(422, "POST", f"/v1/agents/{shop.builder.id}/updates", OFFER)
    await ims.refused(422, "POST", f"/v1/agents/{agent.id}/updates", OFFER | {"version": "newest"})
    await ims.ok("DELETE", f"/v1/agents/{agent.id}")
    await ims.refused(409, "POST", f"/v1/agents/{agent.id}/updates", OFFER)


async def test_the_end_of_an_install_ends_what_its_agent_was_offered(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    job = await ims.ok("POST", f"/v1/agents/{agent.id}/updates", OFFER)
    await ims.ok("DELETE", "/v1/installs/acme")
    assert (await ims.ok("GET", f"/v1/jobs/{job['id']}"))["state"] == "cancelled"


@pytest.mark.parametrize(
    ("role", "scope", "actions"),
    [
        ("admin", "all", ["pull", "push"]),
        ("deployer", "all", ["pull"]),
        ("admin", "app:shop", None),
        ("admin", "install:acme", None),
    ],
)
async def test_only_an_administrator_of_all_publishes_versions_of_the_agent(
    ims: Ims, shop: Shop, role: str, scope: str, actions: list[str] | None
) -> None:
    await shop.install("acme")
    made = await ims.ok("POST", "/v1/tokens", {"name": "publisher", "role": role, "scope": scope})
    asked = "repository:dev.exclave/agent:pull,push"
    answer = await ims.http.get("/token", params={"scope": asked}, auth=("token", made["secret"]))
    access = jwt.decode(answer.json()["token"], options={"verify_signature": False})["access"]
    assert [sorted(one["actions"]) for one in access] == ([actions] if actions else [])
