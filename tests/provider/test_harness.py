"""The harness finds what it is there to find: each of these would pass in a harness that checks nothing."""

import pytest
from checks import UNKNOWN, nothing_planned, planned, planned_value, state_value
from engines import engines
from harness import Said, Step, Workspace
from sample_provider import Sample, Thing
from test_lifecycle import THING, thing

from provider_bridge.framework.resource import Call
from provider_bridge.protocol.values import Object

pytestmark = pytest.mark.parametrize("engine", engines()[:1], ids=str)


def test_a_plan_that_is_never_empty(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Thing.read

    def drifting(self: Thing, call: Call, state: Object) -> Object | None:
        found = read(self, call, state)
        return found and {**found, "note": "always another"}

    monkeypatch.setattr(Thing, "read", drifting)
    with pytest.raises(AssertionError, match="the plan after the apply isn't empty"):
        workspace.run(Step(thing()))


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (planned(THING, "update"), "not update"),
        (planned("sample_thing.b", "create"), "the plan has no sample_thing.b"),
        (planned_value(THING, "size", value=4), "3, not 4"),
        (planned_value(THING, "size", value=UNKNOWN), "3, not <object"),
        (planned_value(THING, "id", value="id-1"), "unknown, not 'id-1'"),
        (nothing_planned, "create"),
    ],
)
def test_a_plan_that_is_another(workspace: Workspace, check: object, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        workspace.run(Step(thing(), plan=[check]))  # type: ignore[list-item]


def test_a_state_that_is_another(workspace: Workspace) -> None:
    with pytest.raises(AssertionError, match="3, not 4"):
        workspace.run(Step(thing(), state=[state_value(THING, "size", value=4)]))


def test_an_error_that_does_not_come_and_one_that_nobody_expects(workspace: Workspace) -> None:
    with pytest.raises(AssertionError, match="nothing fails with"):
        workspace.run(Step(thing(), error=Said("Bad note")))
    with pytest.raises(AssertionError, match="It is bad"):
        workspace.run(Step(thing('note = "bad"')))
    with pytest.raises(AssertionError, match="isn't in"):
        workspace.run(Step(thing('note = "bad"'), error=Said("Bad note", line="name =")))


def test_an_import_that_does_not_find_everything(workspace: Workspace, sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace.run(Step(thing("size = 7")))
    read = Thing.read

    def forgetful(self: Thing, call: Call, state: Object) -> Object | None:
        found = read(self, call, state)
        return found and {**found, "note": "not there before"}

    monkeypatch.setattr(Thing, "read", forgetful)
    with pytest.raises(AssertionError, match="after import"):
        workspace.verify_import(THING, import_id="a")
    workspace.verify_import(THING, import_id="a", ignore=["note"])
