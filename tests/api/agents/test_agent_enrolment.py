"""How agents enrol and sign in."""

import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from ims_driver import Agent, Body, Ims, fields, vendor_key
from shop import Shop

pytestmark = pytest.mark.anyio


async def token_for(ims: Ims, install: str | None = None) -> Body:
    kind = "install" if install else "build"
    return await ims.ok("POST", "/v1/agents/enrollments", {"kind": kind, "install_id": install})


def newcomer(ims: Ims) -> Agent:
    return Agent(ims, Ed25519PrivateKey.generate())


async def test_an_install_agent_pins_the_vendor_keys_and_learns_what_it_is_for(ims: Ims, shop: Shop) -> None:
    await ims.ok("POST", "/v1/installs", {"app_id": "shop", "name": "acme"})
    made = await token_for(ims, "acme")
    answer = await ims.ok("POST", "/v1/agent/enroll", newcomer(ims).enrollment(made), token=None)
    assert (answer["kind"], answer["install_name"], answer["app_name"]) == ("install", "acme", "shop")
    assert len(answer["vendor_keys"]) == 1
    assert answer["vendor_keys"][0].startswith("-----BEGIN PUBLIC KEY-----")


async def test_an_enrolment_token_works_once(ims: Ims) -> None:
    made = await token_for(ims)
    agent, thief = newcomer(ims), newcomer(ims)
    request = agent.enrollment(made)
    first = await ims.ok("POST", "/v1/agent/enroll", request, token=None)
    ims.clock.forward(2 * 3600)
    assert await ims.ok("POST", "/v1/agent/enroll", request, token=None) == first

    problem = await ims.refused(401, "POST", "/v1/agent/enroll", thief.enrollment(made), token=None)
    assert "another key" in problem["detail"]
    (event,) = await ims.events("enrollment.refused")
    assert (event["object_id"], event["actor"]) == (made["id"], "enrollment")
    assert len((await ims.ok("GET", "/v1/agents"))["items"]) == 1


async def test_an_enrolment_token_expires(ims: Ims) -> None:
    made = await token_for(ims)
    ims.clock.forward(3601)
    problem = await ims.refused(401, "POST", "/v1/agent/enroll", newcomer(ims).enrollment(made), token=None)
    assert "expired" in problem["detail"]
    assert (await ims.events("enrollment.refused"))[0]["after"] == {"reason": "expired"}


async def test_an_enrolment_token_is_read_without_its_secret_and_says_who_used_it(ims: Ims) -> None:
    made = await token_for(ims)
    seen = await ims.ok("GET", f"/v1/agents/enrollments/{made['id']}")
    assert seen == {**{key: made[key] for key in ("id", "kind", "install_id", "expires_at")}} | {
        "agent_id": None,
        "created_at": seen["created_at"],
    }
    enrolled = await ims.ok("POST", "/v1/agent/enroll", newcomer(ims).enrollment(made), token=None)
    assert (await ims.ok("GET", f"/v1/agents/enrollments/{made['id']}"))["agent_id"] == enrolled["agent_id"]


async def test_a_deleted_enrolment_token_enrols_nobody(ims: Ims) -> None:
    made = await token_for(ims)
    await ims.ok("DELETE", f"/v1/agents/enrollments/{made['id']}")
    await ims.refused(401, "POST", "/v1/agent/enroll", newcomer(ims).enrollment(made), token=None)
    await ims.refused(404, "GET", f"/v1/agents/enrollments/{made['id']}")
    assert len(await ims.events("enrollment.deleted")) == 1


async def test_deleting_an_enrolment_token_that_was_used_leaves_its_agent(ims: Ims) -> None:
    made, agent = await token_for(ims), newcomer(ims)
    await ims.ok("POST", "/v1/agent/enroll", agent.enrollment(made), token=None)
    await ims.ok("DELETE", f"/v1/agents/enrollments/{made['id']}")
    (left,) = (await ims.ok("GET", "/v1/agents"))["items"]
    assert left["revoked_at"] is None


async def test_an_unknown_enrolment_token_is_refused(ims: Ims) -> None:
    request = newcomer(ims).enrollment({"secret": "exce_wrong", "kind": "build"})
    await ims.refused(401, "POST", "/v1/agent/enroll", request, token=None)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"public_key": "not base64!"}, "public_key"),
        ({"public_key": base64.b64encode(b"short").decode()}, "public_key"),
        ({"vendor_key": None}, "vendor_key"),
        ({"vendor_key": "-----BEGIN PUBLIC KEY-----\nnope\n-----END PUBLIC KEY-----\n"}, "vendor_key"),
        ({"name": "Not A Name"}, "name"),
    ],
)
async def test_a_build_agent_brings_keys_that_are_keys(ims: Ims, wrong: dict[str, Any], field: str) -> None:
    made = await token_for(ims)
    request = {**newcomer(ims).enrollment(made), **wrong}
    assert fields(await ims.refused(422, "POST", "/v1/agent/enroll", request, token=None)) == [field]
    await ims.ok("POST", "/v1/agent/enroll", newcomer(ims).enrollment(made), token=None)


