"""Charts in a customer's cluster, with each helm: what a plan says, and that what it rendered is what helm applies."""

from typing import Any

import pytest
from charts import CONFIG_MAP, Cluster
from images import push_image
from registry_server import RegistryServer

from agent.failure import JobFailedError
from api.contract.agents import PlanResult

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("program", ["helm 4", "helm 3"], indirect=True)]

DEPLOYMENT = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: web
          image: nginx:1.27
          resources: {limits: {cpu: 1000m, memory: 1024Mi}}
          env: [{name: EMPTY}, {name: COLOUR, value: {{ .Values.colour }}}]
"""
HOOK = """apiVersion: batch/v1
kind: Job
metadata:
  name: migrate
  annotations: {"helm.sh/hook": "pre-install,pre-upgrade", "helm.sh/hook-delete-policy": before-hook-creation}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{name: migrate, image: "nginx:1.27", args: [{{ .Values.colour | quote }}]}]
"""
ROLE = """apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: web}
rules: [{apiGroups: [""], resources: [secrets], verbs: [get]}]
"""
CRD = """apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.acme.example}
spec:
  group: acme.example
  names: {kind: Widget, plural: widgets, singular: widget, listKind: WidgetList}
  scope: Namespaced
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"""
WIDGET = """apiVersion: acme.example/v1
kind: Widget
metadata: {name: web}
spec:
  known: {{ .Capabilities.APIVersions.Has "acme.example/v1/Widget" }}
  version: {{ .Capabilities.KubeVersion.Version }}
