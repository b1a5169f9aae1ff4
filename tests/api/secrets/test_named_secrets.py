"""`/v1/secrets`: write-only, scoped, refused while in use; and their way to the agent."""

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from ims_driver import Agent, Body, Ims, fields
from shop import NETWORK, Shop, module, usual
from sqlalchemy import text

from api.contract.enrollment import sign_in_message
from api.contract.sealed_box import SealedBoxError, job_context, open_box, public_text

pytestmark = pytest.mark.anyio

CANARY = "canary-9d1e-battery-staple"
WITH_SECRET = {**NETWORK, "license": "key {{ secrets.license }}"}


async def set_secret(ims: Ims, name: str = "license", value: str = CANARY, **scope: str) -> Body:
    return await ims.ok("POST", "/v1/secrets", {"name": name, "value": value, **scope})


async def next_plan(agent: Agent) -> Body:
    while lease := await agent.lease():
        if lease["payload"]["kind"] == "plan":
            return lease
        await agent.succeed(lease, usual(lease["payload"]))
    raise AssertionError("there is no plan to be made")


async def seal_to(agent: Agent) -> X25519PrivateKey:
    """Sign in with a sealing key, as agents do."""
    key = X25519PrivateKey.generate()
    body = agent.signed()
    message = sign_in_message(agent.id, body["timestamp"], body["nonce"], public_text(key))
    body |= {"sealing_key": public_text(key), "signature": base64.b64encode(agent.key.sign(message)).decode()}
    agent.token = (await agent.ims.ok("POST", "/v1/agent/session", body, token=None))["access_token"]
    return key


def box_of(ims: Ims, key: X25519PrivateKey, lease: Body) -> dict[str, Any]:
    payload = lease["payload"]
    return open_box(key, payload["sealed"], job_context(lease["job_id"], lease["attempt"], payload["install_id"]))


async def test_a_secret_is_set_changed_listed_and_deleted_without_ever_coming_back(ims: Ims, shop: Shop) -> None:
    made = await set_secret(ims)
    assert (made["version"], made["used_by"], made["app_id"], made["install_id"]) == (1, [], None, None)
    changed = await ims.ok("PUT", "/v1/secrets/license", {"value": CANARY + "2"}, headers={"if-match": '"1"'})
    assert (changed["version"], changed["fingerprint"] != made["fingerprint"]) == (2, True)
    await ims.refused(412, "PUT", "/v1/secrets/license", {"value": "x"}, headers={"if-match": '"1"'})
    assert (await ims.ok("PUT", "/v1/secrets/license", {"value": CANARY + "2"}))["version"] == 2
    assert [one["name"] for one in (await ims.ok("GET", "/v1/secrets"))["items"]] == ["license"]
    await ims.refused(409, "POST", "/v1/secrets", {"name": "license", "value": CANARY})
    await ims.refused(422, "POST", "/v1/secrets", {"name": "license", "value": [CANARY]})
    await ims.ok("POST", "/v1/secrets", {"name": "dry", "value": CANARY}, params={"dry_run": "true"})
    await ims.refused(404, "GET", "/v1/secrets/dry")
    await ims.ok("DELETE", "/v1/secrets/license")
    await ims.refused(404, "GET", "/v1/secrets/license")
    await ims.ok("GET", "/v1/events", params={"limit": 1000})
    assert [answer.request.url for answer in ims.answers if CANARY in answer.text] == []


async def test_a_create_sent_twice_with_one_key_makes_one_secret(ims: Ims) -> None:
    key = {"idempotency-key": "k"}
    body = {"name": "license", "value": CANARY}
    first = await ims.ok("POST", "/v1/secrets", body, headers=key)
    assert await ims.ok("POST", "/v1/secrets", body, headers=key) == first
    await ims.refused(409, "POST", "/v1/secrets", {**body, "value": "other"}, headers=key)


async def test_a_release_that_refers_to_no_secret_names_the_field(ims: Ims, shop: Shop) -> None:
    await set_secret(ims, "licence")
    await shop.change("network", module(WITH_SECRET))
    problem = await ims.refused(422, "POST", "/v1/releases", {"app_id": "shop"})
    assert fields(problem) == ["components.network.variables.license"]
    assert "Did you mean 'licence'?" in problem["errors"][0]["remedy"]


