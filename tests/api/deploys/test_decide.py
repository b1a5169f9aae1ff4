"""What a deploy does next, without a database."""

import random

import pytest

from api.deploys.decide import (
    MAX_REPLANS,
    AskApproval,
    CancelJob,
    CancelRequested,
    Change,
    DeployState,
    DropJob,
    End,
    Enqueue,
    Event,
    Replan,
    ReportedLate,
    RetryRequested,
    SetPhase,
    SkipRequested,
    Started,
    StepEnded,
    StepState,
    decide,
    why_no_retry,
    why_no_skip,
    with_running,
)


def component(name: str, *needs: str, conditional: bool = False, sync: bool = True, approve: bool = False) -> list[StepState]:
    """The steps of one component; their ids are `<name>.<kind>`."""
    before = [f"{other}.apply" for other in needs] + ([f"{name}.sync"] if sync else [])
    steps = [StepState(f"{name}.sync", name, "sync", "waiting", ())] if sync else []
    return [
        *steps,
        StepState(f"{name}.plan", name, "plan", "waiting", tuple(before), conditional=conditional),
        *([StepState(f"{name}.approve", name, "approve", "waiting", (f"{name}.plan",))] if approve else []),
        StepState(f"{name}.apply", name, "apply", "waiting", (f"{name}.{'approve' if approve else 'plan'}",)),
    ]


def removal(name: str, *users: str) -> list[StepState]:
    """The steps that remove one component."""
    before = tuple(f"{user}.destroy" for user in users)
    return [
        StepState(f"{name}.plan_destroy", name, "plan_destroy", "waiting", before),
        StepState(f"{name}.destroy", name, "destroy", "waiting", (f"{name}.plan_destroy",)),
    ]


class Deploy:
    """Applies the changes that `decide` gives, the way the service does."""

    def __init__(self, *parts: list[StepState]) -> None:
        self.steps = {step.id: step for part in parts for step in part}
        self.cancelling = False
        self.ended: str | None = None
        self.changes: list[Change] = []
        self.tell(Started())

    def tell(self, event: Event) -> list[Change]:
        if isinstance(event, StepEnded):
            changed = {name: getattr(event, name) for name in ("plan_empty", "plan_harmless", "outputs_changed")}
            self.steps[event.step_id] = self.steps[event.step_id]._replace(**changed)
        made = decide(DeployState(tuple(self.steps.values()), self.cancelling), event)
        self.cancelling = self.cancelling or isinstance(event, CancelRequested)
        for change in made:
            match change:
                case SetPhase(step_id, phase):
                    self.steps[step_id] = self.steps[step_id]._replace(phase=phase, left_out=change.left_out)
                case Replan(step_id):
                    self.steps[step_id] = self.steps[step_id]._replace(replans=self.steps[step_id].replans + 1)
                case End(status):
                    self.ended = status
        self.changes += made
        return made

    def succeed(self, step_id: str, *, plan_empty: bool = False, outputs_changed: bool = False) -> list[Change]:
        return self.tell(StepEnded(step_id, "succeeded", plan_empty=plan_empty, outputs_changed=outputs_changed))

    @property
    def state(self) -> DeployState:
        return DeployState(tuple(self.steps.values()), self.cancelling)

    def in_phase(self, phase: str) -> set[str]:
        return {step.id for step in self.steps.values() if step.phase == phase}


def test_a_deploy_without_steps_has_succeeded() -> None:
    assert Deploy().ended == "succeeded"


def test_a_step_begins_when_all_that_it_needs_has_ended_well() -> None:
    deploy = Deploy(component("network"), component("service", "network"))
    assert deploy.in_phase("active") == {"network.sync", "service.sync"}
    deploy.succeed("service.sync")
    assert deploy.in_phase("active") == {"network.sync"}
    deploy.succeed("network.sync")
    deploy.succeed("network.plan")
    assert deploy.succeed("network.apply") == [
        SetPhase("network.apply", "succeeded"),
        SetPhase("service.plan", "active"),
        Enqueue("service.plan"),
    ]
    deploy.succeed("service.plan")
    assert deploy.succeed("service.apply")[-1] == End("succeeded")


def test_branches_run_side_by_side() -> None:
    deploy = Deploy(component("left"), component("right"), component("top", "left", "right", sync=False))
    for step in ("left.sync", "left.plan", "left.apply"):
        deploy.succeed(step)
    assert deploy.in_phase("active") == {"right.sync"}
    for step in ("right.sync", "right.plan", "right.apply"):
        deploy.succeed(step)
    assert deploy.in_phase("active") == {"top.plan"}


