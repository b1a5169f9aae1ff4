"""Plans of nested attributes, blocks, write-only and normalized values, as pure functions."""

from typing import Any

import pytest

from provider_bridge.framework import planning, validation
from provider_bridge.framework.diagnostics import Key
from provider_bridge.framework.durations import timeout
from provider_bridge.framework.meaning import same_meaning
from provider_bridge.framework.schema import Schema, conform, schema_from_json
from provider_bridge.protocol.values import UNKNOWN


def schema(attributes: dict[str, Any] | None = None, **more: Any) -> Schema:
    return schema_from_json({"attributes": attributes or {}, **more})


def attribute(type: Any = "string", **more: Any) -> dict[str, Any]:
    return {"description": "", "type": type, **more}


def nested(nesting: str, inner: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"description": "", "nesting": nesting, "nested": inner, "optional": True, **more}


INNER = {
    "key": attribute(required=True),
    "kind": attribute(default="plain"),
    "id": attribute(computed=True, stable=True),
    "seen": attribute(computed=True),
}


def element(key: str, id: Any = None, seen: Any = None, kind: Any = None) -> dict[str, Any]:
    return {"key": key, "kind": kind, "id": id, "seen": seen}


def test_elements_of_a_list_are_paired_by_place_those_of_a_map_by_key_those_of_a_set_by_value() -> None:
    pairs: dict[str, tuple[Any, Any, Any]] = {
        "list": (
            [element("a", "1", "x", "plain"), element("b", "2", "x", "plain")],
            [element("c"), element("b"), element("d")],
            [("c", "1"), ("b", "2"), ("d", UNKNOWN)],
        ),
        "set": (
            [element("a", "1", "x", "plain"), element("b", "2", "x", "plain")],
            [element("c"), element("b")],
            [("c", UNKNOWN), ("b", "2")],
        ),
    }
    for nesting, (before, config, expected) in pairs.items():
        body = schema({"of": nested(nesting, INNER)})
        found = planning.plan(body, {"of": config}, {"of": before})["of"]
        assert [(each["key"], each["id"]) for each in found] == expected
        assert all(each["seen"] is UNKNOWN and each["kind"] == "plain" for each in found)
    body = schema({"of": nested("map", INNER)})
    found = planning.plan(
        body, {"of": {"x": element("z"), "new": element("n")}}, {"of": {"x": element("a", "1", "x", "plain")}}
    )
    assert found["of"]["x"] == element("z", "1", UNKNOWN, "plain")
    assert found["of"]["new"]["id"] is UNKNOWN


def test_the_order_of_a_set_is_no_change() -> None:
    body = schema(
        {
            "plain": attribute(["set", "string"], optional=True),
            "of": nested("set", {**INNER, "tags": attribute(["set", "string"])}),
        }
    )
    one = {**element("a", "1", "x", "plain"), "tags": ["s", "t"]}
    other = {**element("b", "2", "x", "plain"), "tags": None}
    prior = {"plain": ["x", "y"], "of": [one, other]}
    config = {"plain": ["y", "x"], "of": [{**element("b"), "tags": None}, {**element("a"), "tags": ["t", "s"]}]}
    assert planning.plan(body, config, prior) is prior
    assert planning.plan(body, {**config, "plain": ["x", "x"]}, prior) is not prior


def test_the_default_of_a_nested_attribute_is_filled_in_to_its_depth() -> None:
    inner = {"deep": nested("single", {"level": attribute("number", default=1)}, default={})}
    body = schema({"of": nested("single", inner, default={})})
    assert planning.plan(body, {"of": None}, None) == {"of": {"deep": {"level": 1}}}
    assert planning.plan(body, {"of": {"deep": {"level": 2}}}, None) == {"of": {"deep": {"level": 2}}}


BLOCK = {
    "description": "",
    "attributes": INNER,
    "blocks": {"sub": {"description": "", "nesting": "set", "attributes": {"on": attribute("bool", default=True)}}},
}


def test_blocks_are_filled_in_like_nested_attributes() -> None:
    body = schema(blocks={"one": {**BLOCK, "nesting": "single"}, "many": {**BLOCK, "nesting": "list"}})
    config = {"one": None, "many": [{**element("a"), "sub": [{"on": None}, UNKNOWN]}]}
    planned = planning.plan(body, config, None)
    assert planned["one"] is None
    assert planned["many"] == [{**element("a", UNKNOWN, UNKNOWN, "plain"), "sub": [{"on": True}, UNKNOWN]}]
    prior = {"one": None, "many": [{**element("a", "1", "x", "plain"), "sub": [{"on": True}]}]}
    assert planning.plan(body, {"one": None, "many": [{**element("a"), "sub": [{"on": None}]}]}, prior) is prior
    assert planning.plan(body, {"one": None, "many": UNKNOWN}, prior)["many"] is UNKNOWN
    assert conform(body, {}) == {"one": None, "many": []}


def test_a_write_only_value_is_in_no_plan_and_no_state() -> None:
    body = schema({"secret": attribute(optional=True, write_only=True), "n": attribute(optional=True)})
    prior = {"secret": None, "n": "x"}
    assert planning.plan(body, {"secret": "s", "n": "x"}, prior) is prior
    assert planning.plan(body, {"secret": "s", "n": "y"}, None) == {"secret": None, "n": "y"}
    assert conform(body, {"secret": "leaked", "n": "x"}) == prior


