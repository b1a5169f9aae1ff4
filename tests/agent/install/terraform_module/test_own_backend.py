"""State in a backend of Terraform's own: a real engine's `http` backend, against a server of ours, and its `local` one."""

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from customer import Customer
from fake_http_backend import States, fake_http_backend
from small_modules import NETWORK, SLOW, failure_of, until

from agent.state.backend import BackendFileError, read_backend
from agent.state.place import Place, StatePlaceError, chosen, open_states

pytestmark = pytest.mark.anyio


@pytest.fixture
def served(account: Customer, tmp_path: Path) -> Iterator[tuple[Customer, States]]:
    """An account whose customer has named an `http` backend."""
    with fake_http_backend() as (url, kept):
        each = {name: url + "/{install}/{component}" for name in ("address", "lock_address", "unlock_address")}
        file = tmp_path / "backend.json"
        file.write_text(json.dumps({"http": {**each, "retry_max": 1, "retry_wait_min": 1, "retry_wait_max": 1}}))
        account.site = replace(account.site, states=None, backend=read_backend(file, "ins_1"))
        yield account, kept


def names(kept: States, component: str) -> list[str]:
    return [resource["name"] for resource in json.loads(kept.states[f"/ins_1/{component}"])["resources"]]


async def test_state_is_where_the_customer_says(served: tuple[Customer, States]) -> None:
    account, kept = served
    await account.build("network", NETWORK)
    applied = await account.deploy("network", {"cidr": "a"})
    assert applied.outputs == {"id": "net-a"}
    assert names(kept, "network") == ["net"]
    assert kept.locks == {}
    again = await account.run(account.job("plan", "network", {"cidr": "a"}), "job_again")
    assert again.summary.empty
    await account.run(account.job("plan_destroy", "network", {"cidr": "a"}), "job_plan_destroy")
    await account.run(account.job("destroy", "network", {"cidr": "a"}, plan="job_plan_destroy"), "job_destroy")
    assert names(kept, "network") == []
    assert not account.home("network").exists()


async def test_a_lock_that_a_killed_engine_left_is_removed_by_the_next_job(
    served: tuple[Customer, States], tmp_path: Path
) -> None:
    account, kept = served
    await account.build("slow", SLOW)
    marker = tmp_path / "started"
    await account.sync("slow")
    await account.run(account.job("plan", "slow", {"marker": str(marker)}), "job_plan")
    running = asyncio.create_task(account.run(account.job("apply", "slow", plan="job_plan"), "job_apply"))
    await until(lambda: marker.exists() and bool(marker.read_text().strip()))
    os.killpg(os.getpgid(int(marker.read_text())), signal.SIGKILL)
    await failure_of(running)
    assert kept.locks

    planned = await account.run(account.job("plan", "slow", {"marker": str(marker)}), "job_next")
    assert planned.kind == "plan"
    assert kept.locks == {}
    assert any("which an engine left that was killed here" in line for line in account.log)


async def test_a_lock_of_somebody_else_is_left_alone(served: tuple[Customer, States]) -> None:
    account, kept = served
    await account.build("network", NETWORK)
    await account.sync("network")
    theirs = {"ID": "4711", "Who": "ops@elsewhere", "Operation": "OperationTypeApply", "Created": "2026-01-01T00:00:00Z"}
    kept.locks["/ins_1/network"] = json.dumps(theirs).encode()
    refused = await failure_of(account.run(account.job("plan", "network", {"cidr": "a"})))
    assert refused.code == "plan_failed"
    assert "4711" in refused.message
    assert kept.locks


async def test_state_that_the_backend_did_not_take_is_pushed_later(served: tuple[Customer, States]) -> None:
    account, kept = served
    await account.build("network", NETWORK)
    await account.sync("network")
    await account.run(account.job("plan", "network", {"cidr": "a"}), "job_plan")
    kept.down = True
    failed = await failure_of(account.run(account.job("apply", "network", plan="job_plan"), "job_apply"))
    assert failed.code == "apply_failed"
    still = await failure_of(account.run(account.job("plan", "network", {"cidr": "a"}), "job_early"))
    assert still.code == "state_not_stored"
    assert (account.home("network") / "state" / "errored.tfstate").exists()

    kept.down = False
    planned = await account.run(account.job("plan", "network", {"cidr": "a"}), "job_next")
    assert (planned.summary.add, planned.summary.change) == (0, 0)
    assert names(kept, "network") == ["net"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "isn't JSON"),
        ("[]", "exactly one backend"),
        ('{"s3": {"key": "{component}"}, "gcs": {}}', "exactly one backend"),
        ('{"s3": {"key": "one"}}', "share one state"),
        ('{"remote": {"key": "{component}"}}', "can't be a backend"),
    ],
)
def test_a_file_that_names_no_backend_is_refused(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "backend.json"
    file.write_text(text)
    with pytest.raises(BackendFileError, match=said):
        read_backend(file, "ins_1")


def test_placeholders_are_filled_in_wherever_they_stand(tmp_path: Path) -> None:
    file = tmp_path / "backend.json"
    arguments: dict[str, Any] = {
        "key": "{install}/{component}",
        "assume_role": {"session_name": "{component}"},
        "x": [1, "{install}"],
    }
    file.write_text(json.dumps({"s3": arguments}))
    wanted = {"key": "ins_1/web", "assume_role": {"session_name": "web"}, "x": [1, "ins_1"]}
    assert read_backend(file, "ins_1").block("web") == {"s3": wanted}


def test_an_agent_does_not_leave_its_backend_unnoticed(tmp_path: Path) -> None:
    place = chosen(tmp_path / "home", "ins_1", "agt_1", f"backend:{tmp_path}/backend.json", None)
    assert place.backend == tmp_path / "backend.json"
    with pytest.raises(StatePlaceError, match=r"they are in the backend of"):
        chosen(tmp_path / "home", "ins_1", "agt_1", "home", None)
    with pytest.raises(StatePlaceError, match="only Terraform knows"):
        open_states(place, tmp_path / "home", "ins_1", "agt_1")
    assert chosen(tmp_path / "home", "ins_1", "agt_1", None, None) == Place(state=place.state)
