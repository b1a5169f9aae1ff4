"""The install agent's jobs on manifests, against an API server written from Kubernetes' documentation (`fake_kubernetes`)."""

from typing import Any

import pytest
from customer import Customer
from fake_kubernetes.server import FakeKubernetes
from images import push_image
from registry_server import RegistryServer
from shop_of_manifests import CONFIG, DEFINITION, INPUTS, MIGRATION, WEB, Shop, actions, failure_of

from api.contract.agents import PlanResult
from api.contract.resources import PlanSummary

pytestmark = pytest.mark.anyio


async def test_a_manifest_is_planned_applied_and_found_unchanged(shop: Customer, kubernetes: FakeKubernetes) -> None:
    web = Shop(shop)
    await web.ship(CONFIG + "---" + WEB)
    summary = await web.plan()
    assert actions(summary) == {
        "ConfigMap/default/conf": ["create"],
        "Service/default/web": ["create"],
        "Deployment/default/web": ["create"],
        "Ingress/default/web": ["create"],
    }
    assert (summary.add, summary.change, summary.destroy) == (4, 0, 0)
    assert not kubernetes.writes(), "a plan changes nothing"
    result = await web.apply()
    assert result.outputs == {
        "addresses": {"Service/web": "192.0.2.10", "Ingress/web": "lb.example.com"},
        "hosts": ["shop.example.com"],
        "namespace": "default",
    }
    deployment = kubernetes.cluster.find("Deployment", "web")
    assert deployment
    assert deployment["spec"]["replicas"] == 2, "a reference without quotes keeps its type"
    assert {entry["manager"] for entry in deployment["metadata"]["managedFields"]} == {"exclave", "kube-controller-manager"}
    again = await web.plan()
    assert again.empty
    assert again == PlanSummary()


async def test_a_plan_names_the_attributes_that_change_and_no_value(shop: Customer, kubernetes: FakeKubernetes) -> None:
    web = Shop(shop)
    await web.deploy(CONFIG + "---" + WEB)
    await web.ship(CONFIG.replace("hello", "good evening") + "---" + WEB.replace("web:1", "web:2"))
    summary = await web.plan()
    assert {change.address: change.attributes for change in summary.resources} == {
        "ConfigMap/default/conf": ["data.greeting"],
        "Deployment/default/web": ["spec.template.spec.containers[web].image"],
    }
    assert "evening" not in summary.model_dump_json()
    await web.apply()
    found = kubernetes.cluster.find("ConfigMap", "conf")
    assert found
    assert found["data"]["greeting"] == "good evening"


async def test_what_a_component_no_longer_has_is_removed(shop: Customer, kubernetes: FakeKubernetes) -> None:
    web, other = Shop(shop), Shop(shop, "other")
    await web.deploy(CONFIG + "---" + WEB)
    await other.deploy(CONFIG.replace("conf", "others"))
    await web.ship(WEB)
    summary = await web.plan()
    assert actions(summary) == {"ConfigMap/default/conf": ["delete"]}
    assert summary.destroy == 1
    await web.apply()
    assert kubernetes.cluster.names("ConfigMap") == ["kube-root-ca.crt", "others"]
    assert (await web.plan()).empty


async def test_an_object_of_another_component_is_left_to_it(shop: Customer, kubernetes: FakeKubernetes) -> None:
    web, other = Shop(shop), Shop(shop, "other")
    await web.deploy(CONFIG)
    await other.ship(CONFIG)
    failure = await failure_of(other.plan())
    assert failure.code == "owned_by_another"
    assert "ins_1/web" in failure.message


async def test_a_destroy_removes_all_of_it_and_nothing_else(shop: Customer, kubernetes: FakeKubernetes) -> None:
    web, other = Shop(shop), Shop(shop, "other")
    await web.deploy(CONFIG + "---" + WEB + "---" + DEFINITION)
    await other.deploy(CONFIG.replace("conf", "others"))
    summary = await web.plan("plan_destroy", "job_gone")
    assert summary.destroy == 6
    kubernetes.requests.clear()
    await web.apply("destroy", "job_gone")
    deleted = [asked.resource for asked in kubernetes.writes() if asked.verb == "delete"]
    assert deleted == [
        "shelves",
        "ingresses",
        "deployments",
        "services",
        "configmaps",
        "customresourcedefinitions",
        "configmaps",
    ]
    assert kubernetes.cluster.names("Pod") == []
    assert kubernetes.cluster.names("ConfigMap") == ["kube-root-ca.crt", "others"]
    assert len([name for name in kubernetes.cluster.names("ConfigMap", "kube-system") if "inventory" in name]) == 1
    assert not shop.site.components.of("web").root.exists()


