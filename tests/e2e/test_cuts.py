"""A network that is cut in the middle of a step, and a registry that is killed in the middle of a sync, with real programs.

Times are short so that the test is: what is two minutes in the field, longer than a lease, is four seconds here, and the hour
after which an apply is given up is six. A heartbeat has time for that on a slow machine, too.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from line import Line, line
from stage import Stage, wait_for

MODULE = """
resource "terraform_data" "slow" {
  provisioner "local-exec" {
    command = "flock -n LOG.lock sh -c 'echo began >> LOG; sleep 3; echo ended >> LOG' || echo OVERLAP >> LOG"
  }
}

output "text" {
  value = "made"
}
"""
SETTINGS = """
vendor_registry_url = "{url}"

[intervals]
heartbeat = 0.5
sweep = 0.2
unknown_before_requeue = 1
unknown_before_failure = 6
"""


@pytest.fixture(scope="module")
def wire() -> Iterator[Line]:
    with line() as made:
        yield made


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, wire: Line) -> Iterator[Stage]:
    """An IMS which the customers' agents reach over `wire` alone."""
    stage = Stage(tmp_path_factory.mktemp("cuts") / "stage", lease_seconds=4)
    try:
        stage.vendor.mkdir(parents=True, mode=0o700)
        (stage.vendor / "exclave.toml").write_text(SETTINGS.format(url=wire.url))
        wire.port = 1  # nobody is there yet
        stage.start_ims()
        wire.port = int(stage.url.rsplit(":", 1)[1])
        yield stage
    finally:
        stage.remove()


class Shop:
    """One app with a component that takes three seconds to apply, and its only install; both are called `name`."""

    def __init__(self, stage: Stage, wire: Line, name: str) -> None:
        self.stage, self.wire, self.name = stage, wire, name
        self.applied = stage.folder / f"{name}.log"
        self.applied.touch()
        module = stage.folder / name
        module.mkdir()
        (module / "main.tf").write_text(MODULE.replace("LOG", str(self.applied)))
        (module / "ballast.bin").write_bytes(os.urandom(48 << 20))  # for a sync and a plan that take their time
        stage.post("/v1/apps", {"name": name})
        config = {"kind": "terraform_module", "source": {"path": {"path": str(module)}}, "variables": {}}
        stage.post(f"/v1/apps/{name}/components", {"name": "base", "config": config})
        self.release = stage.post("/v1/releases", {"app_id": name})["id"]
        stage.post("/v1/installs", {"app_id": name, "name": name})
        stage.start_registry(name)
        stage.enroll(name)
        stage.start_agent(name, "--url", wire.url)
        wait_for("the release", lambda: stage.get(f"/v1/releases/{self.release}")["status"] == "ready")

    @property
    def registry(self) -> Path:
        return self.stage.customer(self.name) / "registry.port"

    def begin(self) -> str:
        made: str = self.stage.post("/v1/deploys", {"install_id": self.name, "release_id": self.release})["id"]
        return made

    def status(self, deploy: str, kind: str) -> str:
        steps = self.stage.get(f"/v1/deploys/{deploy}")["steps"]
        return next(step["status"] for step in steps if step["kind"] == kind)

    def running(self, deploy: str, kind: str) -> None:
        """Wait until the step is being run, an apply until its program is at work."""

        def there() -> bool:
            return self.status(deploy, kind) == "running" and (kind != "apply" or "began" in self.applied.read_text())

        wait_for(f"the {kind}", there, interval=0.01)

    def ended(self, deploy: str) -> dict[str, Any]:
        wait_for("the end", lambda: self.stage.get(f"/v1/deploys/{deploy}")["ended_at"])
        found: dict[str, Any] = self.stage.get(f"/v1/deploys/{deploy}")
        return found

    def component(self) -> dict[str, Any]:
        (found,) = self.stage.get(f"/v1/installs/{self.name}")["components"]
        return dict(found)


@pytest.mark.parametrize("kind", ["sync", "plan"])
def test_a_step_that_is_cut_off_for_longer_than_its_lease_is_done_all_the_same(stage: Stage, wire: Line, kind: str) -> None:
    shop = Shop(stage, wire, f"cut-{kind}")
    deploy = shop.begin()
    shop.running(deploy, kind)
    wire.cut()
    wait_for("that the IMS misses the agent", lambda: shop.status(deploy, kind) in ("unknown", "ready"))
    wire.mend()
    assert shop.ended(deploy)["status"] == "succeeded"
    assert shop.applied.read_text().split() == ["began", "ended"]


def test_an_apply_that_is_cut_off_until_it_is_given_up_ends_once_and_is_known_when_the_network_is_back(
    stage: Stage, wire: Line
) -> None:
    shop = Shop(stage, wire, "cut-apply")
    deploy = shop.begin()
    shop.running(deploy, "apply")
    wire.cut()
    ended = shop.ended(deploy)
    assert (ended["status"], ended["failure"]["code"]) == ("failed", "agent_lost")
    wait_for("the end of the apply", lambda: "ended" in shop.applied.read_text())
    wire.mend()
    wait_for("the late report", lambda: shop.component()["status"] == "deployed")
    assert shop.component()["outputs"] == {"text": "made"}
    assert shop.status(deploy, "apply") == "succeeded"
    assert shop.ended(shop.begin())["status"] == "succeeded"
    assert shop.applied.read_text().split() == ["began", "ended"], "nothing is applied twice"
    assert stage.get("/v1/events/verify")["whole"]


def test_a_registry_that_is_killed_in_the_middle_of_a_sync_gets_the_rest_when_it_is_back(stage: Stage, wire: Line) -> None:
    shop = Shop(stage, wire, "killed-registry")
    port = int(shop.registry.read_text())
    deploy = shop.begin()
    shop.running(deploy, "sync")
    stage.processes[f"{shop.name}/registry"].kill()
    stage.start_registry(shop.name, port=port)
    assert shop.ended(deploy)["status"] == "succeeded"
    assert shop.applied.read_text().split() == ["began", "ended"]
