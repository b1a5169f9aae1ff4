"""A small app, written as a vendor engineer would: two components of one module, an install, a release, a deployment."""

import copy
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engineer import replace
from stage import Finished, Stage

MODULE = """
variable "text" {
  type    = string
  default = ""
}

variable "secret" {
  type      = string
  default   = ""
  sensitive = true
}

resource "terraform_data" "part" {
  input = var.text
}

output "text" {
  value = terraform_data.part.output
}

output "secret" {
  value     = var.secret
  sensitive = true
}
"""

MAIN = """
terraform {
  required_providers {
    exclave = { source = "exclave/exclave" }
  }
}

resource "exclave_app" "this" {
  name        = "NAME"
  description = "first"
  inputs = {
    colour = { type = "string" }
    secret = { type = "string", sensitive = true }
  }
}

resource "exclave_terraform_module_component" "base" {
  app_id    = exclave_app.this.id
  name      = "base"
  path {
    path = "./modules/part"
  }
  variables = { text = "{{ install.name }}" }
}

resource "exclave_terraform_module_component" "site" {
  app_id = exclave_app.this.id
  name   = "site"
  path {
    path = "./modules/part"
  }
  variables = {
    text   = "{{ inputs.colour }} on {{ components.base.outputs.text }}"
    secret = "{{ inputs.secret }}"
  }
}

resource "exclave_install" "this" {
  app_id           = exclave_app.this.id
  name             = "NAME"
  inputs           = { colour = "green" }
  sensitive_inputs = { secret = "first" }
}
"""

DEPLOYED = """
resource "exclave_release" "this" {
  app_id = exclave_app.this.id
  components = {
    base = exclave_terraform_module_component.base.version
    site = exclave_terraform_module_component.site.version
  }
}

resource "exclave_deployment" "this" {
  install_id     = exclave_install.this.id
  release_id     = exclave_release.this.id
  inputs_version = exclave_install.this.inputs_version
}
"""

APP = "exclave_app.this"
BASE = "exclave_terraform_module_component.base"
SITE = "exclave_terraform_module_component.site"
INSTALL = "exclave_install.this"
RELEASE = "exclave_release.this"
DEPLOYMENT = "exclave_deployment.this"


@contextmanager
def open_stage(folder: Path) -> Iterator[Stage]:
    """An IMS with its build agent, and the provider installed."""
    stage = Stage(folder / "stage", lease_seconds=4)
    try:
        stage.start_ims()
        stage.install_provider()
        yield stage
    finally:
        stage.remove()


@dataclass(frozen=True)
class SmallApp:
    """One app of the stage's vendor in a Terraform folder of its own. The install has the app's name."""

    stage: Stage
    name: str

    @classmethod
    def write(cls, stage: Stage, name: str, text: str, *, folder: str = "") -> "SmallApp":
        """Write `text` for the app `name`, with its module, and initialise the folder."""
        own = copy.copy(stage)  # the same processes, another folder
        own.work = stage.folder / "work" / (folder or name)
        (own.work / "modules" / "part").mkdir(parents=True)
        (own.work / "modules" / "part" / "main.tf").write_text(MODULE)
        (own.work / "main.tf").write_text(text.replace("NAME", name))
        app = cls(own, name)
        app.run("init", "-input=false")
        return app

    def edit(self, old: str, new: str) -> None:
        """Edit the definition."""
        replace(self.stage.work / "main.tf", old, new)

    def start(self, *arguments: str, join: bool = False) -> Finished:
        """Run Terraform to its end, well or not; with `join`, the customer starts an agent meanwhile."""
        return self.stage.terraform(*arguments, meanwhile=(lambda: self.stage.join(self.name)) if join else None)

    def run(self, *arguments: str, join: bool = False) -> str:
        """Run Terraform, which must end well. Returns what it says."""
        done = self.start(*arguments, "-no-color", join=join)
        assert done.code == 0, done.output
        return done.output

    def apply(self, *, join: bool = False) -> str:
        """Apply, which must end well."""
        return self.run("apply", "-auto-approve", "-input=false", join=join)

    def refused(self, verb: str = "apply") -> str:
        """Apply (or destroy), which must fail. Returns the words of the errors, without frames and line breaks."""
        done = self.start(verb, "-auto-approve", "-input=false", "-no-color")
        assert done.code == 1, done.output
        return " ".join(re.sub("[│╷╵]", " ", done.output).split())

    def planned(self) -> dict[str, str]:
        """What a plan would do, by address: `created`, `updated`, `replaced`, `destroyed` or `imported`."""
        done = self.start("plan", "-input=false", "-detailed-exitcode", "-no-color")
        assert done.code in (0, 2), done.output
        changes = dict(re.findall(r"^ +# (\S+) (?:will|must) be (\w+)", done.output, re.MULTILINE))
        assert (done.code == 2) == bool(changes), done.output
        return changes

    def get(self, path: str = "") -> dict:
        """GET something of the app from the IMS."""
        found = self.stage.get(f"/v1/apps/{self.name}{path}")
        assert isinstance(found, dict)
        return found

    def install(self) -> dict:
        """The install, as the IMS has it."""
        found = self.stage.get(f"/v1/installs/{self.name}")
        assert isinstance(found, dict)
        return found

    def deploys(self) -> list[dict]:
        """All deploys of the install, oldest first."""
        items = self.stage.get(f"/v1/deploys?install={self.name}")["items"]
        assert isinstance(items, list)
        return items

    def releases(self) -> list[dict]:
        """All releases of the app, oldest first."""
        items = self.stage.get(f"/v1/releases?app={self.name}")["items"]
        assert isinstance(items, list)
        return items

    def output(self, name: str) -> Any:
        """One output of the Terraform folder."""
        return json.loads(self.run("output", "-json", name))

    def outputs(self) -> dict[str, str]:
        """The text of each component of the install."""
        return {component["name"]: component["outputs"]["text"] for component in self.install()["components"]}
