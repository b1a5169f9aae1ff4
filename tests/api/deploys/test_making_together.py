"""Deploys that are made one by one, at the same moment: they share what they look up, and nothing else."""

import asyncio

import httpx
import pytest
from held_writer import HeldWriter
from ims_driver import Body, Ims, fields
from shop import Shop, usual

pytestmark = pytest.mark.anyio


async def made_together(ims: Ims, wanted: list[Body], *, token: str = "admin") -> list[httpx.Response]:
    """What each request is answered; all of them wait for their commit at once."""
    async with HeldWriter(ims.state.db) as held:
        requests = [asyncio.create_task(ims.send("POST", "/v1/deploys", body, token=token)) for body in wanted]
        await held.queued(len(wanted))
    return await asyncio.gather(*requests)


@pytest.mark.service
async def test_each_install_gets_its_own(ims: Ims, shop: Shop) -> None:
    names = [f"acme-{number}" for number in range(10)]
    installs = {name: (await shop.install(name, inputs={"domain": f"{name}.example"})) for name in names}
    answers = await made_together(ims, [{"install_id": name, "release_id": shop.release["id"]} for name in names])
    assert [answer.status_code for answer in answers] == [201] * 10
    for name, answer in zip(names, answers, strict=True):
        job = await installs[name].take("sync", "network")
        assert (await ims.ok("GET", f"/v1/installs/{name}"))["id"] == answer.json()["install_id"]
        assert job["payload"]["deploy_id"] == answer.json()["id"]
        await installs[name].succeed(job, usual(job["payload"]))
        await installs[name].work(usual)
        assert (await shop.look(answer.json()))["status"] == "succeeded"
    assert await ims.chain_is_whole()


async def test_one_install_gets_one_and_whoever_is_wrong_is_refused_alone(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")
    await shop.install("globex")
    await shop.install("initech")
    release = shop.release["id"]
    pairs = [("acme", release), ("acme", release), ("nobody", release), ("initech", "rel_missing"), ("globex", release)]
    answers = await made_together(ims, [{"install_id": install, "release_id": of} for install, of in pairs])
    # The two for acme come in either order.
    assert sorted(answer.status_code for answer in answers[:2]) == [201, 409]
    assert "still under way" in next(answer for answer in answers if answer.status_code == 409).json()["detail"]
    assert [answer.status_code for answer in answers[2:]] == [422, 422, 201]
    assert [fields(answer.json()) for answer in answers[2:4]] == [["install_id"], ["release_id"]]


async def test_two_for_one_install_are_told_apart_also_where_all_would_go_well(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")
    answers = await made_together(ims, [{"install_id": "acme", "release_id": shop.release["id"]}] * 2)
    assert sorted(answer.status_code for answer in answers) == [201, 409]


async def test_a_narrow_token_finds_only_its_own_installs(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")
    await shop.install("globex")
    narrow = await ims.ok("POST", "/v1/tokens", {"name": "narrow", "role": "deployer", "scope": "install:acme"})
    wanted = [{"install_id": name, "release_id": shop.release["id"]} for name in ("globex", "acme")]
    answers = await made_together(ims, wanted, token=narrow["secret"])
    assert [answer.status_code for answer in answers] == [422, 201]
