"""Deploys from the first step to the last, driven by scripted agents."""

import pytest
from ims_driver import Ims
from shop import Shop, applied, planned, usual

pytestmark = pytest.mark.anyio

BOTH = [
    ("network", "sync"),
    ("service", "sync"),
    ("network", "plan"),
    ("network", "apply"),
    ("service", "plan"),
    ("service", "apply"),
]


async def test_a_release_is_brought_to_an_install_step_by_step(ims: Ims, shop: Shop) -> None:
    agent = await shop.install(inputs={"domain": "acme.example"})
    deploy = await shop.begin()
    done = await agent.work(usual)

    assert sorted(done) == sorted(BOTH)
    assert done.index(("network", "apply")) < done.index(("service", "plan"))
    ended = await shop.look(deploy)
    assert (ended["status"], ended["failure"], ended["release_number"]) == ("succeeded", None, 1)
    assert ended["outputs"] == {"network": {"id": "network-1"}, "service": {"id": "service-1"}}
    assert all(step["waiting_for"] == "" for step in ended["steps"])
    install = await ims.ok("GET", "/v1/installs/acme")
    assert [(one["name"], one["status"], one["release_number"]) for one in install["components"]] == [
        ("network", "deployed", 1),
        ("service", "deployed", 1),
    ]
    assert await ims.chain_is_whole()
