"""Every resource that needs no agent, on a real IMS: create, an empty plan, update, drift, import, what is gone."""

import json
from pathlib import Path
from typing import Any

import pytest
from checks import UNKNOWN, planned, planned_value, state_value
from engines import Engine, on_every_engine
from harness import Said, Step, Workspace
from real_ims import RealIms

APP = """
resource "exclave_app" "a" {
  name = "NAME"
  inputs = {
    domain = { default = "example.com" }
    size   = { type = "number", required = false, default = "3" }
  }
}
"""

COMPONENTS = {
    "terraform_module": (
        """
        path {
          path = "./module"
        }
        variables = { domain = provider::exclave::input("domain") }
        """,
        ('input("domain")', 'install("name")'),
        "variables",
    ),
    "helm_chart": (
        """
        helm_repo = { repo_url = "https://charts.example.com", chart = "shop", version = "1.2.3" }
        values    = { "ingress.host" = "{{ inputs.domain }}" }
        """,
        ('"1.2.3"', '"1.2.4"'),
        "helm_repo",
    ),
    "container_image": (
        """
        aws_ecr {
          image_url    = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop"
          tag          = "1"
          region       = "eu-west-1"
          iam_role_arn = "arn:aws:iam::123456789012:role/exclave"
        }
        """,
        ('tag          = "1"', 'tag          = "2"'),
        "aws_ecr",
    ),
    "docker_build": (
        """
        git {
          url = "https://git.example.com/shop"
        }
        build_args = { VERSION = "1" }
        platforms  = ["linux/amd64", "linux/arm64"]
        """,
        ('VERSION = "1"', 'VERSION = "2"'),
        "build_args",
    ),
    "kubernetes_manifest": (
        """
        manifest = yamlencode({ apiVersion = "v1", kind = "Namespace", metadata = { name = "{{ install.name }}" } })
        """,
        ("install.name", "install.id"),
        "manifest",
    ),
    "custom": (
        """
        path {
          path = "./module"
        }
        command     = ["./run", "--fast"]
        environment = { DOMAIN = "{{ inputs.domain }}" }
        """,
        ('"--fast"', '"--slow"'),
        "command",
    ),
}
MODULE = {"module/main.tf": 'variable "domain" {}\n', "module/run": "#!/bin/sh\n"}


def component(kind: str, name: str, body: str) -> str:
    return f"""{APP.replace("NAME", name)}
resource "exclave_{kind}_component" "c" {{
  app_id = exclave_app.a.id
  name   = "part"
  {body}
}}
"""


@on_every_engine
@pytest.mark.parametrize("kind", COMPONENTS)
def test_a_component_of_every_kind(engine: Engine, workspace: Workspace, ims: RealIms, name: str, kind: str) -> None:
    body, edit, attribute = COMPONENTS[kind]
    address = f"exclave_{kind}_component.c"
    first, second = component(kind, name, body), component(kind, name, body.replace(*edit))
    path = f"apps/{name}/components/part"

    def drift() -> None:
        config = ims.get(path)["config"]
        changed = {"namespace": "else"} if "namespace" in config else {}
        changed |= {"environment": {"DOMAIN": "else"}} if "environment" in config else {}
        changed |= {"variables": {"domain": "else"}} if kind == "terraform_module" else {}
        changed |= {"build_args": {}} if "build_args" in config else {}
        changed |= {"platforms": ["linux/arm64"]} if kind == "container_image" else {}
        ims.call("PUT", path, {"config": {**config, **changed}})

    workspace.run(
        Step(first, MODULE, plan=[planned(address, "create")], state=[state_value(address, "version", value=1)]),
        Step(
            second,
            plan=[planned(address, "update"), planned_value(address, "version", value=UNKNOWN)],
            state=[state_value(address, "version", value=2)],
        ),
        Step(second, before=drift, plan=[planned(address, "update")], state=[state_value(address, "version", value=4)]),
        Step(second, before=lambda: ims.call("DELETE", path), plan=[planned(address, "create")]),
    )
    assert attribute in second
    found = ims.get(path)
    workspace.verify_import(address, import_id=f"{name}/part", ignore=("app_id",))
    workspace.verify_import(address, import_id=f"{found['app_id']}/{found['id']}", block=True)
    if engine.at_least(terraform="1.12.0"):
        workspace.verify_import(address, identity=json.dumps({"id": found["id"]}).replace('"id":', "id =", 1))


