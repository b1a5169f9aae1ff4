"""`exclave agent state`, on the home of an agent that has deployed with a real engine."""

import json
from pathlib import Path

import anyio
import pytest
from click.testing import CliRunner, Result
from customer import Customer
from small_modules import NETWORK

from agent.cli import agent_command
from agent.engine.lock import workspace_lock
from agent.identity import Home
from agent.state.place import Place, open_states, remembered
from api.contract.enrollment import EnrollResponse

pytestmark = pytest.mark.anyio


@pytest.fixture
async def deployed(account: Customer) -> Customer:
    """An account with two versions of a component's state."""
    home = account.site.components.folder.parent
    enrolled = EnrollResponse(
        agent_id="agt_1", kind="install", install_id="ins_1", install_name="acme", app_name="shop", vendor_keys=["key"]
    )
    (home / "identity.json").write_text(enrolled.model_dump_json())
    Home(home).identity()
    await account.build("network", NETWORK)
    await account.deploy("network", {"cidr": "canary-one"})
    await account.deploy("network", {"cidr": "canary-two"})
    return account


def home_of(account: Customer) -> Path:
    return account.site.components.folder.parent


async def state(account: Customer, *arguments: str | Path) -> Result:
    command = ["state", *map(str, arguments), "--home", str(home_of(account))]
    return await anyio.to_thread.run_sync(lambda: CliRunner().invoke(agent_command, command))


async def test_a_customer_sees_what_there_is_but_no_value(deployed: Customer) -> None:
    listed = await state(deployed, "list", "--json")
    found = json.loads(listed.stdout)
    assert [(one["component"], one["objects"], one["locked_by"]) for one in found] == [("network", 1, None)]
    assert (await state(deployed, "list")).exit_code == 0
    shown = await state(deployed, "show", "network")
    assert json.loads(shown.stdout)["resources"][0]["address"] == "terraform_data.net"
    versions = json.loads((await state(deployed, "versions", "network", "--json")).stdout)
    assert len(versions) == 2
    for said in (listed, shown):
        assert "canary" not in said.output


async def test_a_version_is_restored_as_a_new_one_and_the_next_plan_starts_from_it(deployed: Customer) -> None:
    _, older = json.loads((await state(deployed, "versions", "network", "--json")).stdout)
    restored = await state(deployed, "restore", "network", "--version", older["version"], "--yes")
    assert restored.exit_code == 0, restored.output
    assert deployed.site.states
    stored = deployed.site.states.of("network").load()
    assert stored
    assert b"canary-one" in stored.state
    assert json.loads(stored.state)["serial"] > older["serial"] + 1
    planned = await deployed.run(deployed.job("plan", "network", {"cidr": "canary-two"}), "job_after")
    assert planned.summary.change == 1


async def test_an_exported_state_is_edited_and_put_back(deployed: Customer, tmp_path: Path) -> None:
    file = tmp_path / "network.tfstate"
    exported = await state(deployed, "export", "network", "--output", file)
    assert exported.exit_code == 0, exported.output
    assert file.stat().st_mode & 0o077 == 0
    again = await state(deployed, "export", "network", "--output", file)
    assert again.exit_code == 1
    document = json.loads(file.read_text())
    file.write_text(json.dumps({**document, "resources": []}))
    restored = await state(deployed, "restore", "network", "--file", file, "--yes")
    assert restored.exit_code == 0, restored.output
    planned = await deployed.run(deployed.job("plan", "network", {"cidr": "canary-two"}), "job_after")
    assert planned.summary.add == 1


async def test_a_state_in_use_is_not_replaced(deployed: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.install.terraform_module.kept_state._BUSY_SECONDS", 0.1)
    (version, *_) = json.loads((await state(deployed, "versions", "network", "--json")).stdout)
    async with workspace_lock(deployed.home("network") / "lock", limit=1):
        refused = await state(deployed, "restore", "network", "--version", version["version"], "--yes")
    assert refused.exit_code == 1
    assert "a job is at work on network" in refused.output


async def test_states_move_to_another_place_with_their_versions(deployed: Customer, tmp_path: Path) -> None:
    moved = await state(deployed, "move", "--to", tmp_path / "elsewhere")
    assert moved.exit_code == 0, moved.output
    place = remembered(home_of(deployed))
    assert place == Place(state=str(tmp_path / "elsewhere"))
    states = open_states(place, home_of(deployed), "ins_1", "agt_1")
    assert states.of("network").load()
    assert len(states.of("network").versions()) == 2
    assert [path for path in (home_of(deployed) / "states").rglob("*/current")] == []


async def test_a_new_key_seals_everything_anew(deployed: Customer) -> None:
    keys = (home_of(deployed) / "state.keys").read_text()
    rotated = await state(deployed, "rotate-key")
    assert rotated.exit_code == 0, rotated.output
    assert "3 states are sealed anew; 1 old keys" in rotated.output
    assert (home_of(deployed) / "state.keys").read_text() != keys
    assert json.loads((await state(deployed, "show", "network")).stdout)["resources"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show", "nothing"], "has no state"),
        (["show", "network", "--version", "../../x"], "no version"),
        (["restore", "network"], "--version or --file"),
        (["move", "--to", "relative"], "isn't understood"),
        (["rotate-key", "--to", "vault:x"], "isn't understood"),
    ],
)
async def test_what_cannot_be_done_is_said_and_changes_nothing(arguments: list[str], said: str, deployed: Customer) -> None:
    refused = await state(deployed, *arguments)
    assert refused.exit_code in (1, 2)
    assert said in refused.output
    assert "Traceback" not in refused.output
    assert (await state(deployed, "show", "network")).exit_code == 0


async def test_while_the_agent_runs_nothing_moves(deployed: Customer, tmp_path: Path) -> None:
    with Home(home_of(deployed)).occupied():
        refused = await state(deployed, "move", "--to", tmp_path / "elsewhere")
    assert refused.exit_code == 1
    assert "another agent runs on" in refused.output
    assert not (tmp_path / "elsewhere").exists()