async def test_a_definition_and_its_resource_come_in_one_artifact(shop: Customer, kubernetes: FakeKubernetes) -> None:
    kubernetes.controllers.set("CustomResourceDefinition", after=0.4)
    web = Shop(shop)
    await web.deploy(DEFINITION)
    found = kubernetes.cluster.find("Shelf", "one")
    assert found
    assert found["spec"] == {"size": 3}
    assert (await web.plan()).empty


async def test_a_namespace_and_what_is_in_it_come_in_one_artifact(shop: Customer, kubernetes: FakeKubernetes) -> None:
    web = Shop(shop, namespace="shop")
    namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"
    await web.deploy(CONFIG + "---\n" + namespace)
    assert "conf" in kubernetes.cluster.names("ConfigMap", "shop")
    await web.destroy()
    assert kubernetes.cluster.find("Namespace", "shop") is None


async def test_an_apply_says_what_isnt_ready_and_why(shop: Customer, kubernetes: FakeKubernetes) -> None:
    kubernetes.controllers.set("Deployment", "web", after=None, reason="ImagePullBackOff", message="Back-off pulling image")
    web = Shop(shop, timeout=1)
    await web.ship(WEB)
    await web.plan()
    failure = await failure_of(web.apply())
    assert failure.code == "not_ready"
    assert "Deployment/default/web isn't ready: 0 of 2 replicas are available" in failure.message
    assert "container web: ImagePullBackOff: Back-off pulling image" in failure.message
    kubernetes.controllers.finish("Deployment", "web")
    again = await web.plan()
    assert not again.empty, "what was applied has not been read yet"
    assert (await web.apply()).outputs["hosts"] == ["shop.example.com"]


async def test_what_wont_become_ready_by_itself_is_not_waited_for(shop: Customer, kubernetes: FakeKubernetes) -> None:
    kubernetes.controllers.set("Job", "migrate", fails=True)
    web = Shop(shop, timeout=600)
    await web.ship(MIGRATION % 1)
    await web.plan()
    failure = await failure_of(web.apply())
    assert "Job/default/migrate isn't ready: BackoffLimitExceeded" in failure.message


async def test_images_are_those_of_the_installs_own_registry_by_digest(
    shop: Customer, kubernetes: FakeKubernetes, debian: RegistryServer
) -> None:
    image = await push_image(debian, "team/web", "1")
    name = f"{debian.url.removeprefix('http://')}/team/web:1"
    own = f"{shop.registry.url.removeprefix('http://')}/shop/web@{image['digest']}"
    web = Shop(shop, closure="strict")
    await web.ship(WEB.replace("web.example.com/shop/web:1", name) + f"---\n{CONFIG.replace('hello', f'--image={name}')}")
    await web.plan()
    await web.apply()
    deployment, config = kubernetes.cluster.find("Deployment", "web"), kubernetes.cluster.find("ConfigMap", "conf")
    assert deployment
    assert config
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == own
    assert config["data"]["greeting"] == f"--image={own}"


async def test_the_health_of_workloads_is_told(shop: Customer, kubernetes: FakeKubernetes) -> None:
    web = Shop(shop)
    result = await web.deploy(WEB)
    assert result.health
    assert result.health.status == "healthy"
    assert [check.name for check in result.health.checks] == ["Deployment/default/web"]
    kubernetes.cluster.set_status("Deployment", "web", {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2})
    planned = await shop.run(shop.job("plan", "web", inputs=INPUTS), "job_drift")
    assert isinstance(planned, PlanResult)
    assert planned.health
    assert planned.health.reason == "Deployment/default/web: 0 of 2 replicas are available"


async def test_workloads_say_how_the_component_is_after_the_apply_and_when_it_is_looked_at(
    shop: Customer, kubernetes: FakeKubernetes
) -> None:
    web = Shop(shop)
    applied = await web.deploy(CONFIG + "---" + WEB)
    assert applied.health
    assert [(check.name, check.status) for check in applied.health.checks] == [("Deployment/default/web", "healthy")]

    def roll_out_anew(obj: Any) -> None:
        obj["spec"]["minReadySeconds"] = 5

    kubernetes.controllers.set("Deployment", "web", after=None)
    kubernetes.cluster.edit("Deployment", "web", roll_out_anew)
    job = shop.job("plan", "web", inputs=INPUTS).model_copy(update={"look_at_health": True})
    looked = await shop.run(job, "job_look")
    assert isinstance(looked, PlanResult)
    assert looked.health
    assert looked.health.reason.startswith("Deployment/default/web: ")
    assert "of 2 replicas are" in looked.health.reason


async def test_what_is_not_waited_for_is_told_as_it_is(shop: Customer, kubernetes: FakeKubernetes) -> None:
    kubernetes.controllers.set("Deployment", "web", after=None)
    applied = await Shop(shop).deploy(WEB, wait=False)
    assert applied.health
    assert (applied.health.status, applied.health.checks[0].kind) == ("degraded", "workload")
