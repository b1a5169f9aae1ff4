"""What the checks of a component say together."""

from api.contract.agents import ApplyResult, PlanResult
from api.contract.component_health import MAX_CHECKS, MAX_REASON, HealthStatus, checked, health_of
from api.contract.resources import PlanSummary


def of(*statuses: HealthStatus) -> str:
    health = health_of(checked(f"c{number}", "http", status) for number, status in enumerate(statuses))
    assert health is not None
    return health.status


def test_without_checks_nothing_is_said() -> None:
    assert health_of([]) is None


def test_one_degraded_check_degrades_and_one_unknown_makes_unknown() -> None:
    assert of("healthy", "healthy") == "healthy"
    assert of("healthy", "unknown") == "unknown"
    assert of("unknown", "degraded", "healthy") == "degraded"


def test_the_reason_names_what_is_worst_and_only_that() -> None:
    health = health_of(
        [
            checked("probe.api", "http", "degraded", "answered 500"),
            checked("deployment/web", "workload", "healthy", "3 of 3 are ready"),
            checked("probe.db", "tcp", "unknown", "no name"),
            checked("check.cert", "terraform_check", "degraded"),
        ]
    )
    assert health is not None
    assert health.reason == "probe.api: answered 500; check.cert"
    assert [check.name for check in health.checks] == ["probe.api", "check.cert", "probe.db", "deployment/web"]


def test_many_and_long_checks_are_cut_and_the_worst_are_kept() -> None:
    checks = [checked(f"c{number}", "tcp", "healthy") for number in range(MAX_CHECKS)]
    health = health_of([*checks, checked("n" * 999, "tcp", "degraded", "r" * 9999)])
    assert health is not None
    assert len(health.checks) == MAX_CHECKS
    assert health.checks[0].status == "degraded"
    assert len(health.checks[0].reason) == MAX_REASON
    assert len(health.reason) == MAX_REASON


def test_a_result_without_health_is_what_an_earlier_ims_takes() -> None:
    assert "health" not in ApplyResult().model_dump(mode="json")
    plan = PlanResult(summary=PlanSummary(), plan_digest="sha256:" + "0" * 64)
    assert "health" not in plan.model_dump_json()
    assert plan.model_copy(update={"health": health_of([checked("a", "tcp", "healthy")])}).model_dump()["health"]
