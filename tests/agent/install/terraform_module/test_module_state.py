"""A module's state through whole deploys with a real engine: stored, sealed, and in order after whatever was killed or cut."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from customer import Customer
from fake_gcs import fake_gcs
from small_modules import NETWORK, SLOW, failure_of, until

from agent.cancellation import Cancellation, JobCancelledError
from agent.install.site import Site
from agent.state.folder import FolderStore
from agent.state.gcs import GcsStore
from agent.state.keys import Keyring
from agent.state.lock import holder, holder_of, state_lock
from agent.state.place import open_store
from agent.state.states import States
from agent.state.store import Found, StateUnreachableError, Store
from api.contract.agents import PlanResult

pytestmark = pytest.mark.anyio

COUNTED = """
variable "ran" { type = string }
resource "terraform_data" "x" {
  provisioner "local-exec" { command = "echo ran >> ${var.ran}" }
}
output "o" { value = 1 }
"""


def names(states: States, component: str) -> list[str]:
    stored = states.of(component).load()
    return [resource["name"] for resource in json.loads(stored.state)["resources"]] if stored else []


def states_of(site: Site) -> States:
    assert site.states
    return site.states


class Cut(FolderStore):
    """A folder that can be cut off."""

    cut: Callable[[], bool] = staticmethod(lambda: False)

    def _check(self) -> None:
        if type(self).cut():
            raise StateUnreachableError("cut off")

    def read(self, name: str) -> Found | None:
        self._check()
        return super().read(name)

    def write(self, name: str, data: bytes, tag: str | None) -> str:
        self._check()
        return super().write(name, data, tag)


@pytest.fixture
def cuttable(account: Customer, tmp_path: Path) -> Iterator[Customer]:
    """An account whose states are in a place that a test can cut off, by setting `Cut.cut`."""
    store = Cut(tmp_path / "elsewhere", remote=True)
    account.site = replace(account.site, states=replace(states_of(account.site), store=store, patience=0.0))
    yield account
    Cut.cut = staticmethod(lambda: False)


@pytest.fixture(params=["s3", "gcs"])
def bucket(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """MiniStack's S3, or the fake of Google's storage."""
    if request.param == "s3":
        yield open_store(request.getfixturevalue("s3_place"), tmp_path)
    else:
        with fake_gcs() as (url, _), requests.Session() as session:
            yield GcsStore(session, "states", "exclave/", "gs://states/exclave", url=url)


async def test_state_in_a_bucket_goes_from_first_apply_to_destroy(account: Customer, bucket: Store) -> None:
    account.site = replace(account.site, states=replace(states_of(account.site), store=bucket))
    states = states_of(account.site)
    await account.build("network", NETWORK)
    await account.deploy("network", {"cidr": "canary-4711"})
    assert names(states, "network") == ["net"]
    assert [version.job_id for version in states.of("network").versions()] == ["job_apply"]
    for name in bucket.names(""):
        found = bucket.read(name)
        assert found
        assert b"canary" not in found.data
    await account.deploy("network", {"cidr": "b"})
    assert len(states.of("network").versions()) == 2

    again = await account.run(account.job("plan", "network", {"cidr": "b"}), "job_again")
    assert again.summary.empty
    await account.run(account.job("plan_destroy", "network", {"cidr": "b"}), "job_plan_destroy")
    await account.run(account.job("destroy", "network", {"cidr": "b"}, plan="job_plan_destroy"), "job_destroy")
    assert bucket.names("") == []


async def test_another_machine_with_the_same_bucket_goes_on(cuttable: Customer, tmp_path: Path) -> None:
    await cuttable.build("network", NETWORK)
    await cuttable.deploy("network", {"cidr": "a"})
    new = replace(cuttable.site, components=type(cuttable.site.components)(tmp_path / "other-home"))
    cuttable.site = replace(new, states=replace(states_of(new), agent="agt_2"))
    planned = await cuttable.run(cuttable.job("plan_destroy", "network", {"cidr": "a"}), "job_elsewhere")
    assert planned.summary.destroy == 1


async def test_after_a_deploy_no_state_lies_open(account: Customer) -> None:
    await account.build("network", NETWORK)
    await account.deploy("network", {"cidr": "canary-4711"})
    assert not (account.home("network") / "state" / "terraform.tfstate").exists()
    kept = [path for path in (account.home("network").parents[1] / "states").rglob("*") if path.is_file()]
    assert len([path for path in kept if path.name == "current"]) == 1
    assert not any(b"canary" in path.read_bytes() for path in kept)


async def test_what_was_made_is_in_the_state_though_the_engine_was_killed(account: Customer, tmp_path: Path) -> None:
    await account.build("slow", SLOW)
    marker = tmp_path / "started"
    await account.sync("slow")
    await account.run(account.job("plan", "slow", {"marker": str(marker)}), "job_plan")
    running = asyncio.create_task(account.run(account.job("apply", "slow", plan="job_plan"), "job_apply"))
    await until(lambda: marker.exists() and bool(marker.read_text().strip()))
    os.killpg(os.getpgid(int(marker.read_text())), signal.SIGKILL)

    killed = await failure_of(running)
    assert killed.code == "apply_failed"
    assert "first" in names(states_of(account.site), "slow")
    planned = await account.run(account.job("plan", "slow", {"marker": str(marker)}), "job_next")
    assert isinstance(planned, PlanResult)
    assert not any(change.address.endswith(".first") for change in planned.summary.resources)


async def test_state_is_stored_elsewhere_while_the_engine_is_at_work(cuttable: Customer, tmp_path: Path) -> None:
    await cuttable.build("slow", SLOW)
    marker = tmp_path / "started"
    await cuttable.sync("slow")
    await cuttable.run(cuttable.job("plan", "slow", {"marker": str(marker)}), "job_plan")
    cancellation = Cancellation()
    running = asyncio.create_task(cuttable.run(cuttable.job("apply", "slow", plan="job_plan"), "job_apply", cancellation))
    await until(lambda: "first" in names(states_of(cuttable.site), "slow"))
    states = states_of(cuttable.site)
    held = holder_of(states.store, states.of("slow").lock_name)
    assert held
    assert (held.agent, held.job_id) == ("agt_1", "job_apply")
    cancellation.request("graceful")
    with pytest.raises(JobCancelledError):
        await running
    assert holder_of(states.store, states.of("slow").lock_name) is None


async def test_state_that_cannot_be_stored_is_kept_and_nothing_is_applied_twice(cuttable: Customer, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    await cuttable.build("counted", COUNTED)
    await cuttable.sync("counted")
    await cuttable.run(cuttable.job("plan", "counted", {"ran": str(ran)}), "job_plan")
    Cut.cut = staticmethod(ran.exists)

    cut = await failure_of(cuttable.run(cuttable.job("apply", "counted", plan="job_plan"), "job_apply"))
    assert cut.code == "state_not_stored"
    assert cut.retryable
    still = await failure_of(cuttable.run(cuttable.job("plan", "counted", {"ran": str(ran)}), "job_early"))
    assert still.code == "state_unreachable"
    assert (cuttable.home("counted") / "state" / "terraform.tfstate").exists()

    Cut.cut = staticmethod(lambda: False)
    applied = await cuttable.run(cuttable.job("apply", "counted", plan="job_plan"), "job_apply")
    assert applied.outputs == {"o": 1}
    assert ran.read_text() == "ran\n"
    assert names(states_of(cuttable.site), "counted") == ["x"]


async def test_a_home_of_before_goes_on_with_its_plain_state(account: Customer) -> None:
    await account.build("network", NETWORK)
    await account.deploy("network", {"cidr": "a"})
    states = states_of(account.site)
    stored = states.of("network").load()
    assert stored
    # As an agent of 0.1 left it: the state as a file, and nothing else of it.
    states.of("network").remove()
    (account.home("network") / "state" / "known.json").unlink()
    (account.home("network") / "state" / "terraform.tfstate").write_bytes(stored.state)

    planned = await account.run(account.job("plan", "network", {"cidr": "a"}), "job_upgraded")
    assert planned.summary.empty
    now = states.of("network").load()
    assert now
    assert now.state == stored.state
    destroy = await account.run(account.job("plan_destroy", "network", {"cidr": "a"}), "job_destroy")
    assert destroy.summary.destroy == 1


async def test_while_another_agent_holds_the_state_nothing_runs(cuttable: Customer) -> None:
    await cuttable.build("network", NETWORK)
    await cuttable.sync("network")
    states = states_of(cuttable.site)
    name = states.of("network").lock_name
    cancellation = Cancellation()
    async with state_lock(states.store, name, holder("agt_2", "job_other", 3), lambda _: None):
        waiting = asyncio.create_task(cuttable.run(cuttable.job("plan", "network", {"cidr": "a"}), "job_1", cancellation))
        await until(lambda: any("job job_other, attempt 3, of agent agt_2" in line for line in cuttable.log))
        cancellation.request("graceful")
        with pytest.raises(JobCancelledError):
            await waiting
    planned = await cuttable.run(cuttable.job("plan", "network", {"cidr": "a"}), "job_2")
    assert planned.summary.add == 1


async def test_a_state_that_another_agent_has_changed_meanwhile_is_not_overwritten(cuttable: Customer, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    await cuttable.build("counted", COUNTED)
    await cuttable.deploy("counted", {"ran": str(ran)})
    states = states_of(cuttable.site)
    theirs = states.of("counted").load()
    assert theirs
    await cuttable.run(cuttable.job("plan_destroy", "counted", {"ran": str(ran)}), "job_plan")
    # An engine's work that was never stored, and somebody who wrote after that.
    file = cuttable.home("counted") / "state" / "terraform.tfstate"
    file.write_bytes(theirs.state.replace(b'"serial": ', b'"serial": 7'))
    states.of("counted").save(theirs.state.replace(b'"serial": ', b'"serial": 8'), theirs.tag)
    conflict = await failure_of(cuttable.run(cuttable.job("plan", "counted", {"ran": str(ran)}), "job_1"))
    assert conflict.code == "state_conflict"
    assert file.exists()


async def test_a_large_state_is_stored_whole(account: Customer) -> None:
    await account.build(
        "large",
        'resource "terraform_data" "x" {\n  count = 3\n  input = join("", [for i in range(1000) : "WORD"])\n}\n'.replace(
            "WORD",
            "abcdefghij" * 40,  # few and large: the engine writes the whole state anew after each
        ),
    )
    await account.deploy("large")
    stored = states_of(account.site).of("large").load()
    assert stored
    assert len(stored.state) > 2_000_000
    again = await account.run(account.job("plan", "large"), "job_again")
    assert again.summary.empty


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 20 MiB. Needs root."""
    folder = tmp_path / "small"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(folder)], capture_output=True)
    if made.returncode:
        pytest.skip("a small file system can't be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


async def test_on_a_full_disk_nothing_is_applied(account: Customer, small_disk: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    components = type(account.site.components)(small_disk)
    states = States(FolderStore(small_disk / "states"), Keyring(small_disk), "ins_1", "agt_1")
    account.site = replace(account.site, components=components, states=states)
    await account.build("counted", COUNTED)
    await account.sync("counted")
    await account.run(account.job("plan", "counted", {"ran": str(ran)}), "job_plan")
    (small_disk / "filler").write_bytes(b"x" * 10 * 1024 * 1024)

    full = await failure_of(account.run(account.job("apply", "counted", plan="job_plan"), "job_apply"))
    assert full.code == "disk_full"
    assert not ran.exists()

    (small_disk / "filler").unlink()
    applied = await account.run(account.job("apply", "counted", plan="job_plan"), "job_apply")
    assert applied.outputs == {"o": 1}