def test_a_failure_cancels_what_needs_it_and_nothing_else() -> None:
    deploy = Deploy(component("network"), component("service", "network"), component("other"))
    deploy.succeed("service.sync")
    deploy.succeed("network.sync")
    made = deploy.tell(StepEnded("network.plan", "failed"))
    assert SetPhase("service.plan", "cancelled", "network") in made
    assert SetPhase("service.apply", "cancelled", "service") in made
    assert deploy.ended is None
    for step in ("other.sync", "other.plan"):
        deploy.succeed(step)
    assert deploy.succeed("other.apply")[-1] == End("failed")


def test_a_late_report_lets_go_on_what_was_not_run_for_it() -> None:
    deploy = Deploy(component("network"), component("service", "network"), component("top", "service"), component("slow"))
    for step in ("network.sync", "service.sync", "top.sync", "slow.sync", "network.plan"):
        deploy.succeed(step)
    deploy.tell(StepEnded("network.apply", "failed"))
    assert deploy.in_phase("cancelled") == {f"{name}.{kind}" for name in ("service", "top") for kind in ("plan", "apply")}
    deploy.tell(ReportedLate("network.apply", "succeeded", outputs_changed=True))
    assert deploy.in_phase("active") == {"service.plan", "slow.plan"}
    for step in ("service.plan", "service.apply", "top.plan", "top.apply", "slow.plan"):
        deploy.succeed(step)
    assert deploy.succeed("slow.apply")[-1] == End("succeeded")


def test_a_late_report_of_a_failure_or_after_a_cancel_sets_nothing_going() -> None:
    for outcome, cancel in (("failed", False), ("succeeded", True)):
        deploy = Deploy(component("network", sync=False), component("service", "network", sync=False), component("slow"))
        deploy.succeed("network.plan")
        deploy.tell(StepEnded("network.apply", "failed"))
        if cancel:
            deploy.tell(CancelRequested())
        deploy.tell(ReportedLate("network.apply", outcome))  # type: ignore[arg-type]
        assert deploy.in_phase("active") == {"slow.sync"}


def test_a_conditional_approval_waits_only_for_a_plan_for_which_somebody_asks() -> None:
    steps = component("network", sync=False, approve=True)
    steps[1] = steps[1]._replace(conditional=True)
    assert AskApproval("network.approve") in Deploy(steps).tell(StepEnded("network.plan", "succeeded", plan_asks=True))
    quiet = Deploy(steps)
    assert SetPhase("network.approve", "skipped") in quiet.succeed("network.plan")
    assert quiet.in_phase("active") == {"network.apply"}


def test_a_cancel_stops_what_runs_and_drops_what_waits() -> None:
    deploy = Deploy(component("network"), component("service", "network"))
    made = deploy.tell(CancelRequested())
    assert {change.step_id for change in made if isinstance(change, CancelJob)} == {"network.sync", "service.sync"}
    assert deploy.in_phase("cancelled") == {"network.plan", "network.apply", "service.plan", "service.apply"}
    assert deploy.ended is None
    deploy.tell(StepEnded("network.sync", "cancelled"))
    assert deploy.succeed("service.sync")[-1] == End("cancelled")


def test_a_cancel_that_comes_when_all_is_done_but_the_last_step_leaves_it_succeeded() -> None:
    deploy = Deploy(component("network", sync=False))
    deploy.succeed("network.plan")
    deploy.tell(CancelRequested())
    assert deploy.succeed("network.apply")[-1] == End("succeeded")


def test_an_apply_with_an_empty_plan_is_skipped() -> None:
    deploy = Deploy(component("network"))
    deploy.succeed("network.sync")
    assert deploy.succeed("network.plan", plan_empty=True) == [
        SetPhase("network.plan", "succeeded"),
        SetPhase("network.apply", "skipped"),
        End("succeeded"),
    ]


def test_a_destroy_is_never_skipped() -> None:
    deploy = Deploy(removal("network"))
    made = deploy.succeed("network.plan_destroy", plan_empty=True)
    assert Enqueue("network.destroy") in made


@pytest.mark.parametrize("outputs_changed", [True, False])
def test_a_conditional_plan_runs_only_if_outputs_that_it_needs_have_changed(outputs_changed: bool) -> None:
    deploy = Deploy(component("network"), component("service", "network", conditional=True, sync=False))
    deploy.succeed("network.sync")
    deploy.succeed("network.plan")
    deploy.succeed("network.apply", outputs_changed=outputs_changed)
    if outputs_changed:
        assert deploy.in_phase("active") == {"service.plan"}
    else:
        assert deploy.in_phase("skipped") == {"service.plan", "service.apply"}
        assert deploy.ended == "succeeded"


