"""The resources that wait for agents: a release, which a build agent builds, and a deployment, which an install agent makes."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from checks import UNKNOWN as LATER
from checks import drifted, planned, planned_value, state_value
from engines import Engine, on_every_engine
from harness import Said, Step, Workspace
from real_ims import RealIms
from stage import Stage, wait_for

MODULE = """
variable "text" {
  type = string
}
output "text" {
  value = var.text
}
"""
DEFINED = """
resource "exclave_app" "a" {
  name = "NAME"
}
resource "exclave_terraform_module_component" "part" {
  app_id = exclave_app.a.id
  name   = "part"
  path {
    path = "./part"
  }
  variables = { text = "first on {{ install.name }}" }
}
resource "exclave_install" "i" {
  app_id = exclave_app.a.id
  name   = "NAME"
}
"""
RELEASED = """
resource "exclave_release" "r" {
  app_id     = exclave_app.a.id
  components = { part = exclave_terraform_module_component.part.version }
}
"""
DEPLOYED = """
resource "exclave_deployment" "d" {
  install_id = exclave_install.i.id
  release_id = exclave_release.r.id
}
"""
COMPONENT, RELEASE, DEPLOYMENT = "exclave_terraform_module_component.part", "exclave_release.r", "exclave_deployment.d"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(tmp_path_factory.mktemp("vendor") / "stage")
    try:
        stage.start_ims()
        yield stage
    finally:
        stage.remove()


@pytest.fixture(scope="module")
def ims(stage: Stage) -> RealIms:
    """An IMS with a build agent, in place of the one without."""
    return RealIms(SimpleNamespace(url=stage.url, token=stage.token_file.read_text().strip()))  # type: ignore[arg-type]


@on_every_engine
def test_a_release_and_its_deployment(engine: Engine, workspace: Workspace, stage: Stage, ims: RealIms, tmp_path: Path) -> None:
    name = f"shop-{engine}".replace(".", "-")
    defined = DEFINED.replace("NAME", name)
    first = defined + RELEASED + DEPLOYED
    second = first.replace("first on", "second on")
    workspace.write("part/main.tf", MODULE)

    def deploy_the_first_again() -> None:
        release = ims.get(f"releases?app={name}&number=1")["items"][0]["id"]
        deploy = ims.call("POST", "deploys", {"install_id": name, "release_id": release})
        wait_for("a colleague's deploy", lambda: ims.get(f"deploys/{deploy['id']}")["status"] == "succeeded", seconds=120)

    def deploy_the_second_in_part() -> None:
        release = ims.get(f"releases?app={name}&number=2")["items"][0]["id"]
        part = {"component": "part", "targets": ["terraform_data.nothing"]}
        deploy = ims.call("POST", "deploys", {"install_id": name, "release_id": release, "replan": [part]})
        wait_for("a repair", lambda: ims.get(f"deploys/{deploy['id']}")["status"] == "succeeded", seconds=120)

    def says(text: str) -> list[Any]:
        return [
            state_value(DEPLOYMENT, "status", value="succeeded"),
            state_value(DEPLOYMENT, "left_out", value=[]),
            state_value(DEPLOYMENT, "outputs", value={"part.text": f"{text} on {name}"}),
        ]

    of_the_second = [state_value(RELEASE, "number", value=2), state_value(RELEASE, "components", value={"part": 2})]
    workspace.run(
        Step(
            defined + RELEASED,
            plan=[planned(RELEASE, "create"), planned_value(RELEASE, "number", value=LATER)],
            state=[state_value(RELEASE, "number", value=1), state_value(RELEASE, "status", value="ready")],
        ),
        Step(first, before=lambda: stage.join(name), plan=[planned(DEPLOYMENT, "create")], state=says("first")),
        Step(
            second,
            plan=[planned(each, "update") for each in (COMPONENT, RELEASE, DEPLOYMENT)],
            state=[*of_the_second, *says("second")],
        ),
        Step(
            second,
            before=deploy_the_first_again,
            plan=[
                planned(RELEASE, "no-op"),
                planned(DEPLOYMENT, "update"),
                drifted(DEPLOYMENT, "outputs", "part.text", value=f"first on {name}"),
            ],
            state=says("second"),
        ),
        Step(
            second,
            before=deploy_the_second_in_part,
            plan=[planned(DEPLOYMENT, "update"), drifted(DEPLOYMENT, "left_out", value=["part"])],
            warnings=[Said(detail="part is updated: its last deploy brought it only in part", address=DEPLOYMENT)],
            state=says("second"),
        ),
        Step(
            second,
            files={"part/main.tf": MODULE + "output {\n"},
            error=Said(summary="The build of component 'part' failed", address=RELEASE, line="components"),
        ),
        Step(second, files={"part/main.tf": MODULE}, state=says("second")),
    )
    release = ims.get(f"releases?app={name}&limit=1&order=desc")["items"][0]
    workspace.verify_import(RELEASE, import_id=release["id"])
    workspace.verify_import(RELEASE, import_id=f"{name}/{release['number']}", block=True)
    workspace.verify_import(DEPLOYMENT, import_id=name, ignore=["inputs_version"])
    if engine.at_least(terraform="1.12.0"):
        workspace.verify_import(RELEASE, identity=f'{{ id = "{release["id"]}" }}')
