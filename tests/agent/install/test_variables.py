import dataclasses

import pytest

from agent.failure import JobFailedError
from agent.install.variables import Scope, render_variables
from api.contract.base import Failure, Json
from api.contract.resources import ModuleVariable

SCOPE = Scope(
    install_id="ins_1",
    install_name="acme",
    inputs={"domain": "acme.test", "ports": [80, 443], "password": 'p"<&>'},
    outputs={
        "network": {"id": "net-1", "subnets": {"a": 1}, "token": "hidden"},
        "web": {"repository": "reg.test/shop/web", "tag": "1.2", "uri": "reg.test/shop/web@sha256:1"},
    }.get,
    digests={"web": "sha256:" + "1" * 64},
    install_region="eu-central-1",
    install_labels={"tier": "gold"},
    component="network",
)


def rendered(text: str, constraint: str | None = None) -> Json:
    return render_variables({"x": text}, [ModuleVariable(name="x", type=constraint)], SCOPE)["x"]


def failure(text: str, constraint: str | None = None, name: str = "x") -> Failure:
    with pytest.raises(JobFailedError) as caught:
        render_variables({name: text}, [ModuleVariable(name="x", type=constraint), ModuleVariable(name="y")], SCOPE)
    return caught.value.failure


@pytest.mark.parametrize(
    ("text", "constraint", "value"),
    [
        ("plain", "string", "plain"),
        ("80", "number", "80"),  # the engine converts
        ("[1]", "string", "[1]"),
        ("[1]", None, "[1]"),
        ("[1]", "any", "[1]"),
        ("[1, 2]", "list(number)", [1, 2]),
        ('["a"]', "set(string)", ["a"]),
        ('["a", 1]', "tuple([string, number])", ["a", 1]),
        ('{"a": 1}', "map(number)", {"a": 1}),
        ('{"a": 1}', "object({ a = number })", {"a": 1}),
        ("null", "list(string)", None),
        ("{{ inputs.domain }}", "string", "acme.test"),
        ("https://{{ inputs.domain }}/", "string", "https://acme.test/"),
        ("{{ inputs.password }}", "string", 'p"<&>'),  # nothing is escaped
        ("{{ inputs.ports }}", "list(number)", [80, 443]),
        ("{{inputs.ports}}", None, [80, 443]),
        ('{"ports": {{ inputs.ports | to_json }}}', "object({ ports = list(number) })", {"ports": [80, 443]}),
        ("{{ install.name }}-{{ install.id }}", "string", "acme-ins_1"),
        ("{{ install.region }}", "string", "eu-central-1"),
        ("{{ components.network.outputs.id }}", "string", "net-1"),
        ("{{ components.network.outputs.subnets }}", "map(number)", {"a": 1}),
        ("{{ components.network.outputs.token }}", "string", "hidden"),
        ("{{ components.web.image.digest }}", "string", "sha256:" + "1" * 64),
        ("{{ components.web.image.repository }}", "string", "reg.test/shop/web"),
        ("{{ components.web.image.tag }}", "string", "1.2"),
        ("{{ components.web.image.uri }}", "string", "reg.test/shop/web@sha256:1"),
        ("{{ install.labels.tier }}", "string", "gold"),
        ("{{ install.labels.zone | default('a') }}", "string", "a"),
        ("{{ install.platform | default('none') }}", "string", "none"),
        ("{{ inputs.gone | default(inputs.ports) }}", "list(number)", [80, 443]),
        ("{{ self.outputs.id }}", "string", "net-1"),
    ],
)
def test_a_text_becomes_the_value_that_its_variable_takes(text: str, constraint: str | None, value: Json) -> None:
    assert rendered(text, constraint) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ inputs.nope }}", "it has: domain, password, ports"),
        ("{{ components.network.outputs.nope }}", "it has: id, subnets, token"),
        ("{{ components.gone.outputs.id }}", "'gone' is not deployed"),
        ("{{ components.network.image.tag }}", "is no image"),
        ("{{ components.absent.image.uri }}", "'absent' is not deployed"),
        ("{{ install.labels.zone }}", "no labels.zone"),
        ("{{ nonsense }}", "is not known"),
        ("{{ }}", "nothing between the braces"),
    ],
)
def test_what_cannot_be_resolved_names_what_there_is(text: str, said: str) -> None:
    found = failure(text)
    assert (found.code, found.field) == ("unresolved_reference", "config.variables.x")
    assert said in found.message


@pytest.mark.parametrize(
    ("text", "constraint", "said"),
    [
        ("[1", "list(number)", "not JSON"),
        ("{{ inputs.password }}", "list(string)", "not JSON"),
        ('{"a": 1}', "list(number)", "another type"),
        ("[1]", "map(number)", "another type"),
        ("1", "set(number)", "another type"),
    ],
)
def test_a_value_of_the_wrong_shape_is_refused_without_repeating_it(text: str, constraint: str, said: str) -> None:
    found = failure(text, constraint)
    assert (found.code, found.field) == ("invalid_variable", "config.variables.x")
    assert said in found.message
    assert 'p"<&>' not in found.message


def test_a_variable_that_the_module_does_not_declare_is_refused() -> None:
    found = failure("x", name="typo")
    assert (found.code, found.field) == ("unknown_variable", "config.variables.typo")
    assert "it declares: x, y" in found.message


def test_what_is_made_of_secrets_is_learnt_and_nothing_else() -> None:
    learnt: list[Json] = []
    scope = dataclasses.replace(
        SCOPE,
        secrets={"key": "hush-hush"},
        sensitive_inputs=["password"],
        sensitive_outputs=lambda component: ["token"] if component == "network" else [],
        learn=learnt.append,
    )
    texts = {
        "a": "{{ secrets.key | upper }} of {{ inputs.domain }}",
        "b": "{{ components.network.outputs.token | replace('h', 'x') }}{{ self.outputs.token | sha256 | length }}",
        "c": "{{ inputs.password | length }}{{ inputs.domain | upper }}{{ components.network.outputs.id }}",
    }
    declared = [ModuleVariable(name=name) for name in texts]
    assert render_variables(texts, declared, scope)["a"] == "HUSH-HUSH of acme.test"
    assert learnt == ["HUSH-HUSH", "xidden", 64, 5]
