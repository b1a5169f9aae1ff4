"""`closure`, proven: the customer's side reaches the IMS and its own registry, and a packet to anywhere else fails the test."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cut_off import CutOff, works
from engineer import apply, destroy, open_quickstart, plan
from stage import ROOT, Stage, wait_for

from agent.bundle.platform import current_platform

pytestmark = pytest.mark.skipif(not works(), reason="a network of one's own takes root and /dev/net/tun")

PROVIDER = Path(__file__).parent / "files_provider" / "files_provider.py"
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


@pytest.fixture
def network() -> Iterator[CutOff]:
    with CutOff() as network:
        yield network
        assert network.strays == []


@pytest.fixture
def vendor(tmp_path: Path, network: CutOff) -> Iterator[Stage]:
    """A vendor whose customers' programs run in the network that is cut off."""
    stage = Stage(tmp_path / "stage", lease_seconds=4)
    stage.around = lambda name, command: network.command(*command) if "/" in name else command
    try:
        open_quickstart(stage)
        network.let_in(int(stage.url.rpartition(":")[2]))
        yield stage
    finally:
        stage.remove()


def offer_provider(stage: Stage) -> None:
    """Put a small provider of our own framework where the build agent's engine finds providers."""
    folder = stage.home / ".terraform.d" / "plugins" / ADDRESS / "1.0.0" / str(current_platform())
    folder.mkdir(parents=True)
    program = folder / "terraform-provider-files_v1.0.0"
    program.write_text(f"#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} {PROVIDER}\n")
    program.chmod(0o755)


def test_what_strays_is_caught(network: CutOff) -> None:
    reach = "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(b'x', ('198.51.100.7', 443))"
    subprocess.run(network.command(sys.executable, "-c", reach), check=True)
    wait_for("the packet", lambda: network.strays)
    assert network.strays.pop() == "protocol 17 to 198.51.100.7, port 443"


def test_the_quickstart_is_deployed_and_destroyed(vendor: Stage) -> None:
    done = apply(vendor, join="acme")
    assert done.code == 0, done.output
    assert plan(vendor).code == 0
    done = destroy(vendor)
    assert done.code == 0, done.output


def test_a_module_with_a_provider_is_deployed_looked_at_and_destroyed(vendor: Stage) -> None:
    offer_provider(vendor)
    page = vendor.folder / "page.html"
    shutil.rmtree(vendor.work)
    (vendor.work / "page").mkdir(parents=True)
    (vendor.work / "main.tf").write_text(MAIN.replace("PATH", str(page)))
    (vendor.work / "page" / "main.tf").write_text(PAGE)
    done = vendor.terraform("init", "-no-color", "-input=false")
    assert done.code == 0, done.output

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
