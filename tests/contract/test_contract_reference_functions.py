"""Functions, pipes and indexes in references: what they give, what is refused and how, and what holds for any text."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.contract.reference_functions import IMPLEMENTED, MAX_RESULT
from api.contract.reference_grammar import MAX_DEPTH, MAX_EXPRESSION, MAX_NODES, Expression, malformed, parse
from api.contract.reference_names import FUNCTIONS, IMAGE_FIELDS, INSTALL_FIELDS
from api.contract.references import InvalidReferenceError, MissingValueError, Reference, Value, find, render, render_marked

SECRET = "canary-7f3e-staple"
VALUES: dict[str, Any] = {
    "inputs.name": " Acme ",
    "inputs.zones": ["a", "b", 3],
    "inputs.map": {"key": "v", "other": {"deep": [1, {"x": True}]}, "a b": 2},
    "inputs.json": '{"port": 80}',
    "inputs.null": None,
    "inputs.empty": "",
    "inputs.zero": 0,
    "inputs.on": True,
    "inputs.half": "\ud800",
    "inputs.half_json": '"\\ud800"',
    "secrets.key": SECRET,
    "components.net.outputs.ids": ["n-1", "n-2"],
}


def resolve(reference: Reference) -> Any:
    name = ".".join(reference.path)
    if name not in VALUES:
        raise MissingValueError(f"{reference} has no value")
    return VALUES[name]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("inputs.name | trim | lower", "acme"),
        ("lower(trim(inputs.name))", "acme"),
        ("upper('ß')", "SS"),
        ('join(",", inputs.zones)', "a,b,3"),
        ("inputs.zones | join('-') | upper", "A-B-3"),
        ("split(',', 'a,b')", ["a", "b"]),
        ("split(',', 'a,b')[1]", "b"),
        ("inputs.name | trim | replace('c', 'k')", "Akme"),
        ("inputs.map | to_json", '{"key":"v","other":{"deep":[1,{"x":true}]},"a b":2}'),
        ("from_json(inputs.json).port", 80),
        ("inputs.map.other.deep[1].x", True),
        ("inputs.map['a b']", 2),
        ("inputs.map.nope | default('d')", "d"),
        ("inputs.zones[9] | default(null)", None),
        ("inputs.none | default('d')", "d"),
        ("inputs.none.of.these | default(inputs.none) | default('d')", "d"),
        ("inputs.null | default(1.5)", 1.5),
        ("inputs.empty | default(inputs.zones)", ["a", "b", 3]),
        ("inputs.zero | default(7)", 0),
        ("b64encode('ü')", "w7w="),
        ("'w7w=' | b64decode", "ü"),
        ("sha256('abc')", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ("length(inputs.zones)", 3),
        ("inputs.name | length", 6),
        ("keys(inputs.map)", ["a b", "key", "other"]),
        ("values(inputs.map)[0]", 2),
        ("merge(inputs.map, from_json(inputs.json)).port", 80),
        ("merge(inputs.map, from_json('{\"key\": 9}')).key", 9),
        ("concat(inputs.zones, components.net.outputs.ids)", ["a", "b", 3, "n-1", "n-2"]),
        ("indent(2, 'a\nb')".replace("\n", "\\n").replace("'", '"'), "a\n  b"),
        ("trim_prefix('v', 'v1.2')", "1.2"),
        ("'a.b.' | trim_suffix('.')", "a.b"),
        ("url_encode('p@ss/&')", "p%40ss%2F%26"),
        ("(inputs.zones)[0]", "a"),
        ('"}}"', "}}"),
        ("'{{'", "{{"),
        ("'it\\'s'", "it's"),
        ("-3", -3),
        ("false", False),
    ],
)
def test_what_expressions_give(expression: str, value: Any) -> None:
    got = render(f"{{{{ {expression} }}}}", resolve)
    assert (got, type(got)) == (value, type(value))


def test_scalars_stand_in_a_text_and_lists_maps_and_null_do_not() -> None:
    assert render("a={{ inputs.on }} b={{ inputs.zero }} c={{ inputs.name }}", resolve) == "a=true b=0 c= Acme "
    for name in ("zones", "map", "null"):
        with pytest.raises(InvalidReferenceError, match="character 3") as refused:
            render(f"x {{{{ inputs.{name} }}}}", resolve)
        assert "to_json" in refused.value.remedy or "default" in refused.value.remedy


@pytest.mark.parametrize(
    ("text", "message", "remedy"),
    [
        ("{{ inputs.a | lowr }}", "character 15: there is no function `lowr`", "`lower`"),
        ("{{ toJson(inputs.a) }}", "no function `toJson`", "`to_json`"),
        ("{{ dig('a', inputs.a) }}", "no function `dig`", "default"),
        ("{{ join(inputs.a) }}", "`join` takes 2 values, and was given 1", "list | join(separator)"),
        ("{{ lower() }}", "`lower` takes 1 value, and was given 0", "text | lower"),
        ("{{ merge() }}", "at least one", ""),
        ("{{ inputs.a | default 'x' }}", "was given 1", "value | default(fallback)"),
        ("{{ inputs.a 'x' }}", "`'x'` can't stand here", "in parentheses"),
        ("{{ lower inputs.a }}", "{{ lower }} is not known", "`lower(…)`"),
        ("{{ if inputs.a }}x{{ end }}", "no conditions", "default"),
        ("{{ range inputs.a }}", "no loops", ""),
        ("ab\n  {{ inputs.a + 1 }}", "line 2, character 15", ""),
        ("{{ inputs.a", "character 1: `{{` is never closed", '{{ "{{" }}'),
        ("{{ inputs.a }", "character 13: `{{` is closed by two braces", "Write `}}`"),
        ("{{ inputs.a | }}", "after `|` comes", ""),
        ("{{ inputs.a[ }}", "in brackets", ""),
        ("{{ inputs.a[-1] }}", "in brackets", ""),
        ("{{ inputs.a.0 }}", "after `.` comes a name", ""),
        ("{{ (inputs.a }}", "`)` is expected", ""),
        ("{{ inputs.a, inputs.b }}", "`,` can't stand here", ""),
        ("{{ 'a }}", "`'` can't stand here", ""),
        ('{{ "\\q" }}', "escape", ""),
        ('{{ "\\ud800" }}', "escape", ""),
        ("{{ inputs.__class__.__mro__ }}{{ ().x }}", "can't stand here", ""),
        ("{{ component.a.outputs.b }}", "is not known", "Did you mean `components.a.outputs.b`?"),
        ("{{ components.a.output.b }}", "is not known", "Did you mean `components.a.outputs.b`?"),
        ("{{ components.a.b }}", "is not known", "Did you mean `components.a.outputs.b`?"),
        ("{{ components.a.image.tags }}", "is not known", "Did you mean `components.a.image.tag`?"),
        ("{{ components.a.image }}", "is not known", "Correct the reference."),
        ("{{ install.regoin }}", "is not known", "Did you mean `install.region`?"),
        ("{{ install.label.tier }}", "is not known", "Did you mean `install.labels.tier`?"),
        ("{{ lower.upper }}", "is not known; allowed are inputs.NAME", ""),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place_and_what_to_do(text: str, message: str, remedy: str) -> None:
    with pytest.raises(InvalidReferenceError) as refused:
        find(text)
    assert message in str(refused.value)
    assert remedy in refused.value.remedy


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ inputs.zones | lower }}", "character 1: `lower` takes a text, and was given a list"),
        ("{{ join(',', inputs.map) }}", "`join` takes a list, and was given a map"),
        ("{{ join(',', concat(inputs.zones, split(',', inputs.map.key))) | length | lower }}", "was given a number"),
        ("{{ inputs.name.x }}", "`.x` takes a map, and was given a text"),
        ("{{ inputs.map[0] }}", "`[…]` takes a list, and was given a map"),
        ("{{ inputs.zones[3] }}", "the list has no element [3]: it has 3"),
        ("{{ inputs.map.nope }}", "the map has no key 'nope'"),
        ("{{ keys(inputs.zones) }}", "`keys` takes a map"),
        ("{{ length(inputs.zero) }}", "and was given a number"),
        ("{{ split('', inputs.name) }}", "separator of at least one"),
        ("{{ replace('', 'x', inputs.name) }}", "at least one character"),
        ("{{ indent(true, inputs.name) }}", "whole number"),
        ("{{ b64decode('?') }}", "isn't the base64"),
        ("{{ from_json('{') }}", "isn't JSON"),
        ("{{ from_json('1e999') }}", "isn't JSON"),
        ("{{ from_json('NaN') }}", "isn't JSON"),
        ("{{ sha256(inputs.half) }}", "half of a pair"),
        ("{{ from_json(inputs.half_json) }}", "isn't JSON"),
        ("{{ inputs.none }}", "has no value"),
    ],
)
def test_values_of_the_wrong_kind_are_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidReferenceError) as refused:
        render(text, resolve)
    assert message in str(refused.value)
    assert refused.value.remedy


@pytest.mark.parametrize("function", sorted(IMPLEMENTED))
def test_no_error_repeats_a_value(function: str) -> None:
    wrong = {"a": SECRET, "b": [SECRET]}
    for value in (SECRET, wrong, [wrong], [[SECRET]]):
        said = ""
        try:
            IMPLEMENTED[function](*[value for _ in FUNCTIONS[function]])
        except ValueError as error:
            said = str(error)
        assert "canary" not in said


def test_every_function_is_implemented_and_nothing_else() -> None:
    assert {*IMPLEMENTED, "default"} == set(FUNCTIONS)


def test_references_are_found_wherever_they_stand() -> None:
    found = find("{{ join(inputs.a, components.b.outputs.c.d[0]) }} {{ 'x' }}")
    assert [reference.path for reference in found] == [("inputs", "a"), ("components", "b", "outputs", "c")]


def test_a_reference_that_default_guards_is_optional_and_the_fallback_is_not() -> None:
    found = find("{{ default(inputs.b, inputs.a | lower) }} {{ inputs.c }}")
    assert [(reference.path[1], reference.optional) for reference in found] == [("b", False), ("a", True), ("c", False)]


@pytest.mark.parametrize(
    ("path", "ours"),
    [
        (".nuon.install.id", "install.id"),
        (".nuon.id", "install.id"),
        (".nuon.install.name", "install.name"),
        (".nuon.inputs.inputs.domain", "inputs.domain"),
        (".nuon.install.inputs.domain", "inputs.domain"),
        (".nuon.secrets.key", "secrets.key"),
        (".nuon.components.db.outputs.url", "components.db.outputs.url"),
        (".nuon.components.img.outputs.image.tag", "components.img.image.tag"),
        (".nuon.components.img.outputs.image.repository", "components.img.image.repository"),
        (".nuon.components.img.image.repository.uri", "components.img.image.repository"),
        (".nuon.components.img.image.tag", "components.img.image.tag"),
        (".nuon.cloud_account.aws.region", "install.region"),
        (".nuon.cloud_account.azure.location", "install.region"),
        (".nuon.install_stack.outputs.region", "install.region"),
        (".nuon.sandbox.outputs.vpc", "components.sandbox.outputs.vpc"),
        (".nuon.install.sandbox.outputs.vpc", "components.sandbox.outputs.vpc"),
    ],
)
def test_paths_of_imported_configs_are_ours(path: str, ours: str) -> None:
    (found,) = find(f"{{{{{path}}}}}")
    assert ".".join(found.path) == ours


def test_parts_of_imported_paths_are_indexes() -> None:
    def of(reference: Reference) -> Any:
        assert reference.path == ("components", "sandbox", "outputs", "vpc")
        return {"subnets": ["s-1"]}

    assert render("{{ .nuon.sandbox.outputs.vpc.subnets[0] | upper }}", of) == "S-1"


@pytest.mark.parametrize(
    ("path", "remedy"),
    [
        (".nuon.install_stack.outputs.vpc_id", "Declare an input"),
        (".nuon.install.public_domain", "Declare an input"),
        (".nuon.actions.workflows.seed.outputs.steps.x", "output of a component"),
        (".nuon.app.id", "the same in every install"),
        (".nuon.components.img.outputs.image.size", "Of an image"),
        (".nuon.components.img.status", "declare an input"),
        (".nuon", "declare an input"),
    ],
)
def test_imported_paths_without_an_equivalent_say_what_to_write(path: str, remedy: str) -> None:
    with pytest.raises(InvalidReferenceError, match=f"{path} }}}} has no equivalent here") as refused:
        find(f"{{{{ {path} }}}}")
    assert remedy in refused.value.remedy


def test_what_was_made_of_something_sensitive_is_sensitive() -> None:
    def marked(reference: Reference) -> Value:
        return Value(resolve(reference), reference.secret is not None)

    def sensitive(text: str) -> bool:
        learnt: list[Any] = []
        render_marked(text, marked, learnt.append)
        return bool(learnt)

    assert sensitive("{{ secrets.key | upper | b64encode }}")
    assert sensitive("x {{ secrets.key }} {{ inputs.name }}")
    assert sensitive("{{ split('-', secrets.key)[0] }}")
    learnt: list[Any] = []
    assert (
        render_marked("a: {{ inputs.name }} {{ secrets.key | upper }}", marked, learnt.append) == "a:  Acme  " + SECRET.upper()
    )
    assert learnt == [SECRET.upper()]
    assert sensitive("{{ default('x', secrets.key) }}")
    assert not sensitive("{{ inputs.name | default(secrets.key) }}")
    assert not sensitive("{{ inputs.name }}")


def test_expressions_are_bounded() -> None:
    for text in (
        "{{ " + "(" * (MAX_DEPTH + 1) + "inputs.a" + ")" * (MAX_DEPTH + 1) + " }}",
        "{{ inputs.a" + " | lower" * (MAX_NODES + 1) + " }}",
        "{{ inputs.a" + "[0]" * (MAX_NODES + 1) + " }}",
        "{{ '" + "x" * MAX_EXPRESSION + "' }}",
    ):
        with pytest.raises(InvalidReferenceError, match=r"more than|nested|longer"):
            find(text)
    assert find("{{ inputs.a" + " | lower" * (MAX_NODES - 1) + " }}")


def test_results_are_bounded_before_they_are_made() -> None:
    long = "a" * 2000
    grows = "inputs.name" + f" | replace('a', '{'a' * 500}')" * 4
    for expression in (grows, "inputs.name" + " | to_json" * 60, "inputs.name" + " | b64encode" * 60):
        with pytest.raises(InvalidReferenceError, match=f"longer than {MAX_RESULT}"):
            render(f"{{{{ {expression} }}}}", lambda _: long)


texts = st.text(max_size=40)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
jsons = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=8
)


@given(jsons)
def test_a_lone_expression_gives_any_value_as_it_is_and_json_goes_there_and_back(value: Any) -> None:
    assert render("{{ inputs.x }}", lambda _: value) == value
    assert render("{{ inputs.x | to_json | from_json }}", lambda _: value) == value


@given(st.text(alphabet=st.characters(codec="utf-8")))
def test_encodings_go_there_and_back_and_any_text_can_be_quoted(value: str) -> None:
    assert render("{{ inputs.x | b64encode | b64decode }}", lambda _: value) == value
    assert render("{{ b64encode(inputs.x) }}", lambda _: value) == base64.b64encode(value.encode()).decode()
    if len(json.dumps(value)) < MAX_EXPRESSION - 10:
        assert render("{{ " + json.dumps(value) + " }}", lambda _: None) == value


@given(texts, st.text(alphabet="ab,", min_size=1, max_size=3))
def test_split_and_join_go_there_and_back(value: str, separator: str) -> None:
    assert render(f"{{{{ inputs.x | split('{separator}') | join('{separator}') }}}}", lambda _: value) == value


@given(texts)
def test_values_are_never_rendered_again_nor_escaped(value: str) -> None:
    assert render("<{{ inputs.x }}>", lambda _: value + "{{ inputs.y }}&") == f"<{value}{{{{ inputs.y }}}}&>"


@given(st.text(alphabet="{} .|(),[]'\"\\abinputs_-019\n", max_size=60) | st.text(max_size=60))
def test_any_text_is_either_read_whole_or_refused_with_a_place(text: str) -> None:
    wrong = malformed(text)
    if wrong:
        assert "character" in str(wrong)
        assert wrong.remedy
        return
    parts = parse(text)
    assert any(isinstance(part, Expression) for part in parts) == ("{{" in text)
    if "{{" not in text:
        assert "".join(part for part in parts if isinstance(part, str)) == text


@pytest.mark.service
@given(
    st.sampled_from(sorted(IMPLEMENTED)),
    st.lists(jsons, min_size=3, max_size=3),
)
def test_a_function_gives_a_value_or_says_what_is_wrong_whatever_it_is_given(function: str, arguments: list[Any]) -> None:
    names = [f"inputs.a{number}" for number in range(len(FUNCTIONS[function]))]
    values = dict(zip(names, arguments, strict=False))
    said = function
    try:
        json.dumps(render(f"{{{{ {function}({', '.join(names)}) }}}}", lambda reference: values[".".join(reference.path)]))
    except InvalidReferenceError as error:
        said = str(error)
    assert function in said or "text" in said or "null" in said


def test_every_function_and_root_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/references.md").read_text()
    for function, parameters in FUNCTIONS.items():
        assert f"`{function}({', '.join(parameters)})`" in page
    for field in IMAGE_FIELDS:
        assert f".{field}`" in page
    for field in INSTALL_FIELDS:
        assert f"`install.{field}`" in page
