"""`closure`, proven: the customer's side reaches the IMS and its own registry, and a packet to anywhere else fails the test."""

import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx
import pytest
from anyio.from_thread import start_blocking_portal
from cut_off import CutOff, works
from engineer import apply, destroy, plan
from fake_kubernetes.cluster import How
from fake_kubernetes.server import FakeKubernetes
from helm_program import helm
from images import push_image
from registry_server import RegistryServer, debian_registry
from stage import ROOT, Stage, wait_for

from agent.bundle.platform import current_platform

pytestmark = pytest.mark.skipif(not works(), reason="a network of one's own takes root and /dev/net/tun")

PROVIDER = Path(__file__).parent / "files_provider" / "files_provider.py"
APPLY = ("apply", "-no-color", "-auto-approve", "-input=false")
ADDRESS = "registry.terraform.io/example/files"

MAIN = """
terraform {
  required_providers {
    exclave = { source = "exclave/exclave" }
  }
}

variable "content" { type = string }

resource "exclave_app" "notes" {
  name   = "notes"
  inputs = { content = { type = "string" } }
}

resource "exclave_terraform_module_component" "page" {
  app_id        = exclave_app.notes.id
  name          = "page"
  bundle_engine = "always"
  variables     = { path = "PATH", content = provider::exclave::input("content") }
  path { path = "${path.module}/page" }
}

resource "exclave_release" "current" {
  app_id     = exclave_app.notes.id
  components = { page = exclave_terraform_module_component.page.version }
}

resource "exclave_install" "acme" {
  app_id     = exclave_app.notes.id
  name       = "acme"
  inputs     = { content = var.content }
  depends_on = [exclave_terraform_module_component.page]
}

resource "exclave_deployment" "acme" {
  install_id     = exclave_install.acme.id
  release_id     = exclave_release.current.id
  inputs_version = exclave_install.acme.inputs_version
}
"""

PAGE = """
terraform {
  required_providers {
    files = { source = "example/files" }
  }
}
variable "path" { type = string }
variable "content" { type = string }
resource "files_file" "page" {
  path    = var.path
  content = var.content
}
output "path" { value = files_file.page.path }
"""


CHART_MAIN = """
terraform {
  required_providers {
    exclave = { source = "exclave/exclave" }
  }
}

variable "colour" { type = string }

resource "exclave_app" "shop" {
  name   = "shop"
  inputs = { colour = { type = "string" } }
}

resource "exclave_helm_chart_component" "web" {
  app_id    = exclave_app.shop.id
  name      = "web"
  namespace = "shop"
  values    = { colour = provider::exclave::input("colour") }
  path { path = "${path.module}/web" }
}

resource "exclave_release" "current" {
  app_id     = exclave_app.shop.id
  components = { web = exclave_helm_chart_component.web.version }
}

resource "exclave_install" "acme" {
  app_id     = exclave_app.shop.id
  name       = "acme"
  inputs     = { colour = var.colour }
  depends_on = [exclave_helm_chart_component.web]
}

resource "exclave_deployment" "acme" {
  install_id     = exclave_install.acme.id
  release_id     = exclave_release.current.id
  inputs_version = exclave_install.acme.inputs_version
}
"""

CHART = {
    "Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\n",
    "values.yaml": "colour: none\n",
    "templates/deployment.yaml": """
apiVersion: apps/v1
kind: Deployment
metadata: { name: {{ .Release.Name }}, namespace: {{ .Release.Namespace }} }
spec:
  replicas: 2
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      initContainers:
        - { name: migrate, image: "REGISTRY/acme/migrate:1" }
      containers:
        - { name: web, image: "REGISTRY/acme/web:1", env: [{ name: COLOUR, value: {{ .Values.colour | quote }} }] }
        - { name: proxy, image: "REGISTRY/acme/proxy:1" }
""",
}


@pytest.fixture
def network() -> Iterator[CutOff]:
    with CutOff() as network:
        yield network
        assert network.strays == []


@contextmanager
def vendors(folder: Path, network: CutOff) -> Iterator[Stage]:
    """A vendor whose customers' programs run in the network that is cut off."""
    stage = Stage(folder / "stage", lease_seconds=4)
    stage.around = lambda name, command: network.command(*command) if "/" in name else command
    try:
        stage.start_ims()
        stage.install_provider()
        network.let_in(int(stage.url.rpartition(":")[2]))
        yield stage
    finally:
        stage.remove()


@pytest.fixture
def vendor(tmp_path: Path, network: CutOff) -> Iterator[Stage]:
    with vendors(tmp_path, network) as stage:
        yield stage


def open_folder(stage: Stage, main: str) -> None:
    """Write a configuration into the vendor engineer's folder, and initialise it."""
    stage.work.mkdir(parents=True, exist_ok=True)
    (stage.work / "main.tf").write_text(main)
    done = stage.terraform("init", "-no-color", "-input=false")
    assert done.code == 0, done.output


def offer_provider(stage: Stage) -> None:
    """Put a small provider of our own framework where the build agent's engine finds providers."""
    folder = stage.home / ".terraform.d" / "plugins" / ADDRESS / "1.0.0" / str(current_platform())
    folder.mkdir(parents=True)
    program = folder / "terraform-provider-files_v1.0.0"
    program.write_text(f"#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} {PROVIDER}\n")
    program.chmod(0o755)


