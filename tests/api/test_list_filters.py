"""What lists can be narrowed to, and labels on apps and releases."""

from typing import Any

import pytest
from ims_driver import Ims
from shop import INPUTS, Shop

pytestmark = pytest.mark.anyio


async def found(ims: Ims, path: str, key: str = "name", **params: Any) -> list[Any]:
    return [one[key] for one in (await ims.ok("GET", path, params=params))["items"]]


async def test_each_list_can_be_narrowed_to_what_a_data_source_asks_for(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")
    await ims.ok("POST", "/v1/installs", {"app_id": "shop", "name": "umbrella"})
    await shop.deploy("acme")
    waiting = await shop.begin("umbrella")
    await ims.ok("POST", "/v1/apps", {"name": "other"})
    await ims.ok("POST", "/v1/tokens", {"name": "ci", "role": "deployer"})
    for name in ("key", "lock"):
        await ims.ok("POST", "/v1/secrets", {"name": name, "value": "v"})
        await ims.ok("POST", "/v1/webhooks", {"name": name, "url": "https://93.184.215.14/"})
    assert await found(ims, "/v1/apps", name="other") == ["other"]
    assert await found(ims, "/v1/installs", release=shop.release["id"], app="shop") == ["acme"]
    assert await found(ims, "/v1/installs", release_number=1) == ["acme"]
    assert await found(ims, "/v1/installs", release_number=2) == []
    assert await found(ims, "/v1/installs", release="rel_none") == []
    assert len(await found(ims, "/v1/deploys", "id", release_number=1)) == 2
    assert await found(ims, "/v1/deploys", "id", release_number=2) == []
    assert await found(ims, "/v1/releases", "number", number=1, app="shop") == [1]
    assert await found(ims, "/v1/releases", "number", number=2) == []
    assert await found(ims, "/v1/builds", "component", component="network", component_version=1) == ["network"]
    assert await found(ims, "/v1/builds", "component", component_version=2) == []
    version = (await found(ims, "/v1/agents", "version"))[0]
    assert set(await found(ims, "/v1/agents", "version", version=version)) == {version}
    assert await found(ims, "/v1/agents", "version", version="0.0.0") == []
    assert await found(ims, "/v1/apps/shop/components", name="network") == ["network"]
    assert await found(ims, "/v1/apps/shop/components", kind="helm_chart") == []
    assert await found(ims, "/v1/installs", name="umbrella", app="shop") == ["umbrella"]
    assert await found(ims, "/v1/builds", "component", component="network", status="succeeded", app="shop") == ["network"]
    assert await found(ims, "/v1/builds", "component", status="failed") == []
    assert await found(ims, "/v1/releases", "number", status="ready") == [1]
    assert await found(ims, "/v1/releases", "number", status="failed") == []
    assert await found(ims, "/v1/deploys", "id", status="running", app="shop") == [waiting["id"]]
    assert len(await found(ims, "/v1/deploys", "id", release=shop.release["id"])) == 2
    assert await found(ims, "/v1/deploys", "id", app="other") == []
    assert await found(ims, "/v1/agents", "kind", kind="install") == ["install"]
    assert await found(ims, "/v1/agents", name="nobody") == []
    assert await found(ims, "/v1/jobs", "kind", kind="build", state="succeeded") == ["build", "build"]
    assert set(await found(ims, "/v1/jobs", "state", install="umbrella")) == {"queued"}
    assert await found(ims, "/v1/tokens", role="deployer") == ["ci"]
    assert await found(ims, "/v1/tokens", name="ci") == ["ci"]
    for kind in ("secrets", "webhooks"):
        assert await found(ims, f"/v1/{kind}", name="lock") == ["lock"]
    for path in (
        "/v1/deploys?status=odd",
        "/v1/builds?status=odd",
        "/v1/releases?status=odd",
        "/v1/jobs?kind=odd",
        "/v1/installs?release_number=0",
    ):
        await ims.refused(422, "GET", path)


async def test_apps_have_labels_to_choose_them_by(ims: Ims, shop: Shop) -> None:
    await ims.ok("POST", "/v1/apps", {"name": "depot", "labels": {"team": "web", "tier": "gold"}})
    assert await found(ims, "/v1/apps", selector="team=web,tier in (gold,silver)") == ["depot"]
    assert await found(ims, "/v1/apps", selector="!team") == ["shop"]
    changed = await ims.ok("PUT", "/v1/apps/shop", {"inputs": INPUTS, "labels": {"team": "web"}})
    assert (changed["labels"], changed["version"]) == ({"team": "web"}, 2)
    assert await found(ims, "/v1/apps", selector="team") == ["shop", "depot"]
    problem = await ims.refused(422, "PUT", "/v1/apps/shop", {"inputs": INPUTS, "labels": {"team": "a b"}})
    assert [one["field"] for one in problem["errors"]] == ["labels.team"]
    problem = await ims.refused(422, "GET", "/v1/apps", params={"selector": "team in"})
    assert problem["errors"][0]["field"] == "selector"


async def test_releases_have_labels_to_choose_them_by(ims: Ims, shop: Shop) -> None:
    made = await ims.ok("POST", "/v1/releases", {"app_id": "shop", "labels": {"channel": "stable"}})
    assert (made["labels"], shop.release["labels"]) == ({"channel": "stable"}, {})
    assert await found(ims, "/v1/releases", "number", selector="channel=stable") == [2]
    problem = await ims.refused(422, "POST", "/v1/releases", {"app_id": "shop", "labels": {"a b": ""}})
    assert [one["field"] for one in problem["errors"]] == ["labels"]
