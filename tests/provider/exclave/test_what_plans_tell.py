"""What a plan finds and tells before anything is stored: of the whole app, of installs, of deployments."""

import pytest
from checks import planned
from engines import on_every_engine
from harness import Said, Step, Workspace
from real_ims import RealIms

APP = """
resource "exclave_app" "a" {
  name = "NAME"
  inputs = {
    domain = { default = "example.com" }
  }
}
"""


@on_every_engine
def test_a_release_that_is_not_built_is_refused_by_the_plan_of_its_deployment(
    workspace: Workspace, ims: RealIms, name: str
) -> None:
    ims.call("POST", "apps", {"name": name})
    ims.call("POST", "installs", {"app_id": name, "name": name})
    config = {"kind": "kubernetes_manifest", "manifest": "kind: One"}
    ims.call("POST", f"apps/{name}/components", {"name": "one", "config": config})
    release = ims.call("POST", "releases", {"app_id": name})
    deployment = f"""
        resource "exclave_deployment" "d" {{
          install_id = "{name}"
          release_id = "{release["id"]}"
        }}
    """
    workspace.run(Step(deployment, error=Said(address="exclave_deployment.d", line="release_id")), Step("", plan_only=True))


@on_every_engine
@pytest.mark.parametrize("stored", [False, True], ids=["new app", "stored app"])
def test_an_unknown_region_is_found_by_the_plan(workspace: Workspace, name: str, stored: bool) -> None:
    install = f"""
        resource "exclave_install" "i" {{
          app_id   = exclave_app.a.id
          name     = "{name}"
          platform = "aws"
          region   = "eu-west-17"
        }}
    """
    app = APP.replace("NAME", name)
    if stored:
        workspace.run(Step(app))
    workspace.run(Step(app + install, error=Said(line="region"), plan_only=True), Step("", plan_only=True))


@on_every_engine
def test_an_input_of_another_type_is_found_by_the_plan_of_a_new_app(workspace: Workspace, name: str) -> None:
    install = f"""
        resource "exclave_install" "i" {{
          app_id = exclave_app.a.id
          name   = "{name}"
          inputs = {{
            domain = "a.example"
            size   = "big"
          }}
        }}
    """
    app = APP.replace("NAME", name).replace("domain =", 'size = { type = "number" }\n    domain =')
    said = Said(summary="This install can't be made so", line='"big"', address="exclave_install.i")
    workspace.run(
        Step(app + install, error=said, plan_only=True),
        Step(app + install.replace('"big"', "terraform_data.later.id") + LATER, plan_only=True),
    )


LATER = """
resource "terraform_data" "later" {
}
"""
MANIFEST = """
resource "exclave_app" "KEY" {
  name = "NAME-KEY"
}
resource "exclave_kubernetes_manifest_component" "KEY" {
  app_id   = exclave_app.KEY.id
  name     = "part-of-KEY"
  manifest = "kind: ConfigMap"
}
"""
INSTALLED = """
resource "exclave_install" "KEY" {
  app_id = exclave_app.KEY.id
  name   = "NAME-KEY"
}
"""
TO_DEPLOY = """
resource "exclave_release" "KEY" {
  app_id     = exclave_app.KEY.id
  components = { part-of-KEY = exclave_kubernetes_manifest_component.KEY.version }
}
resource "exclave_deployment" "KEY" {
  install_id = exclave_install.KEY.id
  release_id = exclave_release.KEY.id
}
"""


def told(key: str) -> Said:
    """What a plan says of the first deployment of such an app."""
    summary, detail = "What this deployment will do", f"1. part-of-{key} is created"
    return Said(summary=summary, detail=detail, address=f"exclave_deployment.{key}")


