"""What happens to states: upgrades, moves, private state, identity, generated configurations."""

import json
from typing import Any

import pytest
from checks import has_identity, not_in_state, nothing_planned, planned, state_value
from engines import Engine, needs, on_every_engine
from harness import Said, Step, Workspace
from sample_provider import Store
from test_lifecycle import THING, thing


def edit_state(workspace: Workspace, **changes: Any) -> None:
    """Change the one resource of the state file, as if another release of the provider had written it."""
    path = workspace.folder / "terraform.tfstate"
    state = json.loads(path.read_text())
    (instance,) = state["resources"][0]["instances"]
    instance.update({**changes, "attributes": {**instance["attributes"], **changes.get("attributes", {})}})
    path.write_text(json.dumps(state))


@on_every_engine
def test_a_state_of_an_older_schema_is_upgraded(workspace: Workspace) -> None:
    workspace.run(Step(thing('note = "old"\nanything = 5')))
    edit_state(workspace, schema_version=1, attributes={"remark": "old", "dropped": 1, "note": None})
    workspace.run(
        Step(thing('note = "old"\nanything = 5'), plan=[nothing_planned], state=[state_value(THING, "note", value="old")])
    )


@on_every_engine
def test_a_state_of_a_newer_schema_is_refused_in_words(workspace: Workspace) -> None:
    workspace.run(Step(thing()))
    text = (workspace.folder / "terraform.tfstate").read_text()
    edit_state(workspace, schema_version=9)
    workspace.run(Step(thing(), error=Said(detail="newer")))
    (workspace.folder / "terraform.tfstate").write_text(text)


@on_every_engine
def test_a_resource_moves_to_another_type(workspace: Workspace, store: Store) -> None:
    moved = "moved {\n  from = sample_thing.a\n  to = sample_part.b\n}\n"
    workspace.run(
        Step(thing()),
        Step(
            f'resource "sample_part" "b" {{\n  name = "a"\n}}\n{moved}',
            plan=[planned("sample_part.b", "no-op")],
            state=[state_value("sample_part.b", "id", value="id-1"), not_in_state(THING)],
        ),
    )
    assert list(store.objects) == ["id-1"]


@on_every_engine
def test_a_move_that_is_not_possible_is_refused_in_words(workspace: Workspace) -> None:
    moved = "moved {\n  from = sample_part.b\n  to = sample_thing.a\n}\n"
    workspace.run(
        Step('resource "sample_part" "b" {\n  name = "a"\n}\n'),
        Step(thing() + moved, error=Said("This move isn't possible", "Remove the `moved` block.")),
    )


@on_every_engine
def test_private_state_goes_along_and_an_empty_one_clears_it(workspace: Workspace, store: Store) -> None:
    workspace.run(Step(thing('note = "x"')), Step(thing('note = "y"'), plan=[planned(THING, "update")]))
    assert store.private["id-1"] == {"made": "a"}
    workspace.run(Step(thing('note = "forget"')))
    assert store.private["id-1"] == {}


@on_every_engine
def test_an_identity_is_stored_and_stays(workspace: Workspace, engine: Engine) -> None:
    needs(engine, terraform="1.12")
    identity = {"id": "id-1", "realm": None}
    workspace.run(
        Step(thing(), state=[has_identity(THING, identity)]),
        Step(thing("size = 9"), state=[has_identity(THING, identity)]),
    )


@on_every_engine
def test_a_destroy_is_announced_to_the_provider_when_it_is_planned(workspace: Workspace) -> None:
    workspace.run(
        Step(thing('note = "precious"')),
        Step("", warnings=[Said("Precious", "This thing is precious.")], plan=[planned(THING, "delete")]),
    )


@on_every_engine
def test_a_configuration_is_generated_for_what_is_imported(workspace: Workspace, engine: Engine) -> None:
    workspace.run(Step(thing('note = "hello"\nports = { http = { port = 80 } }\nmount {\n  path = "/x"\n}')))
    text = workspace.generated_config(THING, "id-1")
    assert "name" in text
    assert '"hello"' in text
    assert "revision" not in text, "what is computed alone isn't set by a user"
    if engine.at_least(terraform="1.14"):
        assert not [line for line in text.splitlines() if line.split()[:2] == ["size", "="] and "3" in line], "defaults go"


@pytest.mark.parametrize("value", ["1", '"text"', "[1, 2.5]", "{ a = true }", "null"])
@on_every_engine
def test_a_value_of_any_type_survives_the_state(workspace: Workspace, value: str) -> None:
    workspace.run(Step(thing(f"anything = {value}")), Step(thing(f"anything = {value}"), plan=[nothing_planned]))
