"""A release signed as a whole: what the IMS keeps of it, whom it offers it, and what it doesn't take."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from ims_driver import Agent, Body, Ims, fields
from shop import Shop, module, sha
from signed_release import document, signature

from agent.oci.vendor_key import VendorKey
from agent.trust.notices import fingerprint

pytestmark = pytest.mark.anyio


@pytest.fixture
def key(tmp_path: Path) -> VendorKey:
    return VendorKey.load_or_create(tmp_path / "vendor.key")


async def test_what_is_to_be_signed_names_each_components_artifact_and_config(ims: Ims, shop: Shop) -> None:
    said = await ims.ok("GET", f"/v1/releases/{shop.release['id']}/contents")
    assert (said["app"], said["number"], sorted(said["components"])) == ("shop", 1, ["network", "service"])
    network = said["components"]["network"]
    assert (network["repository"], network["source_revision"]) == ("shop/network", "rev-1")
    assert network["digest"] == next(one["digest"] for one in shop.release["builds"] if one["component"] == "network")
    assert network["config"]["variables"] == {"domain": "{{ inputs.domain }}"}


async def test_a_signed_release_says_by_which_key_and_is_in_the_history_once(ims: Ims, shop: Shop, key: VendorKey) -> None:
    at = f"/v1/releases/{shop.release['id']}/signature"
    assert shop.release["signed_by"] is None
    await ims.refused(404, "GET", at)
    body = signature(await document(ims, shop.release), key)
    for _ in range(2):
        assert (await ims.ok("PUT", at, body))["signed_by"] == fingerprint(key.public_pem)
    (listed,) = (await ims.ok("GET", "/v1/releases"))["items"]
    assert listed["signed_by"] == fingerprint(key.public_pem)
    kept = await ims.ok("GET", at)
    assert {name: kept[name] for name in body} == body
    (event,) = await ims.events("release.signed")
    assert event["after"] == {"number": 1, "document": kept["document"], "signed_by": kept["signed_by"]}


async def test_a_release_can_be_signed_anew(ims: Ims, shop: Shop, key: VendorKey) -> None:
    at, said = f"/v1/releases/{shop.release['id']}/signature", await document(ims, shop.release)
    await ims.ok("PUT", at, signature(said, key))
    await ims.ok("PUT", at, signature({**said, "revoked": [sha("bad")]}, key))
    first, second = await ims.events("release.signed")
    assert second["before"] == {name: first["after"][name] for name in ("document", "signed_by")}
    assert (await ims.ok("GET", at))["document"] == second["after"]["document"]


@pytest.mark.parametrize(
    "change",
    [
        lambda said: {**said, "number": 2},
        lambda said: {**said, "app": "blog"},
        lambda said: {**said, "components": {"network": said["components"]["network"]}},
        lambda said: {**said, "components": {name: {**one, "digest": sha("x")} for name, one in said["components"].items()}},
        lambda said: {**said, "more": True},
    ],
    ids=["number", "app", "components", "digests", "unknown field"],
)
async def test_a_document_of_something_else_is_refused(
    ims: Ims, shop: Shop, key: VendorKey, change: Callable[[Body], Body]
) -> None:
    at = f"/v1/releases/{shop.release['id']}/signature"
    said = change(await document(ims, shop.release))
    assert fields(await ims.refused(422, "PUT", at, signature(said, key))) == ["envelope"]
    await ims.refused(404, "GET", at)


async def test_what_the_key_has_not_signed_as_a_release_is_refused(
    ims: Ims, shop: Shop, key: VendorKey, tmp_path: Path
) -> None:
    at, said = f"/v1/releases/{shop.release['id']}/signature", await document(ims, shop.release)
    good, other = signature(said, key), VendorKey.load_or_create(tmp_path / "other.key")
    changed = json.loads(good["envelope"]) | {
        "payload": json.loads(signature({**said, "revoked": [sha("x")]}, key)["envelope"])["payload"]
    }
    for wrong in (
        {**good, "public_key": other.public_pem},
        {**good, "envelope": "{}"},
        {**good, "envelope": json.dumps(changed)},
        signature(said, key, "application/vnd.in-toto+json"),
    ):
        assert fields(await ims.refused(422, "PUT", at, wrong)) == ["envelope"]
    assert fields(await ims.refused(422, "PUT", at, {**good, "public_key": "no key"})) == ["public_key"]


async def test_only_a_release_that_is_ready_can_be_signed(ims: Ims, shop: Shop, key: VendorKey) -> None:
    said = await document(ims, shop.release)
    await shop.change("network", module({"domain": "other"}))
    building = await ims.ok("POST", "/v1/releases", {"app_id": "shop"})
    await ims.refused(409, "GET", f"/v1/releases/{building['id']}/contents")
    await ims.refused(409, "PUT", f"/v1/releases/{building['id']}/signature", signature({**said, "number": 2}, key))


async def test_the_agent_that_has_the_job_gets_the_document_and_no_other_does(ims: Ims, shop: Shop, key: VendorKey) -> None:
    agent, other = await shop.install("acme"), await shop.install("globex")
    await ims.ok("POST", "/v1/deploys", {"install_id": "acme", "release_id": shop.release["id"]})
    lease = await agent.take("sync", "network")

    async def asked(by: Agent) -> int:
        response = await ims.send("GET", f"/v1/agent/jobs/{lease['job_id']}/release", token=by.token)
        return response.status_code

    assert await asked(agent) == 404
    kept = await ims.ok(
        "PUT", f"/v1/releases/{shop.release['id']}/signature", signature(await document(ims, shop.release), key)
    )
    assert kept["signed_by"]
    assert (await asked(agent), await asked(other)) == (200, 404)