"""


async def test_a_first_install(cluster: Cluster) -> None:
    await cluster.release({"templates/config.yaml": CONFIG_MAP}, values={"colour": "blue"})
    planned = await cluster.plan()
    assert [(each.address, each.actions) for each in planned.summary.resources] == [("ConfigMap/default/web", ["create"])]
    assert cluster.kubernetes.writes() == []
    result = await cluster.apply()
    assert cluster.config_map() == {"colour": "blue"}
    assert result.outputs == {"release_name": "web", "namespace": "default", "chart_version": "1.2.3", "app_version": "7"}
    assert cluster.history() == [(1, "deployed")]
    assert cluster.helm("get", "values", "web", "-o", "json") == {"colour": "blue"}


async def test_an_upgrade_names_the_fields_that_change_and_what_goes(cluster: Cluster) -> None:
    await cluster.release(
        {"templates/config.yaml": CONFIG_MAP, "templates/web.yaml": DEPLOYMENT, "templates/old.yaml": CONFIG_MAP.replace(
            "name: {{ .Release.Name }}", "name: old"
        )}, closure="off",
    )  # fmt: skip
    await cluster.deploy()
    (cluster.source / "templates/old.yaml").unlink()
    await cluster.release({}, values={"colour": "blue"}, closure="off")
    assert await cluster.changes() == [
        ("Deployment/default/web", ["update"], ["spec.template.spec.containers[web].env[COLOUR].value"]),
        ("ConfigMap/default/web", ["update"], ["data.colour"]),
        ("ConfigMap/default/old", ["delete"], []),
    ]
    await cluster.apply("job_again")
    assert cluster.kubernetes.cluster.find("ConfigMap", "old") is None
    assert cluster.history() == [(1, "superseded"), (2, "deployed")]


async def test_a_plan_of_what_runs_is_empty(cluster: Cluster) -> None:
    """The server writes some of it in its own way, and helm adds to it."""
    files = {"templates/config.yaml": CONFIG_MAP, "templates/web.yaml": DEPLOYMENT, "templates/hook.yaml": HOOK}
    await cluster.release(files, closure="off")
    await cluster.deploy()
    assert (await cluster.plan(job_id="job_again")).summary.empty


async def test_drift_is_found_and_mended(cluster: Cluster) -> None:
    await cluster.release({"templates/config.yaml": CONFIG_MAP, "templates/web.yaml": DEPLOYMENT}, closure="off")
    await cluster.deploy()

    def scale(obj: Any) -> None:
        obj["spec"]["replicas"] = 5

    cluster.kubernetes.cluster.edit("Deployment", "web", scale)
    assert await cluster.changes() == [("Deployment/default/web", ["update"], ["spec.replicas"])]
    await cluster.apply("job_again")
    found = cluster.kubernetes.cluster.find("Deployment", "web")
    assert found is not None
    assert found["spec"]["replicas"] == 2
    assert await cluster.changes("job_third") == []


async def test_what_was_random_at_the_plan_is_what_is_applied(cluster: Cluster) -> None:
    """`saved-plan`."""
    text = (
        CONFIG_MAP + "  random: {{ randAlphaNum 20 }}\n  time: {{ now | unixEpoch | quote }}\n  braces: '{{ \"{{ .x }}\" }}'\n"
    )
    await cluster.release({"templates/config.yaml": text})
    await cluster.deploy()
    first = cluster.config_map()
    assert first["braces"] == "{{ .x }}"
    assert await cluster.apply() is not None  # the job again: the plan was applied, and is not applied twice
    assert (cluster.config_map(), cluster.history()) == (first, [(1, "deployed")])
    assert [fields for _, _, fields in await cluster.changes() if "data.random" in fields]


async def test_a_value_that_the_cluster_keeps_is_looked_up(cluster: Cluster) -> None:
    """As charts keep the passwords that they have made."""
    text = (
        '{{ $old := lookup "v1" "ConfigMap" .Release.Namespace .Release.Name }}\n'
        + CONFIG_MAP
        + "  password: {{ if $old }}{{ $old.data.password }}{{ else }}{{ randAlphaNum 20 }}{{ end }}\n"
    )
    await cluster.release({"templates/config.yaml": text})
    await cluster.deploy()
    assert await cluster.changes() == []


async def test_hooks_run_with_each_apply_and_a_changed_one_makes_a_plan(cluster: Cluster) -> None:
    await cluster.release({"templates/hook.yaml": HOOK}, closure="off")
    assert await cluster.changes("job_plan") == [("Job/default/migrate (hook)", ["create"], [])]
    await cluster.apply()
    assert cluster.kubernetes.cluster.find("Job", "migrate") is not None
    await cluster.release({}, values={"colour": "blue"}, closure="off")
    fields = ["spec.template.spec.containers[migrate].args"]
    assert await cluster.changes() == [("Job/default/migrate (hook)", ["update"], fields)]


async def test_a_failing_hook_fails_the_apply_and_rolls_it_back(cluster: Cluster) -> None:
    await cluster.release({"templates/hook.yaml": HOOK, "templates/config.yaml": CONFIG_MAP}, closure="off", atomic=True)
    await cluster.deploy()
    cluster.kubernetes.controllers.set("Job", "migrate", fails=True)
    await cluster.release({}, values={"colour": "blue"}, closure="off", atomic=True)
    await cluster.plan(job_id="job_again")
    with pytest.raises(JobFailedError) as failed:
        await cluster.apply("job_again")
    assert failed.value.failure.code == "apply_failed"
    assert "migrate" in failed.value.failure.message
    assert cluster.config_map() == {"colour": "red"}
    assert cluster.history()[-1][1] == "deployed"


async def test_a_failed_apply_makes_the_next_plan(cluster: Cluster) -> None:
    await cluster.release({"templates/hook.yaml": HOOK}, closure="off")
    cluster.kubernetes.controllers.set("Job", "migrate", fails=True)
    with pytest.raises(JobFailedError):
        await cluster.deploy()
    cluster.kubernetes.controllers.set("Job", "migrate")
    assert ("release/web", ["update"], ["status"]) in await cluster.changes()
    await cluster.apply("job_again")
    assert cluster.history()[-1] == (2, "deployed")


async def test_a_chart_brings_its_own_kinds(cluster: Cluster) -> None:
    await cluster.release({"crds/widgets.yaml": CRD, "templates/widget.yaml": WIDGET})
    assert await cluster.changes("job_plan") == [
        ("CustomResourceDefinition/widgets.acme.example", ["create"], []),
        ("Widget/default/web", ["create"], []),
    ]
    await cluster.apply()
    widget = cluster.kubernetes.cluster.find("Widget", "web")
    assert widget is not None
    assert widget["spec"] == {"known": True, "version": "v1.34.0"}
    assert await cluster.changes() == []


async def test_the_images_are_the_installs_own(cluster: Cluster, debian: RegistryServer) -> None:
    host = debian.url.removeprefix("http://")
    for name in ("init", "web", "sidecar"):
        await push_image(debian, f"team/{name}", "1", content=name)
    deployment = (
        DEPLOYMENT.replace("nginx:1.27", f"{host}/team/web:1").replace(
            "      containers:", f"      initContainers: [{{name: init, image: {host}/team/init:1}}]\n      containers:"
        )
        + f'          args: ["--sidecar={host}/team/sidecar:1"]\n'
    )
    await cluster.release({"templates/web.yaml": deployment})
    await cluster.deploy()
    found = cluster.kubernetes.cluster.find("Deployment", "web")
    assert found is not None
    pod = found["spec"]["template"]["spec"]
    ours = f"{cluster.account.registry.url.removeprefix('http://')}/shop/web@"
    named = [pod["initContainers"][0]["image"], pod["containers"][0]["image"], pod["containers"][0]["args"][0]]
    assert [each.removeprefix("--sidecar=").startswith(ours) for each in named] == [True] * 3
    digests = {each.partition("@")[2] for each in named}
    assert len(digests) == 3
    for digest in digests:
        assert await cluster.account.registry.client().manifest_digest("shop/web", digest) == digest
    assert host not in cluster.helm("get", "manifest", "web")


async def test_a_destruction_names_what_goes_and_leaves_what_is_to_be_kept(cluster: Cluster) -> None:
    kept = CONFIG_MAP.replace("name: {{ .Release.Name }}", 'name: kept\n  annotations: {"helm.sh/resource-policy": keep}')
    await cluster.release({"templates/config.yaml": CONFIG_MAP, "templates/kept.yaml": kept})
    await cluster.deploy()
    planned = await cluster.plan("plan_destroy", "job_end")
    assert [(each.address, each.actions) for each in planned.summary.resources] == [
        ("ConfigMap/default/kept", ["forget"]),
        ("ConfigMap/default/web", ["delete"]),
    ]
    assert planned.summary.destroy == 1
    assert any("ConfigMap/default/kept stays" in line for line in cluster.account.log)
    await cluster.apply("job_end", "destroy")
    assert cluster.kubernetes.cluster.find("ConfigMap", "web") is None
    assert cluster.kubernetes.cluster.find("ConfigMap", "kept") is not None
    assert not cluster.account.home("web").exists()
    assert cluster.helm("list", "-o", "json") == []
    assert (await cluster.plan("plan_destroy", "job_never")).summary.empty


async def test_the_release_and_its_workloads_say_how_the_component_is(cluster: Cluster) -> None:
    await cluster.release({"templates/config.yaml": CONFIG_MAP, "templates/web.yaml": DEPLOYMENT}, closure="off")
    await cluster.plan()
    applied = await cluster.apply()
    assert applied.health
    assert {check.name: check.status for check in applied.health.checks} == {
        "release/web": "healthy",
        "Deployment/default/web": "healthy",
    }

    def ask_for_more(obj: Any) -> None:
        obj["spec"]["replicas"] = 9

    cluster.kubernetes.controllers.set("Deployment", "web", after=None)
    cluster.kubernetes.cluster.edit("Deployment", "web", ask_for_more)
    job = cluster.account.job("plan", "web").model_copy(update={"look_at_health": True})
    looked = await cluster.account.run(job, "job_look")
    assert isinstance(looked, PlanResult)
    assert looked.health
    assert looked.health.reason.startswith("Deployment/default/web: ")
    assert "of 9 replicas are" in looked.health.reason


async def test_the_customers_rules_see_the_objects_of_a_release(cluster: Cluster) -> None:
    rules = "[{use: no-iam-changes}, {name: no jobs, types: [Job], actions: [create]}, {name: keep, actions: [delete]}]"
    policy = cluster.account.site.approvals.home / "policy.yaml"
    policy.write_text(f"version: 1\nrules: {rules}\n")
    await cluster.release(
        {"templates/config.yaml": CONFIG_MAP, "templates/role.yaml": ROLE, "templates/hook.yaml": HOOK}, closure="off"
    )
    with pytest.raises(JobFailedError, match=r"'no-iam-changes' \(Role/default/web\); rule 'no jobs' \(Job/default"):
        await cluster.plan()
    policy.unlink()
    await cluster.deploy()
    policy.write_text(f"version: 1\nrules: {rules}\n")
    (cluster.source / "templates/config.yaml").unlink()
    await cluster.release({}, closure="off")
    with pytest.raises(JobFailedError, match=r"rule 'keep' \(ConfigMap/default/web\)"):
        await cluster.plan(job_id="job_again")