async def test_a_deploy_needs_the_secret_in_the_scope_of_its_install(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")
    await shop.install("umbrella")
    await set_secret(ims, install_id="umbrella")
    await shop.change("network", module(WITH_SECRET))
    release = await shop.new_release()
    refused = {"install_id": "acme", "release_id": release["id"]}
    assert fields(await ims.refused(422, "POST", "/v1/deploys", refused)) == ["components.network.variables.license"]
    await shop.begin("umbrella", release)
    assert (await next_plan(shop.agents["umbrella"]))["payload"]["secrets"] == {"license": CANARY}


async def test_the_nearest_scope_wins_and_only_what_a_component_uses_travels(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    await set_secret(ims, value="for-all")
    await set_secret(ims, value="for-shop", app_id="shop")
    await set_secret(ims, "other", "unused")
    await shop.change("network", module(WITH_SECRET))
    await shop.begin("acme", await shop.new_release())
    assert (await next_plan(agent))["payload"]["secrets"] == {"license": "for-shop"}
    await ims.refused(409, "GET", "/v1/secrets/license")
    both = {"name": "x", "value": "y", "app_id": "shop", "install_id": "acme"}
    assert fields(await ims.refused(422, "POST", "/v1/secrets", both)) == ["install_id"]


async def test_a_new_value_plans_only_what_it_touches(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")
    await set_secret(ims)
    await shop.change("network", module({"license": "{{ secrets.license }}"}))
    await shop.change("service", module({}, path="/src/service"))
    release = await shop.new_release()
    assert ("network", "apply") in await shop.deploy("acme", release)
    assert await shop.deploy("acme", release) == []
    await ims.ok("PUT", "/v1/secrets/license", {"value": "another"})
    assert {component for component, _ in await shop.deploy("acme", release)} == {"network"}


async def test_a_secret_in_use_is_not_deleted_and_its_users_are_named(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")
    await set_secret(ims)
    await shop.change("network", module(WITH_SECRET))
    await shop.deploy("acme", await shop.new_release())
    assert [use["install"] for use in (await ims.ok("GET", "/v1/secrets/license"))["used_by"]] == [None, "acme"]
    await shop.change("network", module(NETWORK))
    problem = await ims.refused(409, "DELETE", "/v1/secrets/license")
    assert "shop/network on install acme" in problem["detail"]
    await shop.deploy("acme", await shop.new_release())
    await ims.ok("DELETE", "/v1/secrets/license")


async def test_an_app_and_an_install_take_their_secrets_with_them(ims: Ims, shop: Shop) -> None:
    await shop.change("network", module(WITH_SECRET))
    install = {"app_id": "shop", "name": "acme", "sensitive_inputs": {"password": CANARY}}
    await ims.ok("POST", "/v1/installs", install)
    await set_secret(ims, app_id="shop")
    own = await set_secret(ims, install_id="acme")
    await set_secret(ims, "of-all")
    shop.agents["acme"] = await Agent.enrolled(ims, "acme")
    await shop.deploy("acme", await shop.new_release())
    await ims.ok("DELETE", "/v1/installs/acme", params={"force": "true"})
    (event,) = await ims.events("secret.deleted")
    assert (event["object_id"], event["install_id"], event["after"]) == (
        own["id"],
        own["install_id"],
        {"reason": "its install was deleted"},
    )
    with ims.database() as connection:
        for table in ("install", "deploy"):
            assert set(connection.execute(text(f"SELECT length(sealed_inputs) FROM {table}")).scalars()) == {0}
    await ims.ok("DELETE", "/v1/apps/shop", params={"force": "true"})
    assert [one["name"] for one in (await ims.ok("GET", "/v1/secrets"))["items"]] == ["of-all"]
    with ims.database() as connection:
        lengths = connection.execute(text("SELECT length(sealed) FROM secret WHERE name = 'license'")).scalars()
        assert set(lengths) == {0}
    assert (await ims.ok("POST", "/v1/secrets/rotation"))["values"]


async def test_the_password_of_a_registry_is_a_use(ims: Ims, shop: Shop) -> None:
    await set_secret(ims, "pull")
    image = {"image_url": "registry.example/x", "tag": "1", "username": "u", "password_secret": "pull"}
    body = {"name": "image", "config": {"kind": "container_image", "registry": image}}
    await ims.ok("POST", "/v1/apps/shop/components", body)
    assert "shop/image" in (await ims.refused(409, "DELETE", "/v1/secrets/pull"))["detail"]


async def test_secrets_go_sealed_to_an_agent_that_has_told_its_key(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme", sensitive_inputs={"password": CANARY + "-input"})
    await set_secret(ims)
    key = await seal_to(agent)
    await shop.change("network", module(WITH_SECRET))
    await shop.begin("acme", await shop.new_release())
    lease = await next_plan(agent)
    assert CANARY not in json.dumps(lease)
    assert box_of(ims, key, lease) == {
        "sensitive_inputs": {"password": CANARY + "-input"},
        "secrets": {"license": CANARY},
    }
    with pytest.raises(SealedBoxError):
        box_of(ims, key, {**lease, "attempt": lease["attempt"] + 1})
    with pytest.raises(SealedBoxError):
        box_of(ims, X25519PrivateKey.generate(), lease)
    again = await agent.lease(resume=lease)
    assert again
    assert again["payload"]["sealed"] != lease["payload"]["sealed"]
    assert box_of(ims, key, again)["secrets"] == {"license": CANARY}
    assert [answer.request.url for answer in ims.answers if CANARY in answer.text] == []


async def test_a_sealing_key_that_the_agent_has_not_signed_is_refused(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    thief = public_text(X25519PrivateKey.generate())
    await ims.refused(401, "POST", "/v1/agent/session", {**agent.signed(), "sealing_key": thief}, token=None)
    body = agent.signed()
    message = sign_in_message(agent.id, body["timestamp"], body["nonce"], "nonsense")
    body |= {"sealing_key": "nonsense", "signature": base64.b64encode(agent.key.sign(message)).decode()}
    assert fields(await ims.refused(422, "POST", "/v1/agent/session", body, token=None)) == ["sealing_key"]


async def test_a_reference_for_the_agent_is_taken_for_a_sensitive_input_of_any_type_and_no_other(ims: Ims, shop: Shop) -> None:
    reference = "ref+file:///db.json#/password"
    agent = await shop.install("acme", sensitive_inputs={"password": reference})
    for inputs, field in [
        ({"inputs": {"domain": "ref+env://X"}}, "inputs.domain"),
        ({"inputs": {"size": "ref+env://X"}}, "inputs.size"),
        ({"sensitive_inputs": {"password": "ref+vault://x"}}, "sensitive_inputs.password"),
        ({"sensitive_inputs": {"password": "ref+env://"}}, "sensitive_inputs.password"),
    ]:
        problem = await ims.refused(422, "PUT", "/v1/installs/acme", inputs)
        assert fields(problem) == [field]
    await shop.begin("acme")
    assert (await next_plan(agent))["payload"]["sensitive_inputs"] == {"password": reference}