def test_a_write_only_value_is_refused_where_terraform_does_not_know_them() -> None:
    body = schema(blocks={"b": {"description": "", "attributes": {"secret": attribute(optional=True, write_only=True)}}})
    (found,) = validation.check(body, {"b": {"secret": UNKNOWN}}, write_only_allowed=False)
    assert found.path == ("b", "secret")
    assert "Use Terraform 1.11" in found.detail
    assert not list(validation.check(body, {"b": {"secret": "s"}}))
    assert not list(validation.check(body, {"b": {"secret": None}}, write_only_allowed=False))


@pytest.mark.parametrize(
    ("kind", "one", "other", "same"),
    [
        ("json", '{"a":1,"b":[true]}', '{ "b": [true], "a": 1 }', True),
        ("json", "[1]", "[true]", False),
        ("json", "[1, 2]", "[2, 1]", False),
        ("json", "{", "{ ", False),
        ("yaml", "a: 1\nb: [x]\n", "b:\n  - x\na: 1", True),
        ("yaml", "a: 1", "a: '1'", False),
        ("yaml", "a: 1\n---\nb: 2\n", "a:   1\n---\nb:   2\n", True),
        ("yaml", "{", "{ ", False),
        ("duration", "90s", "1m30s", True),
        ("duration", "1h", "61m", False),
        ("duration", "soon", "soon ", False),
    ],
)
def test_texts_are_compared_by_what_they_mean(kind: Any, one: str, other: str, same: bool) -> None:
    assert same_meaning(kind, one, other) is same
    body = schema({"text": attribute(optional=True, normalized=kind)})
    assert (planning.plan(body, {"text": other}, {"text": one})["text"] == one) is same
    assert planning.keep_forms(body, {"text": one}, {"text": other})["text"] == (one if same else other)


def test_the_form_of_a_text_is_kept_at_any_depth() -> None:
    inner = {"key": attribute(required=True), "text": attribute(optional=True, normalized="json")}
    listed = attribute(["list", "string"], optional=True, normalized="json")
    for nesting in ("single", "list", "set", "map"):
        body = schema({"of": nested(nesting, inner), "all": listed})
        one, other = {"key": "k", "text": "[1, 2]"}, {"key": "k", "text": "[1,2]"}
        wrap = {"single": lambda x: x, "list": lambda x: [x], "set": lambda x: [x], "map": lambda x: {"m": x}}[nesting]
        written, found = {"of": wrap(one), "all": ["[1]", "{}"]}, {"of": wrap(other), "all": ["[ 1 ]", "[]"]}
        assert planning.keep_forms(body, written, found) == {"of": wrap(one), "all": ["[1]", "[]"]}
        assert planning.keep_forms(body, {}, found) == found


def test_what_forces_a_replacement_is_named_at_its_depth() -> None:
    inner = {"key": attribute(required=True, replaces=True)}
    body = schema(
        {
            "tags": attribute(["set", "string"], replaces=True),
            "one": nested("single", inner),
            "map": nested("map", inner),
            "list": nested("list", inner),
        },
        blocks={"block": {"description": "", "attributes": inner}},
    )

    def value(key: str, tags: list[str]) -> dict[str, Any]:
        of = {"key": key}
        return {"tags": tags, "one": of, "map": {"m": of}, "list": [of], "block": of}

    assert list(planning.replacing_paths(body, value("a", ["x", "y"]), value("a", ["y", "x"]))) == []
    assert list(planning.replacing_paths(body, value("a", ["x"]), value("b", ["y"]))) == [
        ("tags",),
        ("one", "key"),
        ("map", Key("m"), "key"),
        ("list", 0, "key"),
        ("block", "key"),
    ]


def test_a_configuration_for_a_state_has_what_a_user_would_write() -> None:
    body = schema(
        {
            "name": attribute(required=True),
            "size": attribute("number", default=3),
            "id": attribute(computed=True),
            "either": attribute(optional=True, computed=True),
            "secret": attribute(optional=True, write_only=True),
            "old": attribute(optional=True, deprecated="Use `name`."),
            "of": nested("map", INNER),
        },
        blocks={"b": {"description": "", "nesting": "list", "attributes": INNER}},
    )
    full = element("k", "1", "x", "plain")
    state = {"name": "n", "size": 3, "id": "i", "either": "e", "secret": None, "old": "o", "of": {"m": full}, "b": [full]}
    assert planning.config_of(body, state) == {
        **dict.fromkeys(("size", "id", "secret", "old")),
        "name": "n",
        "either": "e",
        "of": {"m": element("k")},
        "b": [element("k")],
    }


def test_a_timeout_is_what_is_written_or_the_default() -> None:
    for given, seconds in [(None, 9), ({}, 9), ({"create": None}, 9), ({"create": "1m"}, 60), (UNKNOWN, 9)]:
        assert timeout({"timeouts": given}, "create", 9) == seconds
    assert timeout({}, "delete", 5) == 5
