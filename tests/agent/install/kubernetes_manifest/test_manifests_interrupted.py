"""The install agent's jobs on manifests when something else changes, breaks or ends meanwhile."""

from functools import partial
from typing import Any

import pytest
from customer import Customer
from fake_kubernetes.asked import Asked
from fake_kubernetes.server import FakeKubernetes
from shop_of_manifests import CONFIG, DEFINITION, WEB, Shop, actions, failure_of

from agent.oci.retry import RetryPolicy

pytestmark = pytest.mark.anyio


async def test_the_inventory_survives_the_loss_of_the_agents_disk(shop: Customer, kubernetes: FakeKubernetes) -> None:
    web = Shop(shop)
    await web.deploy(CONFIG + "---" + WEB)
    shop.site.components.of("web").remove()
    await web.ship(WEB)
    summary = await web.plan()
    assert actions(summary) == {"ConfigMap/default/conf": ["delete"]}
    assert not summary.empty
    assert (await web.apply()).outputs["hosts"] == ["shop.example.com"]


async def test_a_plan_is_stale_once_somebody_changed_what_is_ours(shop: Customer, kubernetes: FakeKubernetes) -> None:
    web = Shop(shop)
    await web.deploy(CONFIG + "---" + WEB)
    await web.ship(CONFIG + "---" + WEB.replace("web:1", "web:2"))
    await web.plan()
    kubernetes.cluster.edit("ConfigMap", "conf", lambda live: live["data"].update(others="theirs"))
    kubernetes.cluster.set_status("Deployment", "web", {"observedGeneration": 1, "replicas": 2})
    await web.apply()
    await web.ship(CONFIG.replace("hello", "hi"))
    await web.plan()
    kubernetes.cluster.edit("ConfigMap", "conf", lambda live: live["data"].update(greeting="mine"))
    failure = await failure_of(web.apply())
    assert failure.code == "plan_stale"
    assert "ConfigMap/default/conf" in failure.message


async def test_old_objects_stay_until_the_new_ones_are_ready(shop: Customer, kubernetes: FakeKubernetes) -> None:
    web = Shop(shop, timeout=1)
    await web.deploy(CONFIG)
    kubernetes.controllers.set("Deployment", "web", after=None)
    await web.ship(WEB)
    await web.plan()
    await failure_of(web.apply())
    assert "conf" in kubernetes.cluster.names("ConfigMap")
    kubernetes.controllers.finish("Deployment", "web")
    await web.plan()
    await web.apply()
    assert "conf" not in kubernetes.cluster.names("ConfigMap")


async def test_a_finalizer_that_holds_an_object_is_named(shop: Customer, kubernetes: FakeKubernetes) -> None:
    web = Shop(shop, timeout=1)
    await web.deploy(CONFIG.replace("{name: conf}", "{name: conf, finalizers: [example.com/hold]}"))
    await web.plan("plan_destroy", "job_gone")
    failure = await failure_of(web.apply("destroy", "job_gone"))
    assert failure.code == "destroy_incomplete"
    assert "ConfigMap/default/conf, held by its finalizers example.com/hold" in failure.message
    kubernetes.cluster.edit("ConfigMap", "conf", lambda live: live["metadata"].pop("finalizers"))
    await web.apply("destroy", "job_gone")
    assert "conf" not in kubernetes.cluster.names("ConfigMap")


class Cut(Exception):  # noqa: N818 - it stands for the end of the process
    """The agent's end, between two calls."""