def test_a_conditional_plan_is_skipped_with_all_that_follow_when_the_apply_before_it_is() -> None:
    chain = [
        component("service", "network", conditional=True, sync=False),
        component("web", "service", conditional=True, sync=False),
    ]
    deploy = Deploy(component("network"), *chain)
    deploy.succeed("network.sync")
    deploy.succeed("network.plan", plan_empty=True)
    assert deploy.in_phase("skipped") == {"network.apply", "service.plan", "service.apply", "web.plan", "web.apply"}
    assert deploy.ended == "succeeded"


def test_an_interrupted_apply_is_planned_anew_at_most_twice() -> None:
    deploy = Deploy(component("network", sync=False))
    for _ in range(MAX_REPLANS):
        deploy.succeed("network.plan")
        made = deploy.tell(StepEnded("network.apply", "failed", interrupted=True))
        assert made[0] == Replan("network.apply")
        assert deploy.in_phase("active") == {"network.plan"}
        assert deploy.in_phase("waiting") == {"network.apply"}
    deploy.succeed("network.plan")
    assert deploy.tell(StepEnded("network.apply", "failed", interrupted=True))[-1] == End("failed")


def test_an_interrupted_destroy_is_planned_anew() -> None:
    deploy = Deploy(removal("network"))
    deploy.succeed("network.plan_destroy")
    made = deploy.tell(StepEnded("network.destroy", "failed", interrupted=True))
    assert made[-1] == Enqueue("network.plan_destroy")


def test_an_interrupted_conditional_apply_is_planned_anew_too() -> None:
    deploy = Deploy(component("network", sync=False), component("service", "network", conditional=True, sync=False))
    deploy.succeed("network.plan")
    deploy.succeed("network.apply", outputs_changed=True)
    deploy.succeed("service.plan")
    deploy.tell(StepEnded("service.apply", "failed", interrupted=True))
    assert deploy.in_phase("active") == {"service.plan"}


def test_an_interrupted_apply_of_a_deploy_that_is_being_cancelled_has_failed() -> None:
    deploy = Deploy(component("network", sync=False))
    deploy.succeed("network.plan")
    deploy.tell(CancelRequested())
    assert deploy.tell(StepEnded("network.apply", "failed", interrupted=True))[-1] == End("failed")


def test_a_component_is_destroyed_after_its_users() -> None:
    deploy = Deploy(removal("service"), removal("network", "service"))
    assert deploy.in_phase("active") == {"service.plan_destroy"}
    deploy.succeed("service.plan_destroy")
    assert deploy.succeed("service.destroy")[-1] == Enqueue("network.plan_destroy")


def test_a_plan_asks_for_its_approval_and_is_applied_after_it() -> None:
    deploy = Deploy(component("network", sync=False, approve=True))
    assert deploy.succeed("network.plan")[-1] == AskApproval("network.approve")
    assert deploy.succeed("network.approve")[-1] == Enqueue("network.apply")


@pytest.mark.parametrize("kind", ["plan_empty", "plan_harmless"])
def test_a_plan_that_changes_nothing_asks_nobody(kind: str) -> None:
    deploy = Deploy(component("network", sync=False, approve=True))
    deploy.tell(StepEnded("network.plan", "succeeded", **{kind: True}))
    assert deploy.in_phase("skipped") >= {"network.approve"}
    assert deploy.in_phase("active") == (set() if kind == "plan_empty" else {"network.apply"})


def test_a_new_plan_needs_a_new_approval() -> None:
    deploy = Deploy(component("network", sync=False, approve=True))
    deploy.succeed("network.plan")
    deploy.succeed("network.approve")
    deploy.tell(StepEnded("network.apply", "failed", interrupted=True))
    assert deploy.in_phase("waiting") == {"network.approve", "network.apply"}
    assert deploy.succeed("network.plan")[-1] == AskApproval("network.approve")


def test_a_cancel_takes_a_question_back() -> None:
    deploy = Deploy(component("network", sync=False, approve=True))
    deploy.succeed("network.plan")
    assert deploy.tell(CancelRequested())[-1] == End("cancelled")


def test_a_retry_plans_anew_and_takes_up_what_was_not_run() -> None:
    deploy = Deploy(component("network"), component("service", "network"), component("other"))
    for step in ("service.sync", "network.sync", "network.plan"):
        deploy.succeed(step)
    deploy.tell(StepEnded("network.apply", "failed"))
    assert why_no_retry(deploy.state, "service.plan") == "it was not run because of another step: retry the one that failed"
    assert why_no_retry(deploy.state, "other.sync").startswith("it has not failed")
    assert why_no_retry(deploy.state, "network.apply") == ""
    made = deploy.tell(RetryRequested("network.apply"))
    assert made[-1] == Enqueue("network.plan")
    assert deploy.in_phase("waiting") >= {"network.apply", "service.plan", "service.apply"}


