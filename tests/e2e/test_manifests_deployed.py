"""Manifests from Terraform's `apply` to a cluster and out of it again, by the real programs; `kill -9` while the agent waits.

The cluster is the tests' own API server (`fake_kubernetes`): no real one can run here.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_kubernetes.server import FakeKubernetes
from small_app import SmallApp, open_stage
from stage import Stage, wait_for

CANARY = "canary-manifest-71ab"
APP = """
terraform {
  required_providers {
    exclave = { source = "exclave/exclave" }
  }
}

resource "exclave_app" "this" {
  name = "NAME"
  inputs = {
    replicas = { type = "number" }
    password = { type = "string", sensitive = true }
  }
}

resource "exclave_terraform_module_component" "base" {
  app_id = exclave_app.this.id
  name   = "base"
  path {
    path = "./modules/part"
  }
  variables = { text = "shop.example.com" }
}

resource "exclave_kubernetes_manifest_component" "web" {
  app_id    = exclave_app.this.id
  name      = "web"
  namespace = "shop"
  closure   = "off"
  timeout   = 600
  manifest  = <<-EOT
    apiVersion: v1
    kind: Namespace
    metadata: {name: shop}
    ---
    apiVersion: v1
    kind: Secret
    metadata: {name: login}
    stringData: {password: "{{ inputs.password }}"}
    ---
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
    apiVersion: networking.k8s.io/v1
    kind: Ingress
    metadata: {name: web}
    spec: {rules: [{host: "{{ components.base.outputs.text }}"}]}
  EOT
}

resource "exclave_install" "this" {
  app_id           = exclave_app.this.id
  name             = "NAME"
  inputs           = { replicas = 2 }
  sensitive_inputs = { password = "CANARY" }
}

resource "exclave_release" "this" {
  app_id = exclave_app.this.id
  components = {
    base = exclave_terraform_module_component.base.version
    web  = exclave_kubernetes_manifest_component.web.version
  }
}

resource "exclave_deployment" "this" {
  install_id     = exclave_install.this.id
  release_id     = exclave_release.this.id
  inputs_version = exclave_install.this.inputs_version
}
""".replace("CANARY", CANARY)


@pytest.fixture
def kubernetes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKubernetes]:
    with FakeKubernetes() as running:
        monkeypatch.setenv("KUBECONFIG", str(running.kubeconfig(tmp_path / "kubeconfig")))
        yield running


@pytest.fixture
def stage(tmp_path: Path, kubernetes: FakeKubernetes) -> Iterator[Stage]:
    with open_stage(tmp_path / "vendor") as stage:
        yield stage


def test_an_agent_that_is_killed_while_it_waits_goes_on_when_it_is_started_again(
    stage: Stage, kubernetes: FakeKubernetes
) -> None:
    kubernetes.controllers.set("Deployment", "web", after=None, reason="ContainerCreating")
    app = SmallApp.write(stage, "castle", APP)

    def customer() -> None:
        stage.join("castle")
        wait_for("the Deployment", lambda: kubernetes.cluster.find("Deployment", "web", "shop"))
        stage.processes["castle/agent"].kill()
        kubernetes.controllers.finish("Deployment", "web", "shop")
        stage.start_agent("castle")

    done = app.stage.terraform("apply", "-auto-approve", "-input=false", "-no-color", meanwhile=customer)
    assert done.code == 0, done.output
    assert app.planned() == {}

    web = next(each for each in app.install()["components"] if each["name"] == "web")
    assert web["outputs"]["hosts"] == ["shop.example.com"]
    assert web["outputs"]["namespace"] == "shop"
    assert CANARY not in json.dumps([app.install(), app.deploys(), stage.get("/v1/events?limit=200")])
    assert CANARY not in stage.processes["castle/agent"].log.read_text()
    kept = {path: _content(path) for path in stage.vendor.rglob("*") if path.is_file()}
    assert kept
    assert [path for path, content in kept.items() if CANARY.encode() in content] == []

    kubernetes.cluster.edit("Secret", "login", lambda live: live["data"].pop("password"), "shop")
    drifted = stage.exclave("installs", "drift", "castle")
    assert "1 of 2 components have drifted" in drifted.output, drifted.output
    assert "Secret/shop/login" in drifted.output

    app.run("destroy", "-auto-approve", "-input=false")
    wait_for("the end of the namespace", lambda: kubernetes.cluster.find("Namespace", "shop") is None)


def _content(path: Path) -> bytes:
    """Nothing, if the IMS has removed the file meanwhile."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