@pytest.mark.parametrize("after_the_call", [False, True])
async def test_an_apply_that_was_cut_off_at_any_write_ends_well_when_it_is_done_again(
    shop: Customer, kubernetes: FakeKubernetes, monkeypatch: pytest.MonkeyPatch, after_the_call: bool
) -> None:
    """In the place of each write in turn the agent ends, with the write done, or not."""
    from agent.kubernetes.client import KubernetesClient

    send = KubernetesClient._send
    left = 0

    async def send_until_cut(self: KubernetesClient, method: str, path: str, query: dict[str, str], *rest: Any) -> Any:
        nonlocal left
        writes = method in ("PATCH", "DELETE") and "dryRun" not in query
        left -= writes
        if writes and left == 0 and not after_the_call:
            raise Cut
        answer = await send(self, method, path, query, *rest)
        if writes and left == 0:
            raise Cut
        return answer

    monkeypatch.setattr(KubernetesClient, "_send", send_until_cut)
    namespace = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"
    web = Shop(shop, namespace="shop")
    versions: list[str] = []
    for manifest in (CONFIG + "---" + DEFINITION, WEB + "---" + DEFINITION.replace("size: 3", "size: 4")):
        await web.ship(manifest + namespace)
        versions.append(shop.digests["web"])

    async def cut_off_and_again(kind: str, job_id: str, cut: int) -> bool:
        """Whether the cut came before the end."""
        nonlocal left
        left = cut
        try:
            await web.apply(kind, job_id)
        except Cut:
            left = 0
            await web.apply(kind, job_id)
            return True
        left = 0
        return False

    for cut in range(1, 40):
        for version in versions:
            shop.digests["web"] = version
            await web.plan()
            was_cut = await cut_off_and_again("apply", "job_plan", cut)
            assert (await web.plan()).empty
        assert "conf" not in kubernetes.cluster.names("ConfigMap", "shop")
        assert kubernetes.cluster.find("Deployment", "web", "shop")
        await web.plan("plan_destroy", "job_gone")
        was_cut = await cut_off_and_again("destroy", "job_gone", cut) or was_cut
        assert kubernetes.cluster.find("Namespace", "shop") is None
        assert not [name for name in kubernetes.cluster.names("ConfigMap", "kube-system") if "inventory" in name]
        if not was_cut:
            break
    assert not was_cut
    assert cut > 6


@pytest.mark.parametrize("broken_from", [1, 2, 4])
async def test_an_api_server_that_breaks_in_the_middle_of_an_apply_or_a_destroy_leaves_what_the_next_one_ends(
    shop: Customer, kubernetes: FakeKubernetes, monkeypatch: pytest.MonkeyPatch, broken_from: int
) -> None:
    """From the n-th write on, every answer is 500, also to reads; then the server is well again."""
    monkeypatch.setattr("agent.kubernetes.client.RetryPolicy", partial(RetryPolicy, first_wait=0.01))
    web = Shop(shop, namespace="shop")
    await web.ship("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---" + CONFIG + "---" + WEB)
    writes = 0

    def breaks(asked: Asked) -> int | None:
        nonlocal writes
        writes += asked.verb in ("create", "patch", "update", "delete") and "dryRun" not in asked.query
        return 500 if writes >= broken_from else None

    for plan, act, job_id in (("plan", "apply", "job_plan"), ("plan_destroy", "destroy", "job_gone")):
        await web.plan(plan, job_id)
        writes, kubernetes.intercept = 0, breaks
        failure = await failure_of(web.apply(act, job_id))
        assert (failure.code, failure.retryable) == ("cluster_unreachable", True), failure
        kubernetes.intercept = lambda asked: None
        if act == "apply":
            await web.plan(job_id="job_anew")
            await web.apply(job_id="job_anew")
            assert (await web.plan(job_id="job_same")).empty
        else:
            await web.plan(plan, "job_gone_anew")
            await web.apply(act, "job_gone_anew")
    assert kubernetes.cluster.find("Namespace", "shop") is None
    assert not [name for name in kubernetes.cluster.names("ConfigMap", "kube-system") if "inventory" in name]


async def test_a_cluster_that_cant_be_reached_is_a_failure_that_can_be_tried_again(
    shop: Customer, kubernetes: FakeKubernetes
) -> None:
    web = Shop(shop)
    await web.ship(CONFIG)
    kubernetes.intercept = lambda asked: 503
    failure = await failure_of(web.plan())
    assert failure.code == "cluster_unreachable"
    assert failure.retryable