@pytest.fixture
def images(tmp_path: Path) -> Iterator[str]:
    """A registry on the vendor's side, with the images of the chart; its address."""
    if shutil.which("docker-registry") is None:
        pytest.skip("docker-registry is not installed (apt-get install docker-registry)")

    async def push(server: RegistryServer) -> None:
        for name in ("migrate", "web", "proxy"):
            await push_image(server, f"acme/{name}", "1", content=name)

    (tmp_path / "images").mkdir()

    @asynccontextmanager
    async def registry() -> AsyncIterator[RegistryServer]:
        async with httpx.AsyncClient() as http, debian_registry(tmp_path / "images", http) as server:
            yield server

    with start_blocking_portal() as portal, portal.wrap_async_context_manager(registry()) as server:
        portal.call(push, server)
        yield server.url.removeprefix("http://")


@pytest.fixture
def kubernetes(network: CutOff) -> Iterator[FakeKubernetes]:
    """The customer's cluster, in the network that is cut off."""
    fake = FakeKubernetes()
    network.inside(fake.__enter__)
    try:
        yield fake
    finally:
        fake.__exit__()


def with_cluster(stage: Stage, kubeconfig: Path) -> None:
    """Play a customer who has a cluster."""
    wait_for("install acme", lambda: stage.find("/v1/installs/acme"))
    stage.start_registry("acme")
    stage.enroll("acme")
    stage.start_agent("acme", "--kubeconfig", str(kubeconfig))


def test_what_strays_is_caught(network: CutOff) -> None:
    reach = "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(b'x', ('198.51.100.7', 443))"
    subprocess.run(network.command(sys.executable, "-c", reach), check=True)
    wait_for("the packet", lambda: network.strays)
    assert network.strays.pop() == "protocol 17 to 198.51.100.7, port 443"


def test_the_quickstart_is_deployed_and_destroyed(vendor: Stage) -> None:
    open_folder(vendor, (vendor.copy_quickstart() / "main.tf").read_text())
    done = apply(vendor, join="acme")
    assert done.code == 0, done.output
    assert plan(vendor).code == 0
    done = destroy(vendor)
    assert done.code == 0, done.output


def test_a_module_with_a_provider_is_deployed_looked_at_and_destroyed(vendor: Stage) -> None:
    offer_provider(vendor)
    page = vendor.folder / "page.html"
    (vendor.work / "page").mkdir(parents=True)
    (vendor.work / "page" / "main.tf").write_text(PAGE)
    open_folder(vendor, MAIN.replace("PATH", str(page)))

    done = apply(vendor, join="acme", content="one")
    assert done.code == 0, done.output
    assert page.read_text() == "one"

    page.write_text("somebody else's")
    seen = vendor.exclave("installs", "drift", "acme")
    assert (seen.code, "files_file.page" in seen.output) == (1, True), seen.output
    done = apply(vendor, content="two")
    assert done.code == 0, done.output
    assert page.read_text() == "two"

    done = destroy(vendor, content="two")
    assert done.code == 0, done.output
    assert not page.exists()


def test_a_chart_with_three_images_is_deployed_looked_at_and_destroyed(
    tmp_path: Path, network: CutOff, images: str, kubernetes: FakeKubernetes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{Path(helm()).parent}{os.pathsep}{os.environ['PATH']}")
    with vendors(tmp_path, network) as stage:
        for name, text in CHART.items():
            (stage.work / "web" / name).parent.mkdir(parents=True, exist_ok=True)
            (stage.work / "web" / name).write_text(text.replace("REGISTRY", images))
        open_folder(stage, CHART_MAIN)
        kubernetes.cluster.create(kubernetes.cluster.of("Namespace"), {"metadata": {"name": "shop"}}, "", How())
        kubeconfig = kubernetes.kubeconfig(tmp_path / "kubeconfig")

        done = stage.terraform(*APPLY, variables={"colour": "red"}, meanwhile=lambda: with_cluster(stage, kubeconfig))
        assert done.code == 0, done.output
        own = (stage.customer("acme") / "registry.port").read_text().strip()
        names, digests = zip(*(image.split("@") for image in images_of(kubernetes)), strict=True)
        assert (set(names), len(set(digests))) == ({f"127.0.0.1:{own}/shop/web"}, 3)

        kubernetes.cluster.edit("Deployment", "web", lambda obj: obj["spec"].update(replicas=7), "shop")
        seen = stage.exclave("installs", "drift", "acme")
        assert (seen.code, "Deployment" in seen.output) == (1, True), seen.output
        done = apply(stage, colour="blue")
        assert done.code == 0, done.output
        found = kubernetes.cluster.find("Deployment", "web", "shop")
        assert found
        assert found["spec"]["replicas"] == 2
        assert found["spec"]["template"]["spec"]["containers"][0]["env"] == [{"name": "COLOUR", "value": "blue"}]

        done = destroy(stage, colour="blue")
        assert done.code == 0, done.output
        assert kubernetes.cluster.find("Deployment", "web", "shop") is None


def images_of(kubernetes: FakeKubernetes) -> list[str]:
    """What the pods of the deployment run."""
    found = kubernetes.cluster.find("Deployment", "web", "shop")
    assert found
    pod = found["spec"]["template"]["spec"]
    return [container["image"] for container in (*pod["initContainers"], *pod["containers"])]