def test_what_another_failure_holds_up_stays_cancelled_after_a_retry() -> None:
    deploy = Deploy(component("a"), component("b"), component("top", "a", "b", sync=False), component("other"))
    deploy.tell(StepEnded("a.sync", "failed"))
    deploy.tell(StepEnded("b.sync", "failed"))
    deploy.tell(RetryRequested("a.sync"))
    assert deploy.in_phase("cancelled") >= {"top.plan", "top.apply", "b.plan"}
    assert deploy.in_phase("active") >= {"a.sync"}


def test_a_component_is_left_out_with_all_that_needs_it() -> None:
    deploy = Deploy(component("network"), component("service", "network"), component("other"))
    made = deploy.tell(SkipRequested("network.apply"))
    assert DropJob("network.sync") in made
    left_out = {step.id for step in deploy.steps.values() if step.left_out}
    assert left_out == {"network.sync", "network.plan", "network.apply", "service.plan", "service.apply"}
    assert deploy.in_phase("active") == {"service.sync", "other.sync"}


def test_what_needs_a_component_that_was_left_out_is_not_run_by_a_retry_either() -> None:
    deploy = Deploy(component("a"), component("b"), component("top", "a", "b", sync=False))
    deploy.tell(StepEnded("b.sync", "failed"))
    deploy.tell(SkipRequested("a.sync"))
    assert deploy.ended == "failed"
    deploy = Deploy(component("a"), component("b"), component("top", "a", "b", sync=False), component("other"))
    deploy.tell(StepEnded("b.sync", "failed"))
    deploy.tell(SkipRequested("a.sync"))
    deploy.tell(RetryRequested("b.sync"))
    assert deploy.steps["top.plan"].left_out


def test_what_runs_is_not_left_out() -> None:
    deploy = Deploy(component("network"))
    assert why_no_skip(with_running(deploy.state, {"network.sync"}), "network.apply").startswith("its sync is running")
    assert why_no_skip(deploy.state, "network.apply") == ""


@pytest.mark.parametrize("seed", range(150))
def test_whatever_happens_a_deploy_ends_and_no_step_runs_before_what_it_needs(seed: int) -> None:
    chance = random.Random(seed)
    names = [f"c{number}" for number in range(chance.randint(1, 7))]
    parts = []
    for at, name in enumerate(names):
        needs = chance.sample(names[:at], chance.randint(0, min(2, at)))
        conditional = bool(needs) and chance.random() < 0.4
        parts.append(component(name, *needs, conditional=conditional, sync=not conditional, approve=chance.random() < 0.5))
    deploy = Deploy(*parts)
    for _ in range(1000):
        for change in deploy.changes:
            if isinstance(change, Enqueue):
                needed = [deploy.steps[need] for need in deploy.steps[change.step_id].needs]
                assert {need.phase for need in needed} <= {"succeeded", "skipped"}
                assert not any(need.left_out for need in needed)
        deploy.changes.clear()
        active = sorted(deploy.in_phase("active"))
        if not active:
            break
        if chance.random() < 0.03 and not deploy.cancelling:
            deploy.tell(CancelRequested())
            continue
        failed = [step for step in sorted(deploy.in_phase("failed")) if not why_no_retry(deploy.state, step)]
        if failed and chance.random() < 0.3:
            deploy.tell(RetryRequested(chance.choice(failed)))
            continue
        if chance.random() < 0.05 and not why_no_skip(deploy.state, step_id := chance.choice(sorted(deploy.steps))):
            deploy.tell(SkipRequested(step_id))
            continue
        step = deploy.steps[chance.choice(active)]
        outcome = chance.choices(["succeeded", "failed", "cancelled"], [90, 7, 3])[0]
        deploy.tell(
            StepEnded(
                step.id,
                outcome,
                plan_empty=step.kind == "plan" and chance.random() < 0.3,
                outputs_changed=step.kind == "apply" and chance.random() < 0.5,
                interrupted=outcome == "failed" and chance.random() < 0.5,
            )
        )
    assert deploy.ended is not None
    assert not deploy.in_phase("waiting")
    if not deploy.in_phase("failed") and not deploy.in_phase("cancelled"):
        assert deploy.ended == "succeeded"
    elif deploy.in_phase("failed"):
        assert deploy.ended == "failed"
    else:
        assert deploy.ended == "cancelled"
