"""Plans of nested attributes, blocks, write-only and normalized values, as pure functions."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provider_bridge.framework import planning, validation
from provider_bridge.framework.diagnostics import Key
from provider_bridge.framework.durations import timeout
from provider_bridge.framework.meaning import same_meaning
from provider_bridge.framework.schema import Body, Schema, conform, each_object, schema_from_json
from provider_bridge.protocol.values import UNKNOWN, is_known


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


def test_an_element_of_a_set_that_fits_several_gives_way_to_one_that_fits_only_one() -> None:
    maybe = attribute(optional=True, computed=True)
    body = schema({"of": nested("set", {"a": maybe, "b": maybe})})
    prior = {"of": [{"a": "x", "b": "x"}, {"a": "made", "b": "x"}]}
    assert planning.plan(body, {"of": [{"a": None, "b": "x"}, {"a": "x", "b": None}]}, prior) is prior
    inner = schema({"of": nested("set", {"one": nested("single", {"a": maybe, "b": maybe})})})
    prior = {"of": [{"one": {"a": "x", "b": "x"}}, {"one": {"a": "made", "b": "x"}}]}
    config = {"of": [{"one": {"a": None, "b": "x"}}, {"one": {"a": "x", "b": "x"}}]}
    assert planning.plan(inner, config, prior) is prior


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


def test_an_element_that_says_less_leaves_those_that_say_more_to_others() -> None:
    inner = {"key": attribute(required=True), "id": attribute(optional=True, computed=True)}
    body = schema({"of": nested("set", inner)})
    prior = {"of": [{"key": "k", "id": "given"}, {"key": "k", "id": "made"}]}
    assert planning.plan(body, {"of": [{"key": "k", "id": None}, {"key": "k", "id": "given"}]}, prior) is prior


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
    for written, seconds in [(None, 9), ({}, 9), ({"create": None}, 9), ({"create": "1m"}, 60), (UNKNOWN, 9)]:
        assert timeout({"timeouts": written}, "create", 9) == seconds
    assert timeout({}, "delete", 5) == 5


# Whatever the schema: a plan after an apply is empty


unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""How long an example takes says more about the machine than about the code."""

NAMES = st.sampled_from(["a", "b", "c", "d"])
WORDS = st.sampled_from(["x", "y", "z"])
PLAIN = st.sampled_from(
    [
        attribute(required=True),
        attribute(optional=True),
        attribute(default="x"),
        attribute(optional=True, computed=True),
        attribute(computed=True, stable=True),
        attribute(optional=True, write_only=True),
        attribute(["set", "string"], optional=True),
        attribute(["list", "string"], default=["y"]),
    ]
)
NESTED = st.recursive(
    st.dictionaries(NAMES, PLAIN, max_size=3),
    lambda inner: st.dictionaries(
        NAMES,
        st.one_of(
            PLAIN,
            st.builds(nested, st.sampled_from(["single", "list", "set", "map"]), inner),
            st.builds(lambda of: nested("single", of, default={}), inner),
        ),
        max_size=4,
    ),
    max_leaves=6,
)
SCHEMAS = st.builds(
    lambda attributes, blocks: schema(attributes, blocks={f"{name}_block": each for name, each in blocks.items()}),
    NESTED,
    st.dictionaries(
        NAMES,
        st.builds(
            lambda attributes, nesting: {"description": "", "attributes": attributes, "nesting": nesting},
            NESTED,
            st.sampled_from(["single", "list", "set"]),
        ),
        max_size=2,
    ),
)


def configs(body: Body, *, unknown: bool) -> st.SearchStrategy[Any]:
    """What a user may write: nothing for what is computed, and no element of a set twice."""
    maybe = st.just(UNKNOWN) if unknown else st.nothing()
    parts: dict[str, Any] = {}
    for name, each in body.attributes.items():
        word = st.lists(WORDS, unique=True, max_size=2) if isinstance(each.type, list) else WORDS
        settable = each.required or each.optional or each.has_default
        parts[name] = (word | maybe if each.required else st.none() | word | maybe) if settable else st.none()
    for name, nesting, inner in body.nested:
        one = configs(inner, unknown=unknown)
        many = {"map": st.dictionaries(WORDS, one, max_size=2), "single": st.none() | one}
        listed = st.lists(one, max_size=2, unique_by=repr if nesting == "set" else None)
        parts[name] = many.get(nesting, listed) | maybe
    return st.fixed_dictionaries(parts)


def applied(value: Any) -> Any:
    """A plan after its apply: what wasn't known now is."""
    if isinstance(value, dict):
        return {key: applied(each) for key, each in value.items()}
    if isinstance(value, list):
        return [applied(each) for each in value]
    return "made" if value is UNKNOWN else value


def turned(body: Body, state: Any) -> Any:
    """A state with the elements of each set the other way round."""
    if not isinstance(state, dict):
        return state
    found = dict(state)
    for name, each in body.attributes.items():
        if isinstance(each.type, list) and each.type[0] == "set" and found[name]:
            found[name] = found[name][::-1]
    for name, nesting, inner in body.nested:
        found[name] = each_object(nesting, found[name], lambda element, inner=inner: turned(inner, element))
        if nesting == "set" and found[name]:
            found[name].reverse()
    return found


def made(*, unknown: bool) -> Any:
    return SCHEMAS.flatmap(lambda body: st.tuples(st.just(body), configs(body, unknown=unknown), configs(body, unknown=False)))


@pytest.mark.service
@unhurried
@given(made(unknown=False))
def test_a_plan_after_an_apply_is_empty_whatever_the_schema(example: tuple[Schema, Any, Any]) -> None:
    body, config, other = example
    state = turned(body, applied(planning.plan(body, config, None)))
    assert planning.plan(body, config, state) is state
    changed = applied(planning.plan(body, other, state))
    assert planning.plan(body, other, changed) is changed


@pytest.mark.service
@unhurried
@given(made(unknown=True))
def test_a_plan_has_the_form_of_its_schema_and_all_that_the_config_says(example: tuple[Schema, Any, Any]) -> None:
    body, config, prior = example
    for before in (None, applied(planning.plan(body, prior, None))):
        planned = planning.plan(body, config, before)
        assert conform(body, planned) == planned
        for name, each in body.attributes.items():
            if each.nested is None and config[name] is not None and not each.write_only:
                assert planned[name] is config[name] or planning.same(body, {name: planned[name]}, {name: config[name]})
    assert is_known(applied(planned))