@on_every_engine
def test_an_app(workspace: Workspace, ims: RealIms, name: str) -> None:
    first = APP.replace("NAME", name)
    second = first.replace('"example.com"', '"example.org"')

    def drift() -> None:
        ims.call("PUT", f"apps/{name}", {"description": "somebody else's", "inputs": []})

    workspace.run(
        Step(first, plan=[planned("exclave_app.a", "create")]),
        Step(second, plan=[planned("exclave_app.a", "update")]),
        Step(second, before=drift, plan=[planned("exclave_app.a", "update")]),
        Step(second, before=lambda: ims.call("DELETE", f"apps/{name}"), plan=[planned("exclave_app.a", "create")]),
    )
    workspace.verify_import("exclave_app.a", import_id=name)
    workspace.verify_import("exclave_app.a", import_id=ims.get(f"apps/{name}")["id"], block=True)


@on_every_engine
def test_an_install(workspace: Workspace, ims: RealIms, name: str) -> None:
    address = "exclave_install.i"
    first = f"""{APP.replace("NAME", name)}
resource "exclave_install" "i" {{
  app_id = exclave_app.a.id
  name   = "{name}"
  inputs = {{ size = 4 }}
  labels = {{ region = "eu" }}
}}
"""
    second = first.replace('"eu"', '"us"')

    def drift() -> None:
        ims.call("PUT", f"installs/{name}", {"inputs": {"size": 5}, "labels": {"region": "us"}})

    workspace.run(
        Step(first, plan=[planned(address, "create")]),
        Step(second, plan=[planned(address, "update"), planned_value(address, "inputs_version", value=1)]),
        Step(second, before=drift, plan=[planned(address, "update")], state=[state_value(address, "inputs_version", value=3)]),
        Step(second, before=lambda: ims.call("DELETE", f"installs/{name}"), plan=[planned(address, "create")]),
    )
    workspace.verify_import(address, import_id=name)


def resources_of(workspace: Workspace) -> list[dict[str, Any]]:
    """What is in the state."""
    found: list[dict[str, Any]] = workspace.state()["values"]["root_module"]["resources"]
    return found


SECRET = """
resource "exclave_secret" "s" {
  name     = "NAME"
  value_wo = "VALUE"
}
"""


@on_every_engine
def test_a_secret_is_written_where_it_differs_and_rests_nowhere_else(workspace: Workspace, ims: RealIms, name: str) -> None:
    address = "exclave_secret.s"
    first = SECRET.replace("NAME", name).replace("VALUE", "canary-first")
    second = first.replace("canary-first", "canary-second")

    def drift() -> None:
        ims.call("PUT", f"secrets/{name}", {"value": "somebody else's"})

    workspace.run(
        Step(first, plan=[planned(address, "create")], state=[state_value(address, "version", value=1)]),
        Step(second, plan=[planned(address, "update")], state=[state_value(address, "version", value=2)]),
        Step(second, before=drift, plan=[planned(address, "update")], state=[state_value(address, "version", value=4)]),
        Step(second, before=lambda: ims.call("DELETE", f"secrets/{name}"), plan=[planned(address, "create")]),
    )
    workspace.verify_import(address, import_id=name)
    left = [path for path in workspace.folder.rglob("*") if path.is_file() and path.name != "main.tf"]
    assert any(path.name == "plan" for path in left)
    assert not [path for path in left if b"canary-" in content_of(path)]


@on_every_engine
def test_a_secret_with_a_version_is_written_only_when_that_changes(workspace: Workspace, name: str) -> None:
    address = "exclave_secret.s"
    versioned = SECRET.replace("NAME", name).replace('"VALUE"', '"VALUE"\n  value_wo_version = 1')
    workspace.run(
        Step(versioned, state=[state_value(address, "version", value=1)]),
        Step(versioned.replace("VALUE", "another"), plan=[planned(address, "no-op")]),
        Step(
            versioned.replace("VALUE", "another").replace("version = 1", "version = 2"),
            plan=[planned(address, "update")],
            state=[state_value(address, "version", value=2)],
        ),
    )


