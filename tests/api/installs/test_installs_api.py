"""Installs over HTTP."""

import pytest
from ims_driver import Ims, fields
from shop import Shop, applied, planned, usual

pytestmark = pytest.mark.anyio


def acme(**more: object) -> dict:
    return {"app_id": "shop", "name": "acme", **more}


async def test_an_install_is_made_read_changed_and_deleted(ims: Ims, shop: Shop) -> None:
    made = await ims.ok("POST", "/v1/installs", acme(inputs={"domain": "a.example"}, sensitive_inputs={"password": "hush"}))
    assert (made["version"], made["inputs_version"], made["components"], made["agent_id"]) == (1, 1, [], None)
    assert list(made["sensitive_fingerprints"]) == ["password"]
    assert await ims.ok("GET", "/v1/installs/acme") == await ims.ok("GET", f"/v1/installs/{made['id']}") == made

    changed = await ims.ok("PUT", "/v1/installs/acme", {"inputs": {"domain": "b.example"}})
    assert (changed["inputs"], changed["inputs_version"]) == ({"domain": "b.example"}, 2)
    assert changed["sensitive_fingerprints"] == made["sensitive_fingerprints"]

    await ims.ok("DELETE", "/v1/installs/acme")
    await ims.refused(404, "GET", "/v1/installs/acme")


async def test_inputs_version_counts_changes_of_inputs_alone(ims: Ims, shop: Shop) -> None:
    made = await ims.ok("POST", "/v1/installs", acme(sensitive_inputs={"password": "hush"}))
    same = await ims.ok("PUT", "/v1/installs/acme", {"sensitive_inputs": {"password": "hush"}})
    assert (same["version"], same["inputs_version"]) == (1, 1)
    other = await ims.ok("PUT", "/v1/installs/acme", {"sensitive_inputs": {"password": "other"}})
    assert other["inputs_version"] == 2
    assert other["sensitive_fingerprints"] != made["sensitive_fingerprints"]
    (event,) = await ims.events("install.updated")
    assert event["after"]["changed_sensitive_inputs"] == ["password"]
    none = await ims.ok("PUT", "/v1/installs/acme", {"sensitive_inputs": {}})
    assert none["sensitive_fingerprints"] == {}


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"app_id": "nope"}, "app_id"),
        ({"name": "ACME"}, "name"),
        ({"inputs": {"size": "big"}}, "inputs.size"),
        ({"inputs": {"zebra": 1}}, "inputs.zebra"),
        ({"inputs": {"password": "hush"}}, "inputs.password"),
        ({"sensitive_inputs": {"domain": "x"}}, "sensitive_inputs.domain"),
        ({"labels": {"-region": "eu"}}, "labels"),
        ({"labels": {"region": "eu west"}}, "labels.region"),
        ({"drift_check_hours": 0}, "drift_check_hours"),
        ({"approval_timeout_hours": 0}, "approval_timeout_hours"),
        ({"approval": "zebra"}, "approval"),
    ],
)
async def test_what_is_wrong_with_an_install_is_told_at_its_field(ims: Ims, shop: Shop, wrong: dict, field: str) -> None:
    problem = await ims.refused(422, "POST", "/v1/installs", acme(**wrong))
    assert fields(problem) == [field]
    assert "hush" not in str(problem)
    assert (await ims.ok("GET", "/v1/installs"))["items"] == []


async def test_an_update_is_checked_like_a_create(ims: Ims, shop: Shop) -> None:
    await ims.ok("POST", "/v1/installs", acme())
    assert fields(await ims.refused(422, "PUT", "/v1/installs/acme", {"inputs": {"size": []}})) == ["inputs.size"]
    assert (await ims.ok("GET", "/v1/installs/acme"))["version"] == 1


async def test_an_install_name_that_is_taken_is_told_at_the_name(ims: Ims, shop: Shop) -> None:
    await ims.ok("POST", "/v1/installs", acme())
    assert fields(await ims.refused(409, "POST", "/v1/installs", acme())) == ["name"]


async def test_an_install_on_which_something_runs_is_not_deleted(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    await shop.deploy("acme")
    problem = await ims.refused(409, "DELETE", "/v1/installs/acme")
    assert problem["type"] == "urn:exclave:problem:in_use"
    assert "network, service" in problem["detail"]

    await ims.ok("POST", "/v1/deploys", {"install_id": "acme", "kind": "teardown"})
    await agent.work(usual)
    await ims.ok("DELETE", "/v1/installs/acme")
    await ims.refused(401, "POST", "/v1/agent/lease", {"wait_seconds": 0}, token=agent.token)
    assert (await ims.events("agent.revoked"))[0]["object_id"] == agent.id


async def test_an_install_with_a_deploy_under_way_is_not_deleted(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")
    deploy = await shop.begin("acme")
    assert deploy["id"] in (await ims.refused(409, "DELETE", "/v1/installs/acme"))["detail"]
    await ims.ok("POST", f"/v1/deploys/{deploy['id']}/cancel")
    await ims.ok("DELETE", "/v1/installs/acme")


async def test_installs_can_be_listed_by_app(ims: Ims, shop: Shop) -> None:
    await ims.ok("POST", "/v1/apps", {"name": "other"})
    await ims.ok("POST", "/v1/installs", acme())
    await ims.ok("POST", "/v1/installs", {"app_id": "other", "name": "umbrella"})
    names = [one["name"] for one in (await ims.ok("GET", "/v1/installs", params={"app": "other"}))["items"]]
    assert names == ["umbrella"]
    await ims.refused(404, "GET", "/v1/installs", params={"app": "nope"})


async def test_an_install_shows_what_runs_on_it_without_sensitive_outputs(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    await shop.begin("acme")

    def result_of(payload: dict) -> dict:
        match payload["kind"]:
            case "apply":
                return applied({"id": "n-1"}, sensitive=("key",))
            case "plan":
                return planned()
            case _:
                return usual(payload)

    await agent.work(result_of)
    install = await ims.ok("GET", "/v1/installs/acme")
    network = install["components"][0]
    assert (network["outputs"], network["sensitive_outputs"]) == ({"id": "n-1"}, ["key"])
    assert network["digest"] == shop.release["builds"][0]["digest"]
    assert install["agent_id"] == agent.id
    assert install["agent_last_seen_at"]


async def test_an_app_may_drop_an_input_that_an_install_still_gives_and_the_next_deploy_says_so(ims: Ims, shop: Shop) -> None:
    await shop.install("acme", inputs={"size": 3})
    await ims.ok("PUT", "/v1/apps/shop", {"inputs": [one for one in await _inputs(ims) if one["name"] != "size"]})
    release = await shop.new_release()
    body = {"install_id": "acme", "release_id": release["id"]}
    assert fields(await ims.refused(422, "POST", "/v1/deploys", body)) == ["inputs.size"]
    await ims.ok("PUT", "/v1/installs/acme", {"inputs": {}})
    await ims.ok("POST", "/v1/deploys", body)


async def _inputs(ims: Ims) -> list[dict]:
    return (await ims.ok("GET", "/v1/apps/shop"))["inputs"]
