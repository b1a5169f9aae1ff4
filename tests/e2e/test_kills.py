"""`kill -9` at any point: the deploy ends well or fails cleanly, nothing runs twice at once, no state is lost."""

import json
import os
import signal
import threading
from pathlib import Path

import pytest
from engineer import apply, plan
from kept_states import addresses
from stage import Stage, wait_for

SLOW = """
resource "terraform_data" "slow" {
  provisioner "local-exec" {
    command = "flock -n {log}.lock sh -c 'echo began >> {log}; sleep 3; echo ended >> {log}' || echo OVERLAP >> {log}"
  }
}
"""


@pytest.fixture
def slow(vendor: Stage) -> Stage:
    """The quickstart with a network that takes time: megabytes to copy and unpack, three seconds to apply."""
    log = vendor.folder / "applied.log"
    log.touch()
    network = vendor.work / "modules" / "network"
    (network / "slow.tf").write_text(SLOW.replace("{log}", str(log)))
    (network / "ballast.bin").write_bytes(os.urandom(48 << 20))
    return vendor


def running(stage: Stage, component: str, kind: str) -> bool:
    """Whether that step is being run right now."""
    newest = stage.get("/v1/deploys?order=desc&limit=1")["items"]
    steps = newest[0]["steps"] if newest else []
    return any((step["component"], step["kind"], step["status"]) == (component, kind, "running") for step in steps)


def kill_during(stage: Stage, victim: str, kind: str) -> None:
    """SIGKILL a program while the network's step of this kind runs."""
    log = stage.folder / "applied.log"

    def there() -> bool:
        return running(stage, "network", kind) and (kind != "apply" or "began" in log.read_text())

    wait_for(f"the {kind} of network", there, interval=0.01)
    stage.processes[victim].kill()


def ended_well(stage: Stage) -> None:
    newest = stage.get("/v1/deploys?order=desc&limit=1")["items"][0]
    assert newest["status"] == "succeeded", json.dumps(newest, indent=2)
    assert plan(stage).code == 0
    assert "OVERLAP" not in (stage.folder / "applied.log").read_text()
    assert any(address.endswith(".slow") for address in addresses(stage.customer("acme") / "agent")["network"])
    assert stage.get("/v1/events/verify")["whole"]


@pytest.mark.parametrize("kind", ["sync", "plan", "apply"])
def test_the_install_agent_is_killed(slow: Stage, kind: str) -> None:
    def customer() -> None:
        slow.join("acme")
        kill_during(slow, "acme/agent", kind)
        slow.start_agent("acme")

    done = slow.terraform(
        "apply",
        "-no-color",
        "-auto-approve",
        "-input=false",
        variables={"admin_password": "canary-correct-horse"},
        meanwhile=customer,
    )
    assert done.code == 0, done.output
    ended_well(slow)


@pytest.mark.parametrize("kind", ["sync", "plan", "apply"])
def test_the_ims_is_killed(slow: Stage, kind: str) -> None:
    port = int(slow.url.rsplit(":", 1)[1])

    def vendor() -> None:
        slow.join("acme")
        kill_during(slow, "ims", kind)
        slow.start_ims(port=port)

    done = slow.terraform(
        "apply",
        "-no-color",
        "-auto-approve",
        "-input=false",
        variables={"admin_password": "canary-correct-horse"},
        meanwhile=vendor,
    )
    assert done.code == 0, done.output
    ended_well(slow)


def test_ctrl_c_stops_waiting_and_taints_nothing(slow: Stage) -> None:
    customer = threading.Thread(target=slow.join, args=("acme",))
    process = slow.start_terraform(
        "apply", "-no-color", "-auto-approve", "-input=false", variables={"admin_password": "canary-correct-horse"}
    )
    customer.start()
    wait_for("the apply of network", lambda: running(slow, "network", "apply"))
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=240)
    customer.join()
    assert "exclave deploys show" in output, output
    assert "exclave deploys cancel" in output, output
    state = json.loads((slow.work / "terraform.tfstate").read_text())
    tainted = [one for one in state["resources"] for instance in one["instances"] if instance.get("status") == "tainted"]
    assert tainted == []
    deploy = slow.get("/v1/deploys?order=desc&limit=1")["items"][0]["id"]
    assert slow.exclave("deploys", "show", deploy, "--follow").code == 0
    assert apply(slow).code == 0
    ended_well(slow)


def test_a_cancelled_deploy_ends_and_the_next_one_heals(slow: Stage) -> None:
    def cancel() -> None:
        slow.join("acme")
        wait_for("the apply of network", lambda: running(slow, "network", "apply"))
        deploy = slow.get("/v1/deploys?order=desc&limit=1")["items"][0]["id"]
        assert slow.exclave("deploys", "cancel", deploy).code == 0

    done = slow.terraform(
        "apply",
        "-no-color",
        "-auto-approve",
        "-input=false",
        variables={"admin_password": "canary-correct-horse"},
        meanwhile=cancel,
    )
    assert done.code == 1, done.output
    assert "cancelled" in done.output
    assert apply(slow).code == 0
    ended_well(slow)


def test_a_killed_ims_leaves_no_build_agent_behind(vendor: Stage) -> None:
    ims = vendor.processes["ims"]
    children = Path(f"/proc/{ims.popen.pid}/task/{ims.popen.pid}/children")
    if not children.exists():
        pytest.skip("this system doesn't list a process's children in /proc")
    agents = [int(pid) for pid in children.read_text().split()]
    assert len(agents) == 1
    ims.kill()
    wait_for("the end of the build agent", lambda: not Path(f"/proc/{agents[0]}").exists())
    vendor.start_ims()
    assert apply(vendor, "-target=exclave_release.current").code == 0, "builds go on, at another address"


def test_the_folder_of_a_stage_is_its_own(vendor: Stage) -> None:
    second = vendor.exclave("up", "--data", str(vendor.vendor), "--port", "0")
    assert second.code == 1
    assert "another process" in second.output
    assert Path(vendor.vendor / "admin.token").stat().st_mode & 0o777 == 0o600
