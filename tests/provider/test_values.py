"""Nested attributes, blocks, write-only and normalized values, numbers and unknowns, as every engine sends and checks them."""

import json
import re
from collections.abc import Callable
from typing import Any

from checks import UNKNOWN, nothing_planned, planned, planned_value, state_matches, state_value
from engines import Engine, needs, on_every_engine
from harness import Said, Step, Workspace
from sample_provider import Store
from test_lifecycle import THING, thing


def pairs(key: str, value: str, **expected: Any) -> Callable[[list[dict[str, Any]]], bool]:
    """Whether the elements of a set have these values by their keys."""
    return lambda found: {each[key]: each[value] for each in found} == expected


NESTED = """
  owner = { name = "ann" }
  ports = {
    http = { port = 80 }
    dns  = { port = 53, protocol = "udp" }
  }
  rules = [{ action = "allow" }, { action = "deny", priority = 20 }]
  peers = [{ address = "b" }, { address = "a", weight = 2 }, { address = "c" }]
"""


@on_every_engine
def test_nested_attributes_have_defaults_and_computed_values_at_any_depth(workspace: Workspace) -> None:
    workspace.run(
        Step(
            thing(NESTED),
            plan=[
                planned_value(THING, "owner", "team", value="core"),
                planned_value(THING, "owner", "id", value=UNKNOWN),
                planned_value(THING, "ports", "http", "protocol", value="tcp"),
                planned_value(THING, "rules", 0, "priority", value=10),
                planned_value(THING, "rules", 1, "id", value=UNKNOWN),
            ],
            state=[
                state_value(THING, "ports", "dns", "protocol", value="udp"),
                state_matches(THING, "peers", test=pairs("address", "weight", a=2, b=1, c=1)),
                state_matches(THING, "owner", "id", test=lambda found: found.startswith("id-")),
            ],
        ),
        Step(thing(NESTED), plan=[nothing_planned]),
    )
    workspace.verify_import(THING, import_id="a")


@on_every_engine
def test_elements_of_a_set_keep_their_ids_when_others_come_and_go(workspace: Workspace, store: Store) -> None:
    workspace.run(Step(thing('peers = [{ address = "a" }, { address = "b", weight = 5 }]')))

    def ids() -> dict[str, str]:
        (only,) = store.objects.values()
        return {each["address"]: each["id"] for each in only["peers"]}

    before = ids()
    workspace.run(Step(thing('peers = [{ address = "new" }, { address = "b", weight = 5 }]'), plan=[planned(THING, "update")]))
    assert ids()["b"] == before["b"]
    assert ids()["new"] not in before.values()


BLOCKS = """
  public {
    image_url = "nginx"
  }
  mount {
    path = "/data"
    option {
      key = "noatime"
    }
    option {
      key   = "size"
      value = "1g"
    }
  }
  mount {
    path      = "/tmp"
    read_only = true
  }
  grant {
    role = "writer"
  }
  grant {
    role  = "reader"
    scope = "one"
  }
"""


@on_every_engine
def test_blocks_nest_with_defaults_and_computed_values(workspace: Workspace) -> None:
    workspace.run(
        Step(
            thing(BLOCKS),
            plan=[
                planned_value(THING, "public", "tag", value="latest"),
                planned_value(THING, "mount", 0, "read_only", value=False),
                planned_value(THING, "mount", 1, "option", value=[]),
            ],
            state=[
                state_matches(THING, "mount", 0, "option", test=pairs("key", "value", noatime="on", size="1g")),
                state_matches(THING, "grant", test=pairs("role", "scope", reader="one", writer="all")),
            ],
        ),
        Step(thing(BLOCKS.replace("/tmp", "/var")), plan=[planned_value(THING, "mount", 1, "path", value="/var")]),
        Step(thing(), plan=[planned_value(THING, "public", value=None), planned_value(THING, "mount", value=[])]),
    )


@on_every_engine
def test_errors_in_blocks_and_nested_attributes_are_shown_on_their_lines(workspace: Workspace) -> None:
    public = 'public {\n image_url = "x"\n}\n'
    workspace.run(
        Step(thing('mount {\n path = "/ok"\n}\nmount {\n path = "data"\n}'), error=Said("Invalid value", line='path = "data"')),
        Step(thing('registry {\n image_url = "UPPER"\n}'), error=Said("Invalid value", line='image_url = "UPPER"')),
        Step(
            thing('ports = {\n  http = { port = 1, protocol = "icmp" }\n}'), error=Said("Invalid value", "ports.http.protocol")
        ),
        Step(
            thing('owner = {\n  name = "x"\n}\nrules = [\n{ action = "maybe" }]'), error=Said("Invalid value", "rules.0.action")
        ),
        Step(thing("size = 101"), error=Said("Invalid value", "101 is more than 100", line="size = 101")),
        Step(thing('title = "x"\nnote = "y"'), error=Said("Conflicting values", line='title = "x"')),
        Step(thing(f'{public}registry {{\n image_url = "y"\n}}'), error=Said("Conflicting values")),
        Step(thing('document = "{"'), error=Said("Invalid value", "this is not JSON", line='document = "{"')),
        Step(thing('settings = "a: [1"'), error=Said("Invalid value", "this is not YAML", line="settings =")),
        Step(thing('every = "soon"'), error=Said("Invalid value", "is not a duration", line='every = "soon"')),
        Step(thing('title = "x"'), warnings=[Said("Deprecated", "Use `note`.", line='title = "x"')]),
    )


