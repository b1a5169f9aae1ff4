"""The install agent updates itself by what the vendor has signed, with real processes, and is never left without an agent."""

from collections.abc import Iterator

import pytest
from stage import Stage
from updating import DOES_NOT_START, Field

from agent.identity import VERSION

pytestmark = pytest.mark.e2e


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
