"""The provider killed in mid-apply, again and again: the state is right, and the next apply makes nothing twice."""

import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from stage import Stage, wait_for

COMPONENTS = 40
MAIN = f"""
terraform {{
  required_providers {{
    exclave = {{ source = "exclave/exclave" }}
  }}
}}

resource "exclave_app" "shop" {{
  name = "shop"
}}

resource "exclave_terraform_module_component" "part" {{
  count  = {COMPONENTS}
  app_id = exclave_app.shop.id
  name   = "part${{count.index}}"
  path {{
    path = "./module"
  }}
}}

resource "exclave_install" "customer" {{
  count  = 5
  app_id = exclave_app.shop.id
  name   = "customer${{count.index}}"
}}
"""

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the provider's process in /proc")


@pytest.fixture
def shop(tmp_path: Path) -> Any:
    stage = Stage(tmp_path / "stage")
    try:
        stage.start_ims()
        stage.install_provider()
        (stage.work / "module").mkdir(parents=True)
        (stage.work / "module" / "main.tf").write_text('output "text" {\n  value = "x"\n}\n')
        (stage.work / "main.tf").write_text(MAIN)
        done = stage.terraform("init", "-no-color", "-input=false")
        assert done.code == 0, done.output
        yield stage
    finally:
        stage.remove()


def made(stage: Stage) -> dict[str, dict[str, str]]:
    """What the IMS has: by collection, the id of each object by its name."""
    apps = stage.get("/v1/apps")["items"]
    found = {"apps": apps, "installs": stage.get("/v1/installs")["items"]}
    found["components"] = stage.get(f"/v1/apps/{apps[0]['id']}/components?limit=1000")["items"] if apps else []
    for name, objects in found.items():
        assert len({each["name"] for each in objects}) == len(objects), f"{name} made twice"
    return {name: {each["name"]: each["id"] for each in objects} for name, objects in found.items()}


def recorded(stage: Stage) -> dict[str, dict[str, str]]:
    """The same of what the state has, none of which may be tainted."""
    path = stage.work / "terraform.tfstate"
    resources = json.loads(path.read_text())["resources"] if path.exists() else []
    found: dict[str, dict[str, str]] = {"apps": {}, "installs": {}, "components": {}}
    for each in resources:
        collection = {"exclave_app": "apps", "exclave_install": "installs"}.get(each["type"], "components")
        for instance in each["instances"]:
            assert "status" not in instance, f"{each['type']} is tainted"
            found[collection][instance["attributes"]["name"]] = instance["attributes"]["id"]
    return found


def providers(terraform: "subprocess.Popen[str]") -> list[int]:
    """The provider processes that Terraform has."""
    pids: list[int] = []
    for task in Path(f"/proc/{terraform.pid}/task").glob("*/children"):
        try:
            pids += [int(pid) for pid in task.read_text().split()]
        except OSError:
            continue  # that thread has ended
    return pids


def killed_apply(stage: Stage, components: int) -> str:
    """An apply whose provider is killed once the IMS has so many components. Returns what Terraform says."""
    terraform = stage.start_terraform("apply", "-no-color", "-auto-approve", "-input=false")
    try:
        wait_for("components", lambda: len(made(stage)["components"]) >= components, interval=0.005)
        for pid in providers(terraform):
            with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
                os.kill(pid, signal.SIGKILL)
        output, _ = terraform.communicate(timeout=240)
    finally:
        if terraform.poll() is None:
            terraform.kill()
            terraform.communicate()
    assert terraform.returncode == 1, output
    return output


def test_a_provider_that_is_killed_leaves_a_right_state_and_nothing_is_made_twice(shop: Stage) -> None:
    output = killed_apply(shop, 5)
    assert "plugin" in output.lower(), output

    there, known = made(shop), recorded(shop)
    for collection, objects in known.items():
        assert objects.items() <= there[collection].items(), "the state has what isn't there"
    before = sum(len(objects) for objects in there.values())
    assert 0 < before < 1 + 5 + COMPONENTS, "killed in the middle"

    done = shop.terraform("apply", "-no-color", "-auto-approve", "-input=false")
    assert done.code == 0, done.output
    assert made(shop) == recorded(shop)
    assert not list((shop.work / ".terraform").glob("exclave-creates*")), "nothing is left to take up"
    assert len(made(shop)["components"]) == COMPONENTS
    for collection, objects in there.items():
        assert objects.items() <= made(shop)[collection].items(), "made anew"
    planned = shop.terraform("plan", "-no-color", "-input=false", "-detailed-exitcode")
    assert planned.code == 0, planned.output
