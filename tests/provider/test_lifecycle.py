"""Create, update, replace, drift, import and destroy, on every engine."""

from checks import UNKNOWN, drifted, nothing_planned, planned, planned_value, state_value
from engines import Engine, needs, on_every_engine
from harness import Said, Step, Workspace
from sample_provider import Store

THING = "sample_thing.a"


def thing(body: str = "", name: str = "a") -> str:
    return f'resource "sample_thing" "a" {{\n  name = "{name}"\n{body}\n}}\n'


@on_every_engine
def test_a_thing_is_made_changed_replaced_and_destroyed(workspace: Workspace, store: Store) -> None:
    workspace.run(
        Step(
            thing(),
            plan=[
                planned(THING, "create"),
                planned_value(THING, "size", value=3),
                planned_value(THING, "labels", value={}),
                planned_value(THING, "id", value=UNKNOWN),
            ],
            state=[state_value(THING, "id", value="id-1"), state_value(THING, "revision", value=1)],
        ),
        Step(
            thing("size = 4"),
            plan=[
                planned(THING, "update"),
                planned_value(THING, "id", value="id-1"),
                planned_value(THING, "revision", value=UNKNOWN),
            ],
            state=[state_value(THING, "revision", value=2)],
        ),
        Step(thing(), plan=[planned_value(THING, "size", value=3)]),
        Step(thing(name="b"), plan=[planned(THING, "replace", because=("name",)), planned_value(THING, "id", value=UNKNOWN)]),
    )
    assert [each["name"] for each in store.objects.values()] == ["b"]
    workspace.destroy()
    assert not store.objects


@on_every_engine
def test_drift_is_found_and_mended_and_what_is_gone_is_made_anew(workspace: Workspace, store: Store) -> None:
    def change() -> None:
        store.objects["id-1"]["note"] = "changed elsewhere"

    workspace.run(
        Step(thing('note = "ours"')),
        Step(
            thing('note = "ours"'),
            before=change,
            plan=[planned(THING, "update"), drifted(THING, "note", value="changed elsewhere")],
        ),
        Step(thing('note = "ours"'), plan=[nothing_planned]),
        Step(thing('note = "ours"'), before=store.objects.clear, plan=[planned(THING, "create")]),
    )


@on_every_engine
def test_a_thing_is_imported_by_id_name_and_block(workspace: Workspace) -> None:
    workspace.run(Step(thing('size = 7\nmount {\n  path = "/x"\n}')))
    workspace.verify_import(THING, import_id="id-1")
    workspace.verify_import(THING, import_id="a")
    workspace.verify_import(THING, import_id="id-1", block=True)


@on_every_engine
def test_a_thing_is_imported_by_identity(workspace: Workspace, engine: Engine) -> None:
    needs(engine, terraform="1.12")
    workspace.run(Step(thing("size = 7")))
    workspace.verify_import(THING, identity='{ id = "id-1" }')


@on_every_engine
def test_an_error_is_shown_on_its_line_and_changes_nothing(workspace: Workspace, store: Store) -> None:
    workspace.run(
        Step(thing(name="A-B"), error=Said("Invalid value", "lower case", line='name = "A-B"', address=THING)),
        Step(thing('note = "bad"'), error=Said("Bad note", "Write a good one.", line='note = "bad"', address=THING)),
        Step(thing('note = "unplannable"'), error=Said("Unplannable", line='note = "unplannable"')),
        Step(thing('note = "crash"'), error=Said("The provider failed", "a bug in create", address=THING)),
    )
    assert not store.objects
    workspace.run(
        Step(thing('note = "fine"')),
        Step(thing('note = "refuse"'), error=Said("Refused", line='note = "refuse"')),
        Step(thing('note = "fine"'), plan=[nothing_planned]),
    )
