"""The fake API server itself: what its other users count on, with Kubernetes' own clients where they are installed."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_kubernetes.answers import Refused
from fake_kubernetes.cluster import How
from fake_kubernetes.server import FakeKubernetes
from helm_program import helm, kubectl

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: nginx, ports: [{containerPort: 80}]}]}
"""
DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: shelves.shop.example.com}
spec:
  group: shop.example.com
  scope: Namespaced
  names: {plural: shelves, singular: shelf, kind: Shelf}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}
"""
SHELF = """
apiVersion: shop.example.com/v1
kind: Shelf
metadata: {name: one}
spec: {size: 3}
"""


@pytest.fixture
def cluster() -> Iterator[FakeKubernetes]:
    with FakeKubernetes() as running:
        yield running


@pytest.fixture
def run(cluster: FakeKubernetes, tmp_path: Path):
    config = cluster.kubeconfig(tmp_path / "kubeconfig")
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "KUBECONFIG": str(config)}

    def call(*argv: str, given: str = "") -> str:
        done = subprocess.run(
            argv, env=env, input=given, capture_output=True, text=True, timeout=240, cwd=tmp_path, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    return call


def test_kubectl_applies_waits_and_deletes(cluster: FakeKubernetes, run) -> None:
    program = kubectl()
    cluster.controllers.set("Deployment", "web", after=0.5)
    assert "created" in run(program, "apply", "-f", "-", given=WEB)
    assert "successfully rolled out" in run(program, "rollout", "status", "deploy/web", "--timeout=200s")
    assert "unchanged" in run(program, "apply", "-f", "-", given=WEB)
    assert run(program, "diff", "-f", "-", given=WEB) == ""
    run(program, "delete", "deploy/web", "--wait")
    assert not cluster.cluster.names("Pod")
    assert "yes" in run(program, "auth", "can-i", "create", "deployments")


def test_kubectl_makes_a_definition_and_its_resource(cluster: FakeKubernetes, run) -> None:
    program = kubectl()
    run(program, "apply", "-f", "-", given=DEFINITION)
    run(program, "wait", "--for=condition=Established", "crd/shelves.shop.example.com", "--timeout=200s")
    run(program, "apply", "--server-side", "-f", "-", given=SHELF)
    assert "one" in run(program, "get", "shelves")
    run(program, "delete", "crd", "shelves.shop.example.com")
    with pytest.raises(StopIteration):
        cluster.cluster.of("Shelf")


@pytest.mark.parametrize("way", ["--server-side=true", "--server-side=false"])
def test_helm_installs_upgrades_and_uninstalls(cluster: FakeKubernetes, run, way: str) -> None:
    program = helm()
    run(program, "create", "chart")
    run(program, "install", "one", "chart", "-n", "shop", "--create-namespace", "--wait", "--timeout", "200s", way)
    run(program, "upgrade", "one", "chart", "-n", "shop", "--set", "replicaCount=3", "--wait", "--timeout", "200s", way)
    assert len(cluster.cluster.names("Pod", "shop")) == 3
    assert [name for name in cluster.cluster.names("Secret", "shop")] == [
        "sh.helm.release.v1.one.v1",
        "sh.helm.release.v1.one.v2",
    ]
    run(program, "uninstall", "one", "-n", "shop", "--wait")
    assert cluster.cluster.names("Secret", "shop") == []


def config_map(**data: str):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "conf"}, "data": data}


def test_an_apply_owns_what_it_says_and_gives_up_what_it_leaves_out(cluster: FakeKubernetes) -> None:
    store, maps = cluster.cluster, cluster.cluster.of("ConfigMap")
    first = How("one", operation="Apply")
    store.apply(maps, config_map(a="1", b="2"), "default", "conf", first)
    store.apply(maps, config_map(c="3"), "default", "conf", How("two", operation="Apply"))
    store.apply(maps, config_map(b="2"), "default", "conf", first)
    found = store.find("ConfigMap", "conf")
    assert found
    assert found["data"] == {"b": "2", "c": "3"}
    before = found["metadata"]["resourceVersion"]
    store.apply(maps, config_map(b="2"), "default", "conf", first)
    assert store.find("ConfigMap", "conf")["metadata"]["resourceVersion"] == before


def test_a_field_of_another_manager_is_a_conflict_unless_it_is_forced(cluster: FakeKubernetes) -> None:
    store, maps = cluster.cluster, cluster.cluster.of("ConfigMap")
    store.apply(maps, config_map(a="1"), "default", "conf", How("one", operation="Apply"))
    with pytest.raises(Refused) as caught:
        store.apply(maps, config_map(a="2"), "default", "conf", How("two", operation="Apply"))
    assert caught.value.status["message"] == 'Apply failed with 1 conflict: conflict with "one" using v1: .data.a'
    assert caught.value.status["details"]["causes"][0]["field"] == ".data.a"
    store.apply(maps, config_map(a="2"), "default", "conf", How("two", operation="Apply", force=True))
    assert store.find("ConfigMap", "conf")["data"] == {"a": "2"}


def test_a_finalizer_holds_an_object_until_it_is_taken_away(cluster: FakeKubernetes) -> None:
    store, maps = cluster.cluster, cluster.cluster.of("ConfigMap")
    obj = config_map(a="1")
    obj["metadata"]["finalizers"] = ["example.com/hold"]
    store.create(maps, obj, "default", How())
    store.delete(maps, "default", "conf", {}, How())
    assert store.find("ConfigMap", "conf")["metadata"]["deletionTimestamp"]
    store.edit("ConfigMap", "conf", lambda live: live["metadata"].pop("finalizers"))
    assert store.find("ConfigMap", "conf") is None
