"""Which artifacts the IMS keeps (`in-use-stays`): of releases, installs, open jobs, and builds that would be used again."""

import json
import os
import time
from pathlib import Path

import pytest
from ims_driver import Body, Ims
from shop import Shop, built, module, usual

from api.registry.manifests import digest_of
from api.registry.storage import RegistryStorage

pytestmark = pytest.mark.anyio

OLD = time.time() - 30 * 86400


def storage_of(ims: Ims) -> RegistryStorage:
    """The storage that the IMS serves."""
    found: RegistryStorage = ims.app.state.registry_care._storage
    return found


def push(ims: Ims, repository: str, tag: str, text: str) -> str:
    """An artifact, as a build agent pushes it, a month ago."""
    storage = storage_of(ims)
    received: Path = storage.scratch / digest_of(text.encode()).partition(":")[2]
    received.write_text(text)
    storage.add_blob(repository, digest_of(text.encode()), received)
    content = json.dumps({"layers": [{"digest": digest_of(text.encode())}]}).encode()
    digest = storage.put_manifest(repository, tag, "", content).digest
    for path in (storage.folder / "repositories" / repository).rglob("*"):
        os.utime(path, (OLD, OLD))
    return digest


def pushing(ims: Ims, text: str):
    """A build agent's results, whose artifacts are in the registry."""

    def work(payload: Body) -> Body:
        if payload["kind"] != "build":
            return usual(payload)
        repository = payload["registry"]["repository"]
        result = built(payload)
        result["artifact"]["digest"] = push(ims, repository, payload["build_id"], f"{repository} {text}")
        return result

    return work


async def release(shop: Shop, text: str) -> dict[str, str]:
    """A new release, built anew; its digests by component, and its id."""
    for component in ("network", "service"):
        await shop.change(component, module({"text": text}, path=f"/src/{component}", digest=None))
    made = await shop.ims.ok("POST", "/v1/releases", {"app_id": "shop"})
    await shop.builder.work(pushing(shop.ims, text))
    ready = await shop.ims.ok("GET", f"/v1/releases/{made['id']}")
    assert ready["status"] == "ready", ready["failure"]
    builds = (await shop.ims.ok("GET", "/v1/builds?limit=1000"))["items"]
    newest = {build["component"]: build["artifact"]["digest"] for build in builds}
    return {**newest, "id": ready["id"]}


async def collected(ims: Ims, **params: str) -> set[str]:
    answer = await ims.ok("POST", "/v1/registry/collections", params=params)
    return {manifest["digest"] for manifest in answer["manifests"]}


async def test_the_builds_of_a_deleted_release_go(shop: Shop) -> None:
    first, second = await release(shop, "one"), await release(shop, "two")
    assert await collected(shop.ims) == set()

    await shop.ims.ok("DELETE", f"/v1/releases/{first['id']}")

    gone = {first["network"], first["service"]}
    assert await collected(shop.ims, dry_run="true") == gone
    assert await collected(shop.ims) == gone
    assert await collected(shop.ims) == set()
    storage = storage_of(shop.ims)
    assert storage.manifest("shop/network", second["network"]) is not None
    assert storage.manifest("shop/network", first["network"]) is None
    event = next(event for event in await shop.ims.events("registry.collected") if event["after"]["blobs"])
    assert event["after"]["blobs"] == 2
    assert set(event["after"]["manifests"]) == {f"shop/{name}@{first[name]}" for name in ("network", "service")}


async def test_what_an_install_runs_stays_though_its_release_is_deleted(shop: Shop) -> None:
    first = await release(shop, "one")
    await release(shop, "two")
    await shop.install("acme")
    await shop.deploy("acme", {"id": first["id"]})
    await shop.ims.ok("DELETE", f"/v1/releases/{first['id']}", params={"force": "true"})
    assert await collected(shop.ims) == set()


async def test_what_a_deploy_under_way_will_use_stays(shop: Shop) -> None:
    first = await release(shop, "one")
    await shop.install("acme")
    agent = shop.agents["acme"]
    await shop.begin("acme", {"id": first["id"]})
    await agent.take("sync", "network")
    await shop.ims.ok("DELETE", f"/v1/releases/{first['id']}", params={"force": "true"})
    assert await collected(shop.ims) == set()


async def test_a_build_that_a_new_release_would_use_again_stays(shop: Shop) -> None:
    config = module({"text": "same"}, path="/src/network", digest="same")
    await shop.change("network", config)
    made = await shop.ims.ok("POST", "/v1/releases", {"app_id": "shop"})
    await shop.builder.work(pushing(shop.ims, "same"))
    await release(shop, "other")
    await shop.ims.ok("DELETE", f"/v1/releases/{made['id']}")
    assert await collected(shop.ims) == set(), "its source can't have changed"

    await shop.ims.ok("DELETE", "/v1/apps/shop/components/network")
    repositories = {m["repository"] for m in (await shop.ims.ok("POST", "/v1/registry/collections"))["manifests"]}
    assert repositories == {"shop/network"}


async def test_a_repository_with_a_build_under_way_is_left_alone(shop: Shop) -> None:
    first = await release(shop, "one")
    await release(shop, "two")
    await shop.ims.ok("DELETE", f"/v1/releases/{first['id']}")
    await shop.change("network", module({"text": "three"}, path="/src/network", digest=None))
    await shop.ims.ok("POST", "/v1/releases", {"app_id": "shop"})

    answer = await shop.ims.ok("POST", "/v1/registry/collections")

    skipped = {repository["repository"]: repository["reason"] for repository in answer["skipped"]}
    assert skipped["shop/network"] == "a build is being pushed"
    assert first["network"] not in {manifest["digest"] for manifest in answer["manifests"]}


async def test_what_somebody_has_tagged_stays(shop: Shop) -> None:
    push(shop.ims, "shop/network", "kept-by-hand", "by hand")
    assert await collected(shop.ims) == set()
