"""References: found, checked and rendered."""

from typing import Any

import pytest

from api.contract.references import InvalidReferenceError, Reference, find, find_all, render

VALUES = {
    "inputs.domain": "acme.example",
    "inputs.quoted": '<"&>',
    "inputs.ports": [80, 443],
    "inputs.on": True,
    "components.network.outputs.id": "net-1",
}


def resolve(reference: Reference) -> Any:
    name = ".".join(reference.path)
    if name not in VALUES:
        raise InvalidReferenceError(f"{reference} has no value")
    return VALUES[name]


@pytest.mark.parametrize(
    "text",
    [
        "{{ inputs.domain }}",
        "{{inputs.domain}}",
        "{{ components.web-image.outputs.a_b }}",
        "{{ components.web.image.repository }}",
        "{{ components.web.image.tag }}",
        "{{ components.web.image.digest }}",
        "{{ components.web.image.uri }}",
        "{{ install.id }}",
        "{{ install.name }}",
        "{{ install.labels.tier }}",
        "{{ self.outputs.url }}",
    ],
)
def test_what_may_be_referred_to(text: str) -> None:
    (found,) = find(text)
    assert str(found).replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize(
    "text",
    [
        "{{ }}",
        "{{ inputs }}",
        "{{ install.zone }}",
        "{{ components.a }}",
        "{{ components.a.outputs }}",
        "{{ components.a.image.size }}",
        "{{ secrets.a.b }}",
        "{{ 1 + 1 }}",
        "{{ install.region.x }}",
        "{{ install.labels }}",
        "{{ components.a.image.tag.x }}",
        "{{ inputs[0] }}",
        "{{ inputs['a b'] }}",
    ],
)
def test_anything_else_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(InvalidReferenceError, match=r"inputs\."):
        find(text)


def test_a_text_without_references_has_none() -> None:
    assert find("plain { text } with ${interpolation}") == []


def test_references_know_what_they_refer_to() -> None:
    found = find("{{ inputs.a }} {{ components.b.outputs.c }} {{ install.id }}")
    assert [(one.input, one.component) for one in found] == [("a", None), (None, "b"), (None, None)]


def test_all_variables_are_searched() -> None:
    found = list(find_all({"x": "{{ inputs.a }}-{{ inputs.b }}", "y": "none"}))
    assert [(name, reference.input) for name, reference in found] == [("x", "a"), ("x", "b")]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ inputs.ports }}", [80, 443]),
        ("  {{ inputs.on }}\n", True),
        ("on: {{ inputs.on }}", "on: true"),
        ("{{ inputs.ports[1] }}", 443),
        ("{{ inputs.ports | to_json }}{{ inputs.ports[0] }}", "[80,443]80"),
        ("https://{{ inputs.domain }}/", "https://acme.example/"),
        ("{{ inputs.quoted }}!", '<"&>!'),
        ("no reference", "no reference"),
    ],
)
def test_a_lone_reference_keeps_its_type_and_nothing_is_escaped(text: str, value: Any) -> None:
    assert render(text, resolve) == value


def test_a_value_that_looks_like_a_reference_is_not_rendered_again() -> None:
    assert render("a {{ inputs.x }}", lambda _: "{{ inputs.y }}") == "a {{ inputs.y }}"


def test_an_unknown_name_stops_the_rendering() -> None:
    with pytest.raises(InvalidReferenceError, match="has no value"):
        render("x {{ inputs.nope }}", resolve)