@on_every_engine
def test_the_plan_says_what_the_deployment_of_an_install_or_app_that_it_makes_will_do(workspace: Workspace, name: str) -> None:
    app = MANIFEST.replace("NAME", name).replace("KEY", "a")
    whole = app + (INSTALLED + TO_DEPLOY).replace("NAME", name).replace("KEY", "a")
    asking = whole.replace("= exclave_app.a.id\n  name   =", '= exclave_app.a.id\n  approval = "customer"\n  name   =')
    approved = Said(summary="What this deployment will do", detail="plan → approve → apply")
    workspace.run(
        Step(whole, plan=[planned("exclave_app.a", "create")], warnings=[told("a")], plan_only=True),
        Step(asking, warnings=[approved], plan_only=True),
        Step(app),
        Step(whole, plan=[planned("exclave_install.a", "create")], warnings=[told("a")], plan_only=True),
        Step(asking, warnings=[approved], plan_only=True),
        Step(app),
    )


@on_every_engine
def test_the_plan_says_what_the_deployments_of_several_apps_will_do(workspace: Workspace, name: str) -> None:
    def of(part: str) -> str:
        return "".join(part.replace("NAME", name).replace("KEY", key) for key in ("a", "b"))

    workspace.run(
        Step(of(MANIFEST + INSTALLED)),
        Step(of(MANIFEST + INSTALLED + TO_DEPLOY), warnings=[told("a"), told("b")], plan_only=True),
        Step(of(MANIFEST + INSTALLED)),
    )


SITES = """
resource "exclave_app" "a" {
  name   = "NAME"
  inputs = { domain = {} }
}
resource "exclave_kubernetes_manifest_component" "a" {
  app_id   = exclave_app.a.id
  name     = "part-of-a"
  manifest = "kind: ConfigMap # {{ inputs.domain }}"
}
resource "exclave_install" "a" {
  for_each = toset(["one", "two"])
  app_id   = exclave_app.a.id
  name     = "NAME-${each.key}"
  inputs   = { domain = "${each.key}.example" }
}
resource "exclave_release" "a" {
  app_id     = exclave_app.a.id
  components = { part-of-a = exclave_kubernetes_manifest_component.a.version }
}
resource "exclave_deployment" "one" {
  install_id = exclave_install.a["one"].id
  release_id = exclave_release.a.id
}
resource "exclave_deployment" "two" {
  install_id = exclave_install.a["two"].id
  release_id = exclave_release.a.id
}
"""


def untold(why: str, key: str = "") -> Said:
    """What a plan says of a deployment of which it can't tell what it will do."""
    return Said(summary="What this deployment will do isn't known yet", detail=why, address=key and f"exclave_deployment.{key}")


@on_every_engine
def test_the_plan_says_what_the_first_deployments_of_many_installs_will_do(workspace: Workspace, name: str) -> None:
    whole = SITES.replace("NAME", name)
    each = [
        Said(summary="What this deployment will do", detail="1. part-of-a is created", address=f"exclave_deployment.{key}")
        for key in ("one", "two")
    ]
    differing = whole.replace(
        '"${each.key}.example"', '"x" }\n  approval = each.key == "one" ? "auto" : "vendor"\n  labels = {'
    )
    workspace.run(
        Step(whole, warnings=each, plan_only=True),
        Step(
            differing.replace("labels = { }", ""),
            warnings=[untold("several installs whose `approval` differs")],
            plan_only=True,
        ),
    )


@on_every_engine
def test_a_plan_that_can_not_tell_what_a_deployment_will_do_says_why(workspace: Workspace, name: str) -> None:
    def of(*keys: str) -> str:
        whole = MANIFEST + INSTALLED + TO_DEPLOY
        return "".join(whole.replace("NAME", name).replace("KEY", key) for key in keys)

    later = of("a").replace(f'"{name}-a"', f'"{name}-a"\n  labels = {{ of = terraform_data.later.id }}') + LATER
    workspace.run(
        Step(of("a", "b"), warnings=[untold("this plan makes several apps")], plan_only=True),
        Step(later, warnings=[untold("settings of its install are known only at the apply", "a")], plan_only=True),
    )
