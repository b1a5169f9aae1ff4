"""Service tokens with an agent's role: they enrol agents of that kind in their scope, and do nothing else."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from ims_driver import Agent, Body, Ims, fields
from shop import Shop

pytestmark = pytest.mark.anyio


@pytest.fixture
async def installs(ims: Ims, shop: Shop) -> None:
    for name in ("acme", "umbrella"):
        await ims.ok("POST", "/v1/installs", {"app_id": "shop", "name": name})


async def token(ims: Ims, role: str, scope: str = "all") -> Body:
    name = f"{role}-{scope}".replace(":", "-")
    made = await ims.ok("POST", "/v1/tokens", {"name": name, "role": role, "scope": scope})
    return {**made, "kind": role.removeprefix("agent:")}


def newcomer(ims: Ims) -> Agent:
    return Agent(ims, Ed25519PrivateKey.generate())


async def test_an_agent_enrols_with_it_and_works(ims: Ims, shop: Shop, installs: None) -> None:
    made = await token(ims, "agent:install", "install:acme")
    agent = newcomer(ims)
    request = agent.enrollment(made)
    answer = await ims.ok("POST", "/v1/agent/enroll", request, token=None)
    assert (answer["kind"], answer["install_name"]) == ("install", "acme")
    agent.id = answer["agent_id"]
    await agent.sign_in()
    shop.agents["acme"] = agent
    await shop.deploy("acme")
    assert await ims.ok("POST", "/v1/agent/enroll", request, token=None) == answer, "the same key is the same agent"
    lines = [line for line in await ims.events("enrollment.created") if "token" in line["after"]]
    assert [line["after"] for line in lines] == [{"kind": "install", "install": "acme", "token": made["name"]}]
    used = (await ims.ok("GET", "/v1/tokens", params={"name": made["name"]}))["items"][0]["last_used_at"]
    assert used


async def test_a_build_agent_enrols_with_it(ims: Ims) -> None:
    made = await token(ims, "agent:build")
    answer = await ims.ok("POST", "/v1/agent/enroll", newcomer(ims).enrollment(made), token=None)
    assert answer["kind"] == "build"


async def test_it_enrols_no_agent_elsewhere_nor_of_another_kind(ims: Ims, shop: Shop, installs: None) -> None:
    of_acme, of_app, builder = (
        await token(ims, "agent:install", "install:acme"),
        await token(ims, "agent:install", "app:shop"),
        await token(ims, "agent:build"),
    )
    for made, body, status in [
        (of_acme, {"kind": "install", "install_id": "acme"}, 201),
        (of_acme, {"kind": "install", "install_id": "umbrella"}, 422),
        (of_acme, {"kind": "build"}, 403),
        (of_app, {"kind": "install", "install_id": "umbrella"}, 201),
        (of_app, {"kind": "build"}, 403),
        (builder, {"kind": "build"}, 201),
        (builder, {"kind": "install", "install_id": "acme"}, 403),
    ]:
        answer = await ims.send("POST", "/v1/agents/enrollments", body, token=made["secret"])
        assert answer.status_code == status, (made["name"], body, answer.text)
    problem = await ims.refused(403, "POST", "/v1/agent/enroll", newcomer(ims).enrollment(of_app), token=None)
    assert "of which install" in problem["detail"]


async def test_no_other_token_and_none_that_has_ended_enrols(ims: Ims, shop: Shop, installs: None) -> None:
    admin = {"secret": ims.token, "kind": "build"}
    await ims.refused(403, "POST", "/v1/agent/enroll", newcomer(ims).enrollment(admin), token=None)
    made = await token(ims, "agent:install", "install:acme")
    agent = newcomer(ims)
    request = agent.enrollment(made)
    answer = await ims.ok("POST", "/v1/agent/enroll", request, token=None)
    await ims.ok("DELETE", f"/v1/agents/{answer['agent_id']}")
    problem = await ims.refused(401, "POST", "/v1/agent/enroll", request, token=None)
    assert problem["type"].endswith("agent_revoked"), "a revoked agent doesn't come back with its key"
    await ims.ok("POST", "/v1/agent/enroll", newcomer(ims).enrollment(made), token=None)
    await ims.ok("DELETE", f"/v1/tokens/{made['id']}")
    await ims.refused(401, "POST", "/v1/agent/enroll", newcomer(ims).enrollment(made), token=None)


async def test_the_token_of_a_build_agent_is_for_everything(ims: Ims, shop: Shop) -> None:
    problem = await ims.refused(422, "POST", "/v1/tokens", {"name": "b", "role": "agent:build", "scope": "app:shop"})
    assert fields(problem) == ["scope"]
