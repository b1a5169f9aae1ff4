"""The install agent's jobs on manifests, against an API server written from Kubernetes' documentation (`fake_kubernetes`)."""

import json
from collections.abc import Awaitable
from functools import partial
from typing import Any

import pytest
from customer import Customer
from fake_kubernetes.asked import Asked
from fake_kubernetes.server import FakeKubernetes
from images import push_image
from registry_server import RegistryServer

from agent.artifact.manifest import ManifestsConfig
from agent.failure import JobFailedError
from agent.install.kubernetes_manifest.artifact import FetchedManifests
from agent.install.kubernetes_manifest.render import render_objects
from agent.install.variables import Scope
from agent.oci.retry import RetryPolicy
from agent.redaction import Redactor
from api.contract.agents import ApplyResult, JobResult, PlanResult
from api.contract.base import Failure
from api.contract.components import KubernetesManifestConfig
from api.contract.resources import PlanSummary

pytestmark = pytest.mark.anyio

CANARY = "canary-5d1f0e7c"
CONFIG = """
apiVersion: v1
kind: ConfigMap
metadata: {name: conf}
data: {domain: "{{ inputs.domain }}", greeting: hello}
"""
WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: {{ inputs.replicas }}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "web.example.com/shop/web:1"}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec: {rules: [{host: "shop.{{ inputs.domain }}"}]}
"""
SECRET = """
apiVersion: v1
kind: Secret
metadata: {name: login}
stringData: {password: "{{ inputs.password }}", "colon": "a: {{ inputs.password }}\\n#b"}
"""
DEFINITION = """
apiVersion: shop.example.com/v1
kind: Shelf
metadata: {name: one}
spec: {size: 3}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: shelves.shop.example.com}
spec:
  group: shop.example.com
  scope: Namespaced
  names: {plural: shelves, singular: shelf, kind: Shelf}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
"""
MIGRATION = """
apiVersion: batch/v1
kind: Job
metadata: {name: migrate}
spec:
  template:
    spec: {restartPolicy: Never, containers: [{name: migrate, image: "web.example.com/shop/web:%s"}]}
"""
INPUTS = {"domain": "example.com", "replicas": 2}


class Shop:
    """One component in a customer's account, as an IMS would deploy it."""

    def __init__(self, customer: Customer, component: str = "web", **config: Any) -> None:
        self.customer = customer
        self.component = component
        self.config: dict[str, Any] = {"closure": "off", "timeout": 240, **config}

    async def ship(self, manifest: str, **config: Any) -> None:
        """Build and sync a new version."""
        self.config |= config
        await self.customer.build_of(self.component, KubernetesManifestConfig(manifest=manifest, **self.config))
        await self.customer.sync(self.component)

    async def plan(self, kind: str = "plan", job_id: str = "job_plan", **given: Any) -> PlanSummary:
        job = self.customer.job(kind, self.component, inputs=INPUTS, **given)
        result = await self.customer.run(job, job_id)
        assert isinstance(result, PlanResult)
        return result.summary

    async def apply(self, kind: str = "apply", job_id: str = "job_plan", **given: Any) -> ApplyResult:
        job = self.customer.job(kind, self.component, plan=job_id, inputs=INPUTS, **given)
        result = await self.customer.run(job, "job_apply")
        assert isinstance(result, ApplyResult)
        return result

    async def deploy(self, manifest: str, **config: Any) -> ApplyResult:
        await self.ship(manifest, **config)
        await self.plan()
        return await self.apply()

    async def destroy(self) -> None:
        await self.plan("plan_destroy", "job_gone")
        await self.apply("destroy", "job_gone")


def actions(summary: PlanSummary) -> dict[str, list[str]]:
    return {change.address: change.actions for change in summary.resources}


async def failure_of(work: Awaitable[JobResult | PlanSummary]) -> Failure:
    with pytest.raises(JobFailedError) as caught:
        await work
    return caught.value.failure


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


async def test_the_inventory_survives_the_loss_of_the_agents_disk(shop: Customer, kubernetes: FakeKubernetes) -> None:
    web = Shop(shop)
    await web.deploy(CONFIG + "---" + WEB)
    shop.site.components.of("web").remove()
    await web.ship(WEB)
    summary = await web.plan()
    assert actions(summary) == {"ConfigMap/default/conf": ["delete"]}
    assert not summary.empty
    assert (await web.apply()).outputs["hosts"] == ["shop.example.com"]


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


async def test_a_namespace_that_is_missing_is_named(shop: Customer, kubernetes: FakeKubernetes) -> None:
    web = Shop(shop, namespace="shop")
    await web.ship(CONFIG)
    failure = await failure_of(web.plan())
    assert failure.code == "namespace_missing"
    assert "'shop'" in failure.message


async def test_what_rbac_forbids_is_named_with_the_rule_that_is_missing(shop: Customer, kubernetes: FakeKubernetes) -> None:
    web = Shop(shop)
    await web.ship(WEB)
    kubernetes.denied = lambda asked: asked.resource == "deployments" and asked.verb == "patch"
    failure = await failure_of(web.plan())
    assert failure.code == "cluster_forbidden"
    assert "may not patch deployments.apps in namespace default" in failure.message
    assert 'apiGroups: ["apps"], resources: ["deployments"]' in failure.remedy


async def test_a_field_that_cant_be_changed_is_an_error_of_the_plan(shop: Customer, kubernetes: FakeKubernetes) -> None:
    web = Shop(shop)
    await web.deploy(MIGRATION % 1)
    await web.ship(MIGRATION % 2)
    failure = await failure_of(web.plan())
    assert failure.code == "immutable_field"
    assert "Job/default/migrate: spec.template" in failure.message


