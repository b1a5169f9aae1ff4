"""Which steps a deploy has: what is wanted against what is there."""

from dataclasses import replace

from shop import module, sha

from api.contract.base import Json
from api.contract.components import TerraformModuleConfig
from api.deploys.planning import Piece, StepKey, fingerprint, plan_deploy, plan_teardown

INSTALL = "ins_1"


def config(**variables: str) -> TerraformModuleConfig:
    return TerraformModuleConfig.model_validate(module(variables))


def piece(name: str, digest: str = "1", *, inputs: dict[str, Json] | None = None, **variables: str) -> Piece:
    mark = fingerprint(config(**variables), sha(digest), inputs=inputs or {}, install_id=INSTALL)
    return Piece(name, config(**variables), f"bld_{name}", sha(digest), f"shop/{name}", mark)


def pieces(*all_pieces: Piece) -> dict[str, Piece]:
    return {one.name: one for one in all_pieces}


NETWORK = piece("network")
SERVICE = piece("service", network="{{ components.network.outputs.id }}")
WEB = piece("web", service="{{ components.service.outputs.url }}")
OTHER = piece("other")
ALL = pieces(NETWORK, SERVICE, WEB, OTHER)


def keys(steps: list) -> list[StepKey]:
    return [step.key for step in steps]


def test_nothing_differs_and_there_is_nothing_to_do() -> None:
    assert plan_deploy(ALL, ALL) == []


def test_a_first_deploy_has_every_component_in_order_and_nothing_conditional() -> None:
    steps = plan_deploy(ALL, {})
    assert sorted(keys(steps)) == sorted((name, kind) for name in ALL for kind in ("sync", "plan", "apply"))
    assert not any(step.conditional for step in steps)
    by_key = {step.key: step for step in steps}
    assert by_key["service", "plan"].needs == (("network", "apply"), ("service", "sync"))
    assert by_key["service", "apply"].needs == (("service", "plan"),)
    seen: set[StepKey] = set()
    for step in steps:
        assert set(step.needs) <= seen
        seen.add(step.key)


def test_one_input_that_changed_touches_only_what_uses_it() -> None:
    before, after = (piece("other", inputs={"domain": value, "size": 1}, domain="{{ inputs.domain }}") for value in "ab")
    assert keys(plan_deploy(pieces(NETWORK, after), pieces(NETWORK, before))) == [
        ("other", "sync"),
        ("other", "plan"),
        ("other", "apply"),
    ]


def test_an_input_that_a_component_does_not_use_leaves_it_alone() -> None:
    before, after = (piece("other", inputs={"size": value}, domain="{{ inputs.domain }}") for value in (1, 2))
    assert plan_deploy(pieces(after), pieces(before)) == []


def test_another_digest_touches_a_component() -> None:
    steps = plan_deploy({**ALL, "web": piece("web", "2", service="{{ components.service.outputs.url }}")}, ALL)
    assert keys(steps) == [("web", "sync"), ("web", "plan"), ("web", "apply")]


def test_a_source_path_that_moved_touches_nothing() -> None:
    moved = TerraformModuleConfig.model_validate(module(path="/elsewhere"))
    marks = {fingerprint(one, sha("1"), inputs={}, install_id=INSTALL) for one in (config(), moved)}
    assert len(marks) == 1


def test_users_of_a_touched_component_are_conditional_and_not_synced() -> None:
    steps = plan_deploy({**ALL, "network": piece("network", "2")}, ALL)
    assert keys(steps) == [
        ("network", "sync"),
        ("network", "plan"),
        ("network", "apply"),
        ("service", "plan"),
        ("service", "apply"),
        ("web", "plan"),
        ("web", "apply"),
    ]
    assert {step.key for step in steps if step.conditional} == {("service", "plan"), ("web", "plan")}


def test_a_component_that_is_not_cleanly_deployed_is_planned_again_and_so_are_its_users() -> None:
    steps = plan_deploy(ALL, {**ALL, "network": replace(NETWORK, fingerprint=None)})
    assert ("network", "sync") in keys(steps)
    assert {step.key for step in steps if step.conditional} == {("web", "plan")}


def test_a_component_that_is_gone_is_destroyed_after_its_user_has_changed() -> None:
    steps = plan_deploy(pieces(piece("service"), OTHER), pieces(NETWORK, SERVICE, OTHER))
    by_key = {step.key: step for step in steps}
    assert by_key["network", "plan_destroy"].needs == (("service", "apply"),)
    assert by_key["network", "destroy"].needs == (("network", "plan_destroy"),)
    assert by_key["network", "destroy"].piece == NETWORK
    assert not any(name == "other" for name, _ in by_key)


def test_components_that_are_gone_together_are_destroyed_users_first() -> None:
    steps = plan_deploy(pieces(OTHER), pieces(NETWORK, SERVICE, OTHER))
    assert keys(steps) == [
        ("service", "plan_destroy"),
        ("service", "destroy"),
        ("network", "plan_destroy"),
        ("network", "destroy"),
    ]
    assert steps[2].needs == (("service", "destroy"),)


def test_a_teardown_removes_everything_in_reverse_order() -> None:
    order = [name for name, kind in keys(plan_teardown(ALL)) if kind == "destroy"]
    assert sorted(order) == sorted(ALL)
    assert order.index("web") < order.index("service") < order.index("network")


def test_a_teardown_of_nothing_has_no_steps() -> None:
    assert plan_teardown({}) == []


def test_a_fingerprint_knows_the_install_and_the_variables() -> None:
    marks = {
        fingerprint(config(a="x"), sha("1"), inputs={}, install_id="ins_1"),
        fingerprint(config(a="x"), sha("1"), inputs={}, install_id="ins_2"),
        fingerprint(config(a="y"), sha("1"), inputs={}, install_id="ins_1"),
        fingerprint(config(a="x"), sha("2"), inputs={}, install_id="ins_1"),
    }
    assert len(marks) == 4
