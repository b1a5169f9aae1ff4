"""Where an install is: known regions only, and what refers to it."""

from typing import Any

import pytest
from ims_driver import Body, Ims
from shop import NETWORK, SYNCED, Shop, module

from api.installs.regions import REGIONS, check_region

pytestmark = pytest.mark.anyio


async def made(ims: Ims, **more: Any) -> Body:
    return await ims.ok("POST", "/v1/installs", {"app_id": "shop", "name": "acme", **more})


@pytest.mark.parametrize(
    ("platform", "region", "near"),
    [("aws", "eu-centrall-1", "eu-central-1"), ("google", "eu-west1", "europe-west1"), ("azure", "westeurop", "westeurope")],
)
async def test_an_unknown_region_is_refused_with_those_near_it(
    ims: Ims, shop: Shop, platform: str, region: str, near: str
) -> None:
    body = {"app_id": "shop", "name": "acme", "platform": platform, "region": region}
    problem = await ims.refused(422, "POST", "/v1/installs", body)
    (found,) = problem["errors"]
    assert found["field"] == "region"
    assert repr(near) in found["remedy"]
    assert "custom" in found["remedy"]
    checked = await ims.ok("POST", "/v1/apps/shop/check", {"installs": {"acme": {"platform": platform, "region": region}}})
    assert [(one["install"], one["field"]) for one in checked["problems"]] == [("acme", "region")]


async def test_a_region_needs_its_platform_and_custom_takes_any(ims: Ims, shop: Shop) -> None:
    body = {"app_id": "shop", "name": "acme", "region": "rack-7"}
    problem = await ims.refused(422, "POST", "/v1/installs", body)
    assert problem["errors"][0]["field"] == "platform"
    assert (await made(ims, platform="custom", region="rack-7"))["region"] == "rack-7"


async def test_a_move_is_a_change_that_the_history_tells(ims: Ims, shop: Shop) -> None:
    await made(ims, platform="aws", region="eu-central-1")
    moved = await ims.ok("PUT", "/v1/installs/acme", {"platform": "aws", "region": "eu-west-1"})
    assert (moved["version"], moved["inputs_version"], moved["region"]) == (2, 1, "eu-west-1")
    (line,) = await ims.events("install.updated")
    assert (line["before"]["region"], line["after"]["region"]) == ("eu-central-1", "eu-west-1")


async def test_the_agent_is_told_where_the_install_is(ims: Ims, shop: Shop) -> None:
    await shop.change("network", module({**NETWORK, "domain": "{{ install.region }}"}))
    release = await shop.new_release()
    agent = await shop.install("acme", platform="aws", region="eu-central-1")
    await shop.begin("acme", release)
    lease = await agent.take("sync", "network")
    await agent.succeed(lease, SYNCED)
    await agent.succeed(await agent.take("sync", "service"), SYNCED)
    lease = await agent.take("plan", "network")
    assert (lease["payload"]["install_platform"], lease["payload"]["install_region"]) == ("aws", "eu-central-1")


async def test_what_refers_to_the_region_is_not_deployed_where_there_is_none(ims: Ims, shop: Shop) -> None:
    await shop.change("network", module({**NETWORK, "domain": "{{ install.region }}"}))
    release = await shop.new_release()
    await shop.install("acme")
    problem = await ims.refused(422, "POST", "/v1/deploys", {"install_id": "acme", "release_id": release["id"]})
    assert [one["field"] for one in problem["errors"]] == ["components.network.variables.domain"]
    body = {"install_id": "acme", "release_id": release["id"]}
    (found,) = (await ims.ok("POST", "/v1/deploys/preview", body))["problems"]
    assert (found["component"], found["field"]) == ("network", "config.variables.domain")
    with_region = {**body, "install": {"platform": "aws", "region": "eu-central-1"}}
    assert (await ims.ok("POST", "/v1/deploys/preview", with_region))["ok"]


async def test_a_changed_region_touches_only_what_uses_it(ims: Ims, shop: Shop) -> None:
    await shop.change("network", module({**NETWORK, "domain": "{{ install.region }}"}))
    release = await shop.new_release()
    await shop.install("acme", platform="aws", region="eu-central-1")
    await shop.deploy("acme", release)
    body = {"install_id": "acme", "release_id": release["id"], "install": {"platform": "aws", "region": "eu-west-1"}}
    found = await ims.ok("POST", "/v1/deploys/preview", body)
    assert {one["name"]: one["action"] for one in found["components"]} == {"network": "update", "service": "check"}


def test_the_lists_have_no_odd_names_and_a_place_may_be_left_open() -> None:
    for platform, regions in REGIONS.items():
        assert len(regions) > 30
        assert all(check_region(platform, region) == [] for region in regions)
    assert check_region(None, None) == check_region("aws", None) == []
