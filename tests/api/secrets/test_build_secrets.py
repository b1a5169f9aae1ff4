"""The way of a secret to a build: sealed to the build agent, and only those that the config names."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from ims_driver import Ims
from shop import Shop
from test_named_secrets import CANARY, seal_to, set_secret

from api.contract.sealed_box import SealedBoxError, job_context, open_box

pytestmark = pytest.mark.anyio


async def test_a_build_gets_the_secrets_that_its_config_names_sealed(ims: Ims, shop: Shop) -> None:
    key = await seal_to(shop.builder)
    await set_secret(ims, "pull")
    await set_secret(ims, "other")
    image = {"image_url": "registry.example/x", "tag": "1", "username": "u", "password_secret": "pull"}
    body = {"name": "image", "config": {"kind": "container_image", "registry": image}}
    await ims.ok("POST", "/v1/apps/shop/components", body)
    await ims.ok("POST", "/v1/releases", {"app_id": "shop"})
    while True:
        lease = await shop.builder.lease()
        assert lease
        if lease["payload"]["component"] == "image":
            break
        assert lease["payload"]["sealed"] is None
    assert CANARY not in json.dumps(lease)
    context = job_context(lease["job_id"], lease["attempt"], lease["payload"]["build_id"])
    assert open_box(key, lease["payload"]["sealed"], context) == {"secrets": {"pull": CANARY}}
    with pytest.raises(SealedBoxError):
        open_box(X25519PrivateKey.generate(), lease["payload"]["sealed"], context)


async def test_a_build_that_may_name_images_gets_the_logins_of_the_apps_private_ones(ims: Ims, shop: Shop) -> None:
    key = await seal_to(shop.builder)
    await set_secret(ims, "pull")
    private = {"image_url": "registry.example/x", "tag": "1", "username": "u", "password_secret": "pull"}
    manifest = "kind: Pod\nspec:\n  containers:\n  - image: registry.example/y:1\n"
    configs = {
        "private": {"kind": "container_image", "registry": private},
        "public": {"kind": "container_image", "public": {"image_url": "nginx", "tag": "1"}},
        "anyones": {"kind": "container_image", "registry": {"image_url": "registry.example/z", "tag": "1"}},
        "pod": {"kind": "kubernetes_manifest", "manifest": manifest},
    }
    for name, config in configs.items():
        await ims.ok("POST", "/v1/apps/shop/components", {"name": name, "config": config})
    await ims.ok("POST", "/v1/releases", {"app_id": "shop"})
    leases = {}
    while set(leases) < set(configs):
        lease = await shop.builder.lease()
        assert lease
        leases[lease["payload"]["component"]] = lease
    for name, lease in leases.items():
        images = [each["registry"]["image_url"] for each in lease["payload"]["images"]]
        assert images == (["registry.example/x"] if name == "pod" else []), name
    pod = leases["pod"]
    assert CANARY not in json.dumps(pod)
    context = job_context(pod["job_id"], pod["attempt"], pod["payload"]["build_id"])
    assert open_box(key, pod["payload"]["sealed"], context) == {"secrets": {"pull": CANARY}}
