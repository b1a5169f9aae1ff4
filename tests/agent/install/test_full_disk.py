"""A customer's disk that is full, with a real engine: the state stays, and room heals it.

In which words such a job ends, tests/agent/test_agent_disk.py says.
"""

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from customer import Customer

from agent.failure import JobFailedError

pytestmark = pytest.mark.anyio

NETWORK = """
variable "name" { type = string }
resource "terraform_data" "net" { input = var.name }
output "name" { value = terraform_data.net.output }
"""
FILLS = """
variable "name" { type = string }
variable "disk" { type = string }
resource "terraform_data" "net" { input = var.name }
resource "terraform_data" "fills" {
  input      = var.name
  depends_on = [terraform_data.net]
  provisioner "local-exec" { command = "head -c 100000000 /dev/zero > ${var.disk}/ballast || true" }
}
"""


@pytest.fixture(autouse=True)
def small_home(tmp_path: Path) -> Iterator[Path]:
    """The agent's home is a file system of 48 MiB."""
    home = tmp_path / "home"
    home.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "none", str(home)], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip("mounting a tmpfs needs root")
    yield home
    subprocess.run(["umount", "-l", str(home)], check=True)


def fill(home: Path) -> None:
    with (home / "ballast").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    assert shutil.disk_usage(home).free == 0


def resources(account: Customer) -> dict[str, str]:
    """What the state has of each resource."""
    stored = account.site.states.of("network").load()
    assert stored
    state = json.loads(stored.state)
    return {one["name"]: one["instances"][0]["attributes"]["input"]["value"] for one in state["resources"]}


@pytest.mark.parametrize("step", ["plan", "apply"])
async def test_a_step_on_a_full_disk_fails_and_the_state_stays(step: str, account: Customer, small_home: Path) -> None:
    await account.build("network", NETWORK)
    await account.deploy("network", {"name": "one"})
    assert resources(account) == {"net": "one"}
    if step == "apply":
        await account.run(account.job("plan", "network", {"name": "two"}), "job_plan_2")
    fill(small_home)
    job = account.job(step, "network", {"name": "two"}, plan="job_plan_2" if step == "apply" else None)
    with pytest.raises((OSError, JobFailedError)):
        await account.run(job, "job_full")
    assert resources(account) in ({"net": "one"}, {"net": "two"})
    (small_home / "ballast").unlink()
    await account.run(account.job("plan", "network", {"name": "three"}), "job_plan_3")
    await account.run(account.job("apply", "network", {"name": "three"}, plan="job_plan_3"), "job_apply_3")
    assert resources(account) == {"net": "three"}


async def test_a_disk_that_fills_up_in_the_middle_of_an_apply_loses_no_state(account: Customer, small_home: Path) -> None:
    await account.build("network", FILLS)
    await account.sync("network")
    variables = {"name": "one", "disk": str(small_home)}
    await account.run(account.job("plan", "network", variables), "job_plan")
    with contextlib.suppress(OSError, JobFailedError):  # it may end well: the room that was kept for the state suffices
        await account.run(account.job("apply", "network", variables, plan="job_plan"), "job_apply")
    assert resources(account) == {"net": "one", "fills": "one"}
    (small_home / "ballast").unlink()
    await account.run(account.job("plan", "network", variables), "job_plan_2")
    await account.run(account.job("apply", "network", variables, plan="job_plan_2"), "job_apply_2")
    assert resources(account) == {"net": "one", "fills": "one"}
