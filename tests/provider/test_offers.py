"""Data sources, functions, ephemeral resources, lists, timeouts, stops, and the provider's own configuration."""

import pytest
from checks import nothing_planned, output, planned, state_value
from engines import Engine, needs, on_every_engine
from harness import Said, Step, Workspace, until
from sample_provider import Store
from test_lifecycle import thing

PART = "sample_part.p"


@on_every_engine
def test_a_data_source_reads_and_refuses_on_the_line(workspace: Workspace) -> None:
    data = 'data "sample_thing" "d" {\n  name = sample_thing.a.name\n}\n'
    workspace.run(
        Step(thing("size = 5") + data, state=[state_value("data.sample_thing.d", "size", value=5)]),
        Step(
            thing("size = 5") + 'data "sample_thing" "d" {\n  name = "nobody"\n}\n',
            error=Said("No such thing", "nobody", line='name = "nobody"', address="data.sample_thing.d"),
        ),
        Step(thing("size = 5") + 'data "sample_thing" "d" {\n}\n', error=Said("Exactly one is needed", "`id` and `name`")),
    )


@on_every_engine
def test_functions_answer_and_name_the_argument_at_fault(workspace: Workspace) -> None:
    def value(expression: str) -> str:
        return f'output "o" {{\n  value = {expression}\n}}\n'

    workspace.run(
        Step(value('provider::sample::join("-", "a", "b", "c")'), state=[output("o", "a-b-c")]),
        Step(value('provider::sample::join(null, "a", "b")'), state=[output("o", "ab")]),
        Step(value("provider::sample::double(0.1)"), state=[output("o", 0.2)]),
        Step(
            value('provider::sample::join("-", "a", "")'),
            error=Said("Invalid function argument", "a part is empty", line="provider::sample::join"),
        ),
        Step(value("provider::sample::double(13)"), error=Said("Error in function call", "a bug in double")),
        Step(
            thing() + value('provider::sample::join("-", "a", sample_thing.a.id)'),
            state=[output("o", "a-id-1")],
        ),
    )


@on_every_engine
def test_an_ephemeral_value_is_opened_renewed_and_closed(workspace: Workspace, engine: Engine, store: Store) -> None:
    needs(engine, terraform="1.11", tofu="1.11")
    workspace.run(
        Step(
            'ephemeral "sample_token" "t" {\n  scope = "all"\n}\n'
            + thing("secret = ephemeral.sample_token.t.value\nsecret_version = 1")
            + 'resource "sample_part" "p" {\n  name = "after a renewal"\n  depends_on = [sample_thing.a]\n}\n',
        ),
        Step('ephemeral "sample_token" "t" {\n  scope = "ALL"\n}\n', error=Said("Invalid value", line='scope = "ALL"')),
    )
    assert store.secrets["id-1"]["secret"] == "token-all"
    assert "open" in store.calls
    assert "renew all" in store.calls
    assert any(call.startswith("close") for call in store.calls)


@on_every_engine
def test_a_query_lists_what_can_be_imported(workspace: Workspace, engine: Engine) -> None:
    needs(engine, terraform="1.14")
    workspace.run(Step('resource "sample_thing" "a" {\n  for_each = toset(["a-1", "a-2", "b-1"])\n  name = each.key\n}\n'))

    def query(body: str) -> tuple[int, list[str], str]:
        workspace.write("find.tfquery.hcl", f'list "sample_thing" "all" {{\n  provider = sample\n{body}\n}}\n')
        run = workspace.command("query", "-json")
        found = [line["list_resource_found"] for line in run.lines if line.get("type") == "list_resource_found"]
        return run.code, sorted(each["display_name"] for each in found), run.text

    assert query("")[:2] == (0, ["a-1", "a-2", "b-1"])
    assert query('  include_resource = true\n  config {\n    prefix = "a"\n  }')[:2] == (0, ["a-1", "a-2"])
    assert len(query("  limit = 1")[1]) == 1
    code, _, text = query('  config {\n    prefix = "broken"\n  }')
    assert code == 1
    assert "The list breaks off." in text
    code, _, text = query('  config {\n    prefix = "UPPER"\n  }')
    assert code == 1
    assert "does not match" in text


@on_every_engine
def test_a_timeout_ends_a_wait(workspace: Workspace) -> None:
    def part(takes: str, create: str) -> str:
        return f'resource "sample_part" "p" {{\n  name = "p"\n  takes = "{takes}"\n  timeouts = {{ create = "{create}" }}\n}}\n'

    workspace.run(
        Step(part("5s", "0.1s"), error=Said("Too slow", "It has not ended within 0.1 s.", address=PART)),
        Step(part("5s", "never"), error=Said("Invalid value", "is not a duration")),
        Step(part("0.1s", "5s"), plan=[planned(PART, "create")]),
    )


@on_every_engine
def test_ctrl_c_in_a_create_reaches_the_provider_and_leaves_an_untainted_object(workspace: Workspace, store: Store) -> None:
    workspace.write("main.tf", 'resource "sample_part" "p" {\n  name = "p"\n  takes = "60s"\n}\n')
    process = workspace.start("apply", "-json", "-auto-approve", "-input=false")
    until(process, lambda: "waiting" in store.calls)
    run = workspace.interrupt(process)
    assert store.stopped.is_set()
    assert "It goes on without Terraform." in run.text
    assert [each["status"] for each in store.objects.values()] == ["pending"]
    workspace.run(Step('resource "sample_part" "p" {\n  name = "p"\n  takes = "60s"\n}\n', plan=[nothing_planned]))


@pytest.mark.parametrize(
    ("realm", "said"),
    [
        ('"closed"', Said("Closed", "This realm is closed.", line='realm = "closed"')),
        ('"UPPER"', Said("Invalid value", "does not match", line='realm = "UPPER"')),
    ],
)
@on_every_engine
def test_the_providers_own_configuration_is_checked(workspace: Workspace, realm: str, said: Said) -> None:
    workspace.run(Step(f'provider "sample" {{\n  realm = {realm}\n}}\n{thing()}', error=said))


@on_every_engine
def test_fifty_at_a_time_are_no_trouble(workspace: Workspace, store: Store) -> None:
    many = 'resource "sample_thing" "a" {\n  count = 200\n  name = "a-${count.index}"\n}\n'
    workspace.write("main.tf", many)
    run = workspace.command("apply", "-json", "-auto-approve", "-input=false", "-parallelism=50")
    assert run.code == 0, run.text
    assert len(store.objects) == 200
    workspace.run(Step(many, plan=[nothing_planned], arguments=["-parallelism=50"]))
