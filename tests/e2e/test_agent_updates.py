"""The install agent updates itself by what the vendor has signed, with real processes, and is never left without an agent.

What the IMS can't make it do is in tests/agent/update/test_offered_versions.py, each step of the swap under SIGKILL in
test_supervisor.py.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from stage import Stage, wait_for
from updating import DOES_NOT_START, Field

from agent.identity import VERSION
from agent.oci.vendor_key import VendorKey
from agent.update.state import BASE

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    stage = Stage(tmp_path_factory.mktemp("vendor") / "stage", lease_seconds=4)
    try:
        stage.start_ims()
        made = Field(stage)
        made.publish("0.2.0")
        made.publish("0.3.0", changed={"agent/serve.py": DOES_NOT_START})
        yield made
    finally:
        stage.remove()


def test_an_agent_updates_itself_and_a_broken_version_is_put_back(field: Field) -> None:
    acme = field.join("acme")
    assert acme.told_version() == VERSION

    updated = acme.update("0.2.0")
    assert updated["state"] == "succeeded", updated
    assert acme.told_version() == "0.2.0"
    assert acme.versions.current() == "0.2.0"
    assert acme.works()

    broken = acme.update("0.3.0")
    assert broken["failure"]["code"] == "update_rolled_back", broken
    assert "this version is broken" in broken["failure"]["message"]
    assert acme.versions.current() == "0.2.0"
    assert acme.works()
    assert acme.update("0.3.0")["failure"]["code"] == "update_refused"
    assert [name for name, _ in acme.events()] == ["update.begun", "update.ended", "update.begun", "update.ended"]
    assert acme.events()[-1][1]["reason"] == broken["failure"]["message"].partition(": ")[2]

    # The customer goes back by hand, and that is not undone by an offer.
    assert acme.exclave("agent", "update", "--home", str(acme.home), "--rollback").code == 0
    wait_for("the installed version", lambda: acme.versions.current() == BASE and acme.state.trial is None)
    assert acme.works()
    assert acme.told_version() == VERSION
    assert acme.update("0.2.0")["failure"]["code"] == "update_refused"


def test_under_ask_the_customers_own_yes_is_needed(field: Field) -> None:
    careful = field.join("careful", "version: 1\n")
    asked = careful.update("0.2.0")
    assert asked["failure"]["code"] == "update_asks", asked
    assert careful.told_version() == VERSION
    checked = careful.exclave("agent", "update", "--home", str(careful.home), "--check")
    assert "ready     Exclave 0.2.0" in checked.output
    begun = careful.exclave("agent", "update", "--home", str(careful.home))
    assert begun.code == 0, begun.output
    wait_for("version 0.2.0", lambda: careful.state.last and careful.state.last.outcome == "updated")
    assert careful.told_version() == "0.2.0"
    wait_for("the ledger", lambda: [name for name, _ in careful.events()][-1:] == ["update.ended"])


def test_another_key_gets_nowhere_and_killed_at_random_moments_one_agent_is_left(field: Field, tmp_path: Path) -> None:
    VendorKey.load_or_create(tmp_path / "attackers.key")
    stolen = field.publish("0.2.1", key=tmp_path / "attackers.key")
    victim = field.join("victim")
    assert victim.update("0.2.1", stolen)["failure"]["code"] == "signature_refused"

    job = victim.offer("0.2.0")
    for pause in (0.5, 4, 3, 2):
        time.sleep(pause)  # no condition is waited for: the moment of the kill is what is varied
        victim.kill()
        victim.start()
    ended = victim.ended(job, seconds=120)
    outcome = "0.2.0" if ended["state"] == "succeeded" else VERSION
    assert ended["state"] == "succeeded" or ended["failure"]["code"] == "update_rolled_back", ended
    assert victim.works()
    assert victim.told_version() == outcome