async def test_a_field_of_another_manager_is_a_conflict_unless_the_config_forces_it(
    shop: Customer, kubernetes: FakeKubernetes
) -> None:
    web = Shop(shop)
    await web.deploy(WEB)
    kubernetes.cluster.edit("Deployment", "web", lambda live: live["spec"].update(replicas=5), manager="autoscaler")
    failure = await failure_of(web.plan())
    assert failure.code == "field_conflict"
    assert "spec.replicas by 'autoscaler'" in failure.message
    await web.deploy(WEB, force_conflicts=True)
    deployment = kubernetes.cluster.find("Deployment", "web")
    assert deployment
    assert deployment["spec"]["replicas"] == 2


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


async def test_a_secret_is_nowhere_but_in_the_cluster_and_the_agents_home(shop: Customer, kubernetes: FakeKubernetes) -> None:
    web = Shop(shop)
    await web.ship(SECRET + "---" + CONFIG.replace("hello", '"{{ inputs.password }}"'))
    planned = await shop.run(shop.job("plan", "web", inputs=INPUTS, sensitive={"password": CANARY}), "job_plan")
    applied = await shop.run(
        shop.job("apply", "web", plan="job_plan", inputs=INPUTS, sensitive={"password": CANARY}), "job_apply"
    )
    found = kubernetes.cluster.find("Secret", "login")
    assert found
    assert "colon" in found["data"]
    said = json.dumps([planned.model_dump(mode="json"), applied.model_dump(mode="json"), shop.log])
    assert CANARY not in said
    assert found["data"]["password"] not in said
    # What was there before is as secret as what comes.
    shop.secrets = Redactor()
    job = shop.job("plan", "web", inputs=INPUTS, sensitive={"password": "hummingbird"})
    await shop.run(job, "job_next")
    assert shop.secrets.text(CANARY) == "(sensitive)"


async def test_an_error_of_the_api_server_shows_no_value(shop: Customer, kubernetes: FakeKubernetes) -> None:
    web = Shop(shop)
    fixed = "apiVersion: v1\nkind: Secret\nmetadata: {name: login}\nimmutable: true\nstringData: {a: " + CANARY
    await web.deploy(fixed + "}\n")
    await web.ship(fixed + "b}\n")
    failure = await failure_of(web.plan())
    assert failure.code == "immutable_field"
    assert CANARY not in failure.model_dump_json()


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


def test_an_image_from_elsewhere_is_refused() -> None:
    fetched = FetchedManifests(
        ManifestsConfig(files=("a.yaml",), closure="strict"), {"a.yaml": WEB.encode()}, "registry.example.com/shop/web"
    )
    scope = Scope("ins_1", "acme", INPUTS, lambda _: None, {})
    with pytest.raises(JobFailedError, match=r"web.example.com/shop/web:1 is not in the install's own registry"):
        render_objects(fetched, scope, inline=True)


async def test_a_value_cant_become_structure(shop: Customer, kubernetes: FakeKubernetes) -> None:
    web = Shop(shop)
    await web.ship(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: conf}\ndata:\n  a: {{ inputs.text }}\n  b: x {{ inputs.text }}\n"
    )
    text = 'b"\nkind: Secret\n# {{ inputs.domain }} <&>'
    job = shop.job("plan", "web", inputs={"text": text})
    await shop.run(job, "job_plan")
    await shop.run(shop.job("apply", "web", plan="job_plan", inputs={"text": text}), "job_apply")
    found = kubernetes.cluster.find("ConfigMap", "conf")
    assert found
    assert found["data"] == {"a": text, "b": f"x {text}"}


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


async def test_an_unknown_kind_and_a_wrong_reference_stop_the_plan(shop: Customer, kubernetes: FakeKubernetes) -> None:
    web = Shop(shop)
    await web.ship("apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: one}\n")
    assert (await failure_of(web.plan())).code == "unknown_kind"
    await web.ship(CONFIG.replace("inputs.domain", "inputs.missing"))
    failure = await failure_of(web.plan())
    assert failure.code == "unresolved_reference"
    assert failure.field == "config.manifest"


async def test_a_cluster_that_cant_be_reached_is_a_failure_that_can_be_tried_again(
    shop: Customer, kubernetes: FakeKubernetes
) -> None:
    web = Shop(shop)
    await web.ship(CONFIG)
    kubernetes.intercept = lambda asked: 503
    failure = await failure_of(web.plan())
    assert failure.code == "cluster_unreachable"
    assert failure.retryable


async def test_without_a_cluster_the_agent_says_how_to_give_it_one(account: Customer) -> None:
    web = Shop(account)
    await web.ship(CONFIG)
    failure = await failure_of(web.plan())
    assert failure.code == "no_cluster"
    assert "--kubeconfig" in failure.remedy


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


async def test_a_reference_may_hold_braces_and_a_list_in_a_text_is_refused(shop: Customer, kubernetes: FakeKubernetes) -> None:
    web = Shop(shop)
    await web.deploy(CONFIG.replace("hello", "\"{{ '}}' }} {{ inputs.domain | upper }}\""))
    config = kubernetes.cluster.find("ConfigMap", "conf")
    assert config
    assert config["data"]["greeting"] == "}} EXAMPLE.COM"
    await web.ship(CONFIG.replace("hello", "\"{{ split('.', inputs.domain) }}\""))
    failure = await failure_of(web.plan())
    assert (failure.code, "to_json" in failure.remedy) == ("unresolved_reference", True)