@on_every_engine
def test_texts_that_mean_the_same_are_no_change(workspace: Workspace, store: Store) -> None:
    def texts(document: str, settings: str, every: str) -> str:
        return thing(f"document = {document}\nsettings = {json.dumps(settings)}\nevery = {json.dumps(every)}")

    one, other = 'jsonencode({ a = [1, true], b = "x" })', 'jsonencode({ a = [1, 1], b = "x" })'
    workspace.run(
        # The sample hands back JSON and durations in a form of its own, like many servers.
        Step(
            texts(one, "a: 1\nb: [x, y]\n", "90s"),
            state=[state_value(THING, "document", value='{"a":[1,true],"b":"x"}'), state_value(THING, "every", value="90s")],
        ),
        Step(texts(json.dumps('{ "b": "x", "a": [1, true] }'), "b:\n- x\n- y\na: 1\n", "1m30s"), plan=[nothing_planned]),
        Step(texts(other, "a: 1\nb: [x, y]\n", "90s"), plan=[planned(THING, "update")]),
        Step(texts(other, "a: '1'\nb: [x, y]\n", "90s"), plan=[planned(THING, "update")]),
        Step(texts(other, "a: '1'\nb: [x, y]\n", "91s"), plan=[planned(THING, "update")]),
        Step(
            texts(other, "a: '1'\nb: [x, y]\n", "91s"),
            before=lambda: store.objects["id-1"].update(document='{"a": [2]}'),
            plan=[planned(THING, "update")],
        ),
    )


@on_every_engine
def test_a_write_only_value_reaches_the_provider_and_nothing_else(workspace: Workspace, engine: Engine, store: Store) -> None:
    needs(engine, terraform="1.11", tofu="1.11")

    def body(secret: str, version: int) -> str:
        return thing(
            f'secret = "{secret}"\nsecret_version = {version}\nregistry {{\n image_url = "x"\n password = "inner-{secret}"\n}}'
        )

    workspace.run(
        Step(
            body("hush-hush", 1),
            plan=[planned_value(THING, "secret", value=None), planned_value(THING, "registry", "password", value=None)],
            state=[state_value(THING, "secret", value=None), state_value(THING, "secret_length", value=9)],
        ),
        # Another secret alone is no change: nobody can know. Another version is.
        Step(body("hush", 1), plan=[nothing_planned]),
        Step(body("hush", 2), plan=[planned(THING, "update")], state=[state_value(THING, "secret_length", value=4)]),
    )  # fmt: skip
    assert store.secrets["id-1"] == {"secret": "hush", "registry": "inner-hush"}
    assert not re.search("hush", (workspace.folder / "terraform.tfstate").read_text())


@on_every_engine
def test_numbers_are_exact(workspace: Workspace, store: Store) -> None:
    body = 'ratio = 0.1\nhuge = 123456789012345678901234567890\nanything = [1, 0.25, "x", { y = 0.3 }]'
    workspace.run(
        Step(
            thing(body),
            plan=[planned_value(THING, "ratio", value=0.1)],
            state=[state_value(THING, "huge", value=123456789012345678901234567890), state_value(THING, "ratio", value=0.1)],
        ),
        Step(thing(body.replace("0.1", "0.10")), plan=[nothing_planned]),
    )
    assert store.objects["id-1"]["ratio"] == 0.1
    assert store.objects["id-1"]["huge"] == 123456789012345678901234567890
    assert store.objects["id-1"]["anything"].value == [1, 0.25, "x", {"y": 0.3}]


@on_every_engine
def test_values_that_are_known_only_after_apply_flow_through(workspace: Workspace) -> None:
    config = """
    resource "sample_part" "p" {
      name = "p"
    }
    resource "sample_thing" "a" {
      name     = "a"
      note     = "pre-${sample_part.p.id}"
      document = jsonencode({ part = sample_part.p.id })
      every    = sample_part.p.status == "ready" ? "5s" : null
      labels   = { part = sample_part.p.id }
      peers    = [{ address = sample_part.p.id }, { address = "known" }]
      dynamic "mount" {
        for_each = [sample_part.p.id]
        content {
          path = "/${mount.value}"
        }
      }
      dynamic "grant" {
        for_each = toset(sample_part.p.status == "ready" ? ["x", "y"] : [])
        content {
          role = grant.value
        }
      }
    }
    """
    workspace.run(
        Step(
            config,
            plan=[
                planned_value(THING, "note", value=UNKNOWN),
                planned_value(THING, "document", value=UNKNOWN),
                planned_value(THING, "labels", "part", value=UNKNOWN),
            ],
            state=[
                state_value(THING, "note", value="pre-id-1"),
                state_value(THING, "document", value='{"part":"id-1"}'),
                state_matches(THING, "grant", test=lambda found: len(found) == 2),
            ],
        )
    )