async def test_an_install_agent_brings_no_vendor_key(ims: Ims, shop: Shop) -> None:
    await ims.ok("POST", "/v1/installs", {"app_id": "shop", "name": "acme"})
    made = await token_for(ims, "acme")
    request = {**newcomer(ims).enrollment(made), "vendor_key": vendor_key()}
    assert fields(await ims.refused(422, "POST", "/v1/agent/enroll", request, token=None)) == ["vendor_key"]


async def test_an_install_agent_waits_for_a_build_agent_whose_key_it_can_pin(ims: Ims) -> None:
    await ims.ok("POST", "/v1/apps", {"name": "shop"})
    await ims.ok("POST", "/v1/installs", {"app_id": "shop", "name": "acme"})
    made = await token_for(ims, "acme")
    problem = await ims.refused(409, "POST", "/v1/agent/enroll", newcomer(ims).enrollment(made), token=None)
    assert "build agent" in problem["remedy"]
    await Agent.enrolled(ims)
    await ims.ok("POST", "/v1/agent/enroll", newcomer(ims).enrollment(made), token=None)


async def test_an_install_has_one_agent_until_it_is_revoked(ims: Ims, shop: Shop) -> None:
    first = await shop.install("acme")
    made = await token_for(ims, "acme")
    problem = await ims.refused(409, "POST", "/v1/agent/enroll", newcomer(ims).enrollment(made), token=None)
    assert first.id in problem["remedy"]
    await ims.ok("DELETE", f"/v1/agents/{first.id}")
    await ims.ok("POST", "/v1/agent/enroll", newcomer(ims).enrollment(made), token=None)
    await ims.refused(401, "POST", "/v1/agent/session", first.signed(), token=None)


async def test_a_token_for_an_install_that_was_deleted_makes_no_agent(ims: Ims, shop: Shop) -> None:
    await ims.ok("POST", "/v1/installs", {"app_id": "shop", "name": "acme"})
    made = await token_for(ims, "acme")
    await ims.ok("DELETE", "/v1/installs/acme")
    await ims.refused(422, "POST", "/v1/agent/enroll", newcomer(ims).enrollment(made), token=None)


@pytest.mark.parametrize(
    "body", [{"kind": "install"}, {"kind": "build", "install_id": "acme"}, {"kind": "install", "install_id": "nope"}]
)
async def test_an_enrolment_names_an_install_exactly_where_it_needs_one(ims: Ims, body: Body) -> None:
    assert fields(await ims.refused(422, "POST", "/v1/agents/enrollments", body)) == ["install_id"]


async def test_an_access_token_ends_at_the_next_sign_in(ims: Ims, shop: Shop) -> None:
    old = shop.builder.token
    await shop.builder.sign_in()
    await ims.refused(401, "POST", "/v1/agent/lease", {"wait_seconds": 0}, token=old)
    assert await shop.builder.lease() is None


async def test_an_access_token_expires(ims: Ims, shop: Shop) -> None:
    await shop.builder.sign_in()
    ims.clock.forward(901)
    problem = await ims.refused(401, "POST", "/v1/agent/lease", {"wait_seconds": 0}, token=shop.builder.token)
    assert problem["remedy"] == "Sign in again."


async def test_a_sign_in_with_another_key_is_refused(ims: Ims, shop: Shop) -> None:
    thief = Agent(ims, Ed25519PrivateKey.generate(), id=shop.builder.id)
    await ims.refused(401, "POST", "/v1/agent/session", thief.signed(), token=None)
    (event,) = await ims.events("agent.sign_in_refused")
    assert event["object_id"] == shop.builder.id
    assert await shop.builder.lease() is None


async def test_a_sign_in_is_bound_to_what_was_signed(ims: Ims, shop: Shop) -> None:
    for changed in ({"nonce": "another-nonce-of-16"}, {"timestamp": int(ims.clock().timestamp()) + 1}, {"signature": "!"}):
        await ims.refused(401, "POST", "/v1/agent/session", {**shop.builder.signed(), **changed}, token=None)
    await ims.refused(401, "POST", "/v1/agent/session", {**shop.builder.signed(), "agent_id": "agt_nope"}, token=None)


async def test_a_sign_in_that_was_overheard_can_not_be_replayed(ims: Ims, shop: Shop) -> None:
    first, second = shop.builder.signed(), shop.builder.signed()
    await ims.ok("POST", "/v1/agent/session", first, token=None)
    await ims.ok("POST", "/v1/agent/session", second, token=None)
    for overheard in (first, second):
        await ims.refused(401, "POST", "/v1/agent/session", overheard, token=None)
    ims.clock.forward(301)
    await ims.refused(401, "POST", "/v1/agent/session", first, token=None)


@pytest.mark.parametrize(("skew", "status"), [(-299, 200), (299, 200), (-302, 401), (302, 401), (10**30, 401)])
async def test_a_clock_that_is_five_minutes_off_is_refused(ims: Ims, shop: Shop, skew: int, status: int) -> None:
    answer = await ims.send("POST", "/v1/agent/session", shop.builder.signed(skew=skew), token=None)
    assert answer.status_code == status
