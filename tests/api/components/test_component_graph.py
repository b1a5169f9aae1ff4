"""The check of an app's references."""

import pytest
from shop import module

from api.components.graph import check_config, check_given, check_release, input_names, needs, suggestion
from api.contract.components import ContainerImageConfig, HelmChartConfig, TerraformModuleConfig
from api.contract.inputs import InputSpec

DOMAIN = InputSpec(name="domain")


def config(**variables: str) -> TerraformModuleConfig:
    return TerraformModuleConfig.model_validate(module(variables))


def to(component: str) -> TerraformModuleConfig:
    return config(a=f"{{{{ components.{component}.outputs.id }}}}")


def test_a_config_says_what_it_needs() -> None:
    one = config(a="{{ components.b.outputs.x }}/{{ inputs.domain }}", c="{{ components.d.image.tag }}", e="plain")
    assert needs(one) == {"b", "d"}
    assert input_names(one) == {"domain"}


def test_references_are_found_in_the_texts_of_other_kinds_too() -> None:
    chart = HelmChartConfig.model_validate(
        {"kind": "helm_chart", "source": {"path": {"path": "x"}}, "values": {"host": "{{ components.b.outputs.x }}"}}
    )
    image = ContainerImageConfig.model_validate({"kind": "container_image", "public": {"image_url": "a", "tag": "{{ x }}"}})
    assert (needs(chart), needs(image)) == ({"b"}, set())


def test_an_input_that_the_app_lacks_is_refused_with_a_suggestion() -> None:
    (problem,) = check_config("a", config(x="{{ inputs.domian }}"), [DOMAIN])
    assert problem.field == "config.variables.x"
    assert "domain" in problem.message
    assert problem.remedy == "Did you mean 'domain'?"


def test_a_component_that_is_not_there_yet_is_accepted_until_the_release() -> None:
    assert check_config("a", to("later"), []) == []
    (problem,) = check_release({"a": to("latr"), "later": config()}, [])
    assert problem.field == "components.a.variables.a"
    assert problem.remedy == "Did you mean 'later'?"


def test_a_reference_to_its_own_component_is_refused() -> None:
    (problem,) = check_config("a", to("a"), [])
    assert "its own component" in problem.message


@pytest.mark.parametrize(
    ("configs", "trails"),
    [
        ({"a": to("b"), "b": to("a")}, {"a": "a → b → a", "b": "b → a → b"}),
        ({"a": to("b"), "b": to("c"), "c": to("a")}, {"a": "a → b → c → a", "b": "b → c → a → b", "c": "c → a → b → c"}),
        ({"a": to("b"), "b": to("c"), "c": to("b")}, {"b": "b → c → b", "c": "c → b → c"}),
    ],
)
def test_a_cycle_is_told_with_its_trail_at_each_reference_that_closes_it(
    configs: dict[str, TerraformModuleConfig], trails: dict[str, str]
) -> None:
    problems = check_release(configs, [])
    assert {problem.field: problem.message.split(": ")[1] for problem in problems} == {
        f"components.{name}.variables.a": trail for name, trail in trails.items()
    }


def test_a_diamond_is_no_cycle() -> None:
    top = config(a="{{ components.l.outputs.x }}{{ components.r.outputs.x }}")
    assert check_release({"top": top, "l": to("base"), "r": to("base"), "base": config()}, []) == []


def test_a_reference_that_cannot_be_read_is_told_once() -> None:
    (problem,) = check_release({"a": config(x="{{ nope }}")}, [])
    assert problem.field == "components.a.variables.x"
    assert "not known" in problem.message


def test_references_inside_functions_make_the_graph() -> None:
    one = config(
        a='{{ join(",", components.b.outputs.zones) | default(inputs.domain | upper) }}', c="{{ .nuon.sandbox.outputs.x }}"
    )
    assert needs(one) == {"b", "sandbox"}
    assert input_names(one) == {"domain"}


def test_a_wrong_function_is_told_with_its_place_and_a_suggestion() -> None:
    (problem,) = check_config("a", config(x="https://{{ inputs.domain | lowr }}"), [DOMAIN])
    assert problem.field == "config.variables.x"
    assert problem.message.startswith("character 28: there is no function `lowr`")
    assert problem.remedy == "Did you mean `lower`?"


def test_only_images_are_referred_to_as_images() -> None:
    image = ContainerImageConfig.model_validate({"kind": "container_image", "public": {"image_url": "a", "tag": "1"}})
    user = config(x="{{ components.b.image.uri }}")
    assert check_release({"a": user, "b": image}, []) == []
    (problem,) = check_release({"a": user, "b": config()}, [])
    assert (problem.field, problem.remedy[:27]) == ("components.a.variables.x", "Refer to one of its outputs")


def test_a_component_knows_its_own_outputs_only_in_probes() -> None:
    (problem,) = check_config("a", config(x="{{ self.outputs.url }}"), [])
    assert "only its probes" in problem.message


def test_what_an_install_does_not_give_is_told_unless_a_default_stands_ready() -> None:
    text = "{{ install.region }}{{ install.labels.tier }}{{ inputs.domain }}"
    guarded = "{{ install.region | default('x') }}{{ default('', install.labels.tier) }}{{ inputs.domain | default('d') }}"
    configs = {"a": config(x=text, y=guarded)}
    problems = check_given(configs, {"domain"}, {"region": None, "platform": None})
    assert [problem.field for problem in problems] == ["components.a.variables.x"] * 3
    assert ["region" in problems[0].remedy, "labels.tier" in problems[1].remedy, "inputs.domain" in problems[2].remedy] == [
        True
    ] * 3
    assert check_given(configs, set(), {"region": "eu", "labels.tier": "gold"}) == []


def test_no_suggestion_is_made_where_nothing_is_near() -> None:
    assert suggestion("zebra", ["network"]) == ""
