"""What the install agent refuses of manifests, and what nobody gets to see."""

import json

import pytest
from customer import Customer
from fake_kubernetes.server import FakeKubernetes
from shop_of_manifests import CANARY, CONFIG, INPUTS, MIGRATION, SECRET, WEB, Shop, failure_of

from agent.artifact.manifest import ManifestsConfig
from agent.failure import JobFailedError
from agent.install.kubernetes_manifest.artifact import FetchedManifests
from agent.install.kubernetes_manifest.render import render_objects
from agent.install.variables import Scope
from agent.redaction import Redactor

pytestmark = pytest.mark.anyio


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


async def test_an_unknown_kind_and_a_wrong_reference_stop_the_plan(shop: Customer, kubernetes: FakeKubernetes) -> None:
    web = Shop(shop)
    await web.ship("apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: one}\n")
    assert (await failure_of(web.plan())).code == "unknown_kind"
    await web.ship(CONFIG.replace("inputs.domain", "inputs.missing"))
    failure = await failure_of(web.plan())
    assert failure.code == "unresolved_reference"
    assert failure.field == "config.manifest"


async def test_without_a_cluster_the_agent_says_how_to_give_it_one(account: Customer) -> None:
    web = Shop(account)
    await web.ship(CONFIG)
    failure = await failure_of(web.plan())
    assert failure.code == "no_cluster"
    assert "--kubeconfig" in failure.remedy


async def test_a_reference_may_hold_braces_and_a_list_in_a_text_is_refused(shop: Customer, kubernetes: FakeKubernetes) -> None:
    web = Shop(shop)
    await web.deploy(CONFIG.replace("hello", "\"{{ '}}' }} {{ inputs.domain | upper }}\""))
    config = kubernetes.cluster.find("ConfigMap", "conf")
    assert config
    assert config["data"]["greeting"] == "}} EXAMPLE.COM"
    await web.ship(CONFIG.replace("hello", "\"{{ split('.', inputs.domain) }}\""))
    failure = await failure_of(web.plan())
    assert (failure.code, "to_json" in failure.remedy) == ("unresolved_reference", True)
