"""How components are, as their agents report it: kept with since when, told in the history, shown on the install."""

from typing import Any

import pytest
from ims_driver import Body, Ims
from shop import Shop, applied, planned, usual

pytestmark = pytest.mark.anyio


def health(status: str, reason: str = "") -> Body:
    check = {"name": "probe.api", "kind": "http", "status": status, "reason": reason}
    return {"status": status, "reason": reason, "checks": [check]}


async def network(ims: Ims) -> Body:
    install = await ims.ok("GET", "/v1/installs/acme")
    return next(one for one in install["components"] if one["name"] == "network")


def says(kind: str, status: str, reason: str = "") -> Any:
    """What an agent answers: `network` is so after a job of that kind."""

    def answer(payload: Body) -> Body:
        result = usual(payload)
        if payload["kind"] == kind and payload["component"] == "network":
            result = planned(add=0) if kind == "plan" else applied({"id": "network-1"})
            result["health"] = health(status, reason)
        return result

    return answer


async def deploy(ims: Ims, shop: Shop, answer: Any) -> None:
    await shop.begin("acme")
    await shop.agents["acme"].work(answer)


async def test_an_apply_says_how_the_component_is(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")
    await deploy(ims, shop, says("apply", "degraded", "answered 503"))
    found = await network(ims)
    assert (found["status"], found["health"]) == ("deployed", health("degraded", "answered 503"))
    assert found["health_since"] == found["health_checked_at"] == "2026-11-21T09:00:00Z"
    (event,) = await ims.events("health.changed")
    assert event["before"] == {"component": "network", "status": None}
    assert (event["after"]["status"], event["after"]["reason"]) == ("degraded", "answered 503")


async def test_a_drift_run_looks_again_and_since_moves_only_with_the_status(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")
    await deploy(ims, shop, says("apply", "degraded", "answered 503"))
    for reason, status in (("answered 500", "degraded"), ("", "healthy")):
        await ims.pass_time(3600)
        await shop.agents["acme"].sign_in()
        await ims.ok("POST", "/v1/installs/acme/drift")
        await shop.agents["acme"].work(says("plan", status, reason))
        found = await network(ims)
        assert found["health"]["reason"] == reason
        assert found["health_since"] == ("2026-11-21T09:00:00Z" if status == "degraded" else "2026-11-21T11:00:00Z")
    assert found["health_checked_at"] == "2026-11-21T11:00:00Z"
    assert [event["after"]["status"] for event in await ims.events("health.changed")] == ["degraded", "healthy"]


async def test_a_drift_run_asks_for_health_and_a_deploy_leaves_it_to_the_agent(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")
    await shop.begin("acme")
    seen: list[Body] = []

    def noting(payload: Body) -> Body:
        seen.append(payload)
        return usual(payload)

    await shop.agents["acme"].work(noting)
    assert not any("look_at_health" in payload for payload in seen), "an earlier agent would refuse it"
    await ims.ok("POST", "/v1/installs/acme/drift")
    assert (await shop.agents["acme"].take("plan"))["payload"]["look_at_health"] is True


async def test_a_component_at_which_nothing_looks_any_more_has_no_health(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")
    await deploy(ims, shop, says("apply", "healthy"))
    await ims.ok("POST", "/v1/installs/acme/drift")
    await shop.agents["acme"].work(usual)
    assert (await network(ims))["health"]["status"] == "healthy", "an agent that says nothing in a plan didn't look"
    await deploy(ims, shop, usual)  # drift was found: it is applied again
    found = await network(ims)
    assert (found["health"], found["health_since"], found["health_checked_at"]) == (None, None, None)
    assert [event["after"]["status"] for event in await ims.events("health.changed")] == ["healthy", None]