def content_of(path: Path) -> bytes:
    """What a file says; of a plan, which is a zip, what its files say."""
    import zipfile

    if not zipfile.is_zipfile(path):
        return path.read_bytes()
    with zipfile.ZipFile(path) as plan:
        return b"".join(plan.read(each) for each in plan.namelist() if not each.startswith("tfconfig/"))


@on_every_engine
def test_a_webhook(workspace: Workspace, ims: RealIms, name: str) -> None:
    address = "exclave_webhook.w"
    first = f"""{APP.replace("NAME", name)}
resource "exclave_webhook" "w" {{
  name        = "{name}"
  url         = "https://93.184.215.14/hook"
  app_id      = exclave_app.a.name
  secret_file = "hook.secret"
}}
"""
    second = first.replace("/hook", "/hooks").replace("app_id ", 'events = ["deploy.*"]\n  app_id ')

    def drift() -> None:
        ims.call("PUT", f"webhooks/{name}", {"url": "https://93.184.215.14/else", "enabled": False})

    file = workspace.folder / "hook.secret"
    workspace.run(Step(first, plan=[planned(address, "create")]))
    secret = file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert secret.strip() not in (workspace.folder / "terraform.tfstate").read_text()
    workspace.run(
        Step(second, plan=[planned(address, "update")]),
        Step(second, before=drift, plan=[planned(address, "update")]),
        Step(second.replace("hook.secret", "new.secret"), plan=[planned(address, "update")]),
    )
    assert not file.exists()
    assert (workspace.folder / "new.secret").read_text() not in ("", secret)
    workspace.verify_import(address, import_id=name, ignore=("secret_file", "app_id"))


@on_every_engine
def test_a_service_token(workspace: Workspace, ims: RealIms, name: str) -> None:
    address = "exclave_service_token.t"
    first = f"""
resource "exclave_service_token" "t" {{
  name        = "{name}"
  role        = "viewer"
  secret_file = "ci.token"
}}
"""
    second = first.replace("viewer", "editor")
    file = workspace.folder / "ci.token"
    workspace.run(Step(first, plan=[planned(address, "create")], state=[state_value(address, "token_name", value=name)]))
    secret = file.read_text().strip()
    assert secret.startswith("excl_")
    assert secret not in (workspace.folder / "terraform.tfstate").read_text()
    workspace.verify_import(address, import_id=name, ignore=("secret_file",))
    workspace.run(
        Step(
            second,
            plan=[planned(address, "replace", because=("role",))],
            state=[state_value(address, "token_name", value=f"{name}-2")],
        ),
        Step(
            second,
            before=lambda: ims.call("DELETE", f"tokens/{name}-2"),
            plan=[planned(address, "create")],
            state=[state_value(address, "token_name", value=f"{name}-3")],
        ),
    )
    assert file.read_text().strip() not in ("", secret)


@on_every_engine
def test_an_enrolment_token(workspace: Workspace, ims: RealIms, name: str) -> None:
    address = "exclave_agent_enrollment.e"
    config = f"""{APP.replace("NAME", name)}
resource "exclave_install" "i" {{
  app_id = exclave_app.a.id
  name   = "{name}"
}}
resource "exclave_agent_enrollment" "e" {{
  kind       = "install"
  install_id = exclave_install.i.id
  token_file = "agent.token"
}}
"""
    workspace.run(Step(config, plan=[planned(address, "create")]))
    token = (workspace.folder / "agent.token").read_text().strip()
    assert token.startswith("exce_")
    assert token not in (workspace.folder / "terraform.tfstate").read_text()
    (made,) = [each["values"]["id"] for each in resources_of(workspace) if each["address"] == address]
    workspace.verify_import(address, import_id=made, ignore=("token_file",))
    workspace.run(
        Step(
            config.replace('"install"\n', '"build"\n'),
            error=Said(detail="A build agent serves every app", line="install_id"),
        ),
        Step(config, before=lambda: ims.call("DELETE", f"agents/enrollments/{made}"), plan=[planned(address, "create")]),
    )
