"""Deploys from the first step to the last, driven by scripted agents."""

import pytest
from ims_driver import Body, Ims
from shop import INPUTS, Shop, applied, module, planned, usual

pytestmark = pytest.mark.anyio

STEPS = ("sync", "plan", "apply")


async def test_a_release_is_brought_to_an_install_step_by_step(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    deploy = await shop.begin()
    done = await agent.work(usual)

    assert sorted(done) == sorted((name, kind) for name in ("network", "service") for kind in STEPS)
    assert done.index(("network", "apply")) < done.index(("service", "plan"))
    ended = await shop.look(deploy)
    assert (ended["status"], ended["failure"], ended["release_number"]) == ("succeeded", None, 1)
    assert ended["outputs"] == {"network": {"id": "network-1"}, "service": {"id": "service-1"}}
    assert all(step["waiting_for"] == "" and step["ended_at"] for step in ended["steps"])
    install = await ims.ok("GET", "/v1/installs/acme")
    assert [(one["name"], one["status"], one["release_number"]) for one in install["components"]] == [
        ("network", "deployed", 1),
        ("service", "deployed", 1),
    ]
    assert await ims.chain_is_whole()


async def test_one_input_that_changes_runs_only_what_it_touches(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    await shop.deploy("acme")
    await ims.ok("PUT", "/v1/installs/acme", {"inputs": {"domain": "new.example"}})
    deploy = await shop.begin()
    done = await agent.work(lambda payload: applied(changed=False) if payload["kind"] == "apply" else usual(payload))
    # The outputs of `network` went away with this apply, so `service` is looked at once more.
    assert done[:3] == [("network", "sync"), ("network", "plan"), ("network", "apply")]
    assert (await shop.look(deploy))["inputs_version"] == 2


async def test_a_user_whose_inputs_stay_the_same_is_skipped(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")
    await shop.deploy("acme")
    await ims.ok("PUT", "/v1/installs/acme", {"inputs": {"domain": "new.example"}})
    deploy = await shop.begin()
    same = {**applied({"id": "network-1"}), "outputs_changed": False}
    done = await shop.agents["acme"].work(lambda payload: same if payload["kind"] == "apply" else usual(payload))
    assert done == [("network", "sync"), ("network", "plan"), ("network", "apply")]
    assert (await shop.steps(deploy))["service", "plan"] == "skipped"
    assert (await shop.look(deploy))["status"] == "succeeded"


@pytest.mark.parametrize("change", [{"outputs": {"id": "network-2"}}, {"outputs": {"id": "network-1"}, "changed": True}])
async def test_a_user_of_an_output_that_changed_is_planned_again(ims: Ims, shop: Shop, change: Body) -> None:
    await shop.install("acme")
    await shop.deploy("acme")
    await ims.ok("PUT", "/v1/installs/acme", {"inputs": {"domain": "new.example"}})
    await shop.begin()

    def result_of(payload: Body) -> Body:
        if (payload["kind"], payload["component"]) == ("apply", "network"):
            return applied(change["outputs"], changed=change.get("changed", False))
        return usual(payload)

    done = await shop.agents["acme"].work(result_of)
    assert done[-2:] == [("service", "plan"), ("service", "apply")]


async def test_a_changed_secret_touches_what_uses_it(ims: Ims, shop: Shop) -> None:
    await shop.install("acme", sensitive_inputs={"password": "one"})
    await shop.deploy("acme")
    await ims.ok("PUT", "/v1/installs/acme", {"sensitive_inputs": {"password": "two"}})
    assert await shop.deploy("acme") == [("service", kind) for kind in STEPS]


async def test_an_empty_plan_is_not_applied_and_the_component_is_at_the_release_all_the_same(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")
    await shop.deploy("acme")
    await shop.change("service", module({"network_id": "{{ components.network.outputs.id }}"}, digest="2"))
    release = await shop.new_release()
    deploy = await shop.begin("acme", release)
    await shop.agents["acme"].work(lambda payload: planned(add=0) if payload["kind"] == "plan" else usual(payload))
    assert (await shop.steps(deploy))["service", "apply"] == "skipped"
    install = await ims.ok("GET", "/v1/installs/acme")
    assert [(one["release_number"], one["status"], bool(one["outputs"])) for one in install["components"]] == [
        (2, "deployed", True),
        (2, "deployed", True),
    ]
    assert (await shop.begin("acme", release))["steps"] == []


async def test_a_component_that_leaves_the_release_is_destroyed(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")
    await shop.deploy("acme")
    release = await shop.new_release(network=1)
    done = await shop.deploy("acme", release)
    assert done == [("service", "plan_destroy"), ("service", "destroy")]
    install = await ims.ok("GET", "/v1/installs/acme")
    assert [(one["name"], one["release_number"]) for one in install["components"]] == [("network", 2)]


async def test_what_is_destroyed_is_still_told_what_it_was_deployed_with(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    await shop.deploy("acme")
    await shop.begin("acme", await shop.new_release(network=1))
    payload = (await agent.take("plan_destroy", "service"))["payload"]
    assert payload["config"]["variables"]["network_id"] == "{{ components.network.outputs.id }}"
    assert sorted(payload["digests"]) == ["network", "service"]
    assert payload["inputs"]["domain"] == INPUTS[0]["default"]


async def test_a_teardown_removes_users_first_and_leaves_nothing(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    await shop.deploy("acme")
    deploy = await ims.ok("POST", "/v1/deploys", {"install_id": "acme", "kind": "teardown"})
    done = await agent.work(lambda payload: planned(add=0) if payload["kind"] == "plan_destroy" else usual(payload))
    assert done == [(name, kind) for name in ("service", "network") for kind in ("plan_destroy", "destroy")]
    ended = await shop.look(deploy)
    assert (ended["status"], ended["outputs"]) == ("succeeded", {})
    assert (await ims.ok("GET", "/v1/installs/acme"))["components"] == []
    await ims.ok("DELETE", "/v1/installs/acme")


async def test_an_older_release_can_be_deployed_again(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")
    await shop.deploy("acme")
    await shop.change("service", module({"network_id": "fixed"}))
    await shop.deploy("acme", await shop.new_release())
    assert await shop.deploy("acme", shop.release) == [("service", kind) for kind in STEPS]


async def test_every_step_of_the_way_is_in_the_history(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")
    await shop.deploy("acme")
    lines = (await ims.ok("GET", "/v1/events", params={"limit": 1000}))["items"]
    actions = {event["action"] for event in lines}
    assert actions >= {
        "app.created",
        "component.created",
        "build.created",
        "build.succeeded",
        "release.created",
        "release.ready",
        "install.created",
        "enrollment.created",
        "agent.enrolled",
        "deploy.created",
        "step.active",
        "job.leased",
        "ticket.issued",
        "job.succeeded",
        "step.succeeded",
        "deploy.succeeded",
    }
    assert {event["actor"] for event in lines} >= {"token:admin", f"agent:{shop.agents['acme'].id}", "enrollment"}


async def test_a_deploy_goes_on_with_the_place_that_it_was_made_with(ims: Ims, shop: Shop) -> None:
    await shop.change("network", module({"domain": "{{ install.region }} {{ install.labels.tier }}"}))
    gold = {"platform": "aws", "region": "eu-west-1", "labels": {"tier": "gold"}}
    agent = await shop.install(**gold)
    release = await shop.new_release()
    deploy = await shop.begin(release=release)
    for _ in range(2):
        lease = await agent.lease()
        assert lease
        await agent.succeed(lease, usual(lease["payload"]))
    await ims.ok("PUT", "/v1/installs/acme", {"platform": "aws", "region": "eu-west-2", "labels": {"tier": "free"}})
    lease = await agent.take("plan", "network")
    found = {name: lease["payload"][f"install_{name}"] for name in gold}
    assert found == gold
    await agent.succeed(lease, usual(lease["payload"]))
    await agent.work(usual)
    assert (await shop.look(deploy))["status"] == "succeeded"
    ims.clock.forward(1)
    assert ("network", "apply") in await shop.deploy(release=release), "the new place comes with the next deploy"
