"""Whatever happens in whatever order, the rules of jobs and deploys hold. Hypothesis chooses what happens."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from life_of_jobs import LifeOfJobs, opened_fleet
from opened import Opened
from shop import Shop


@pytest.mark.timeout(900)
def test_the_rules_of_jobs_and_deploys_hold_whatever_happens(
    opened_shop: tuple[Opened, Shop], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    examples = int(request.config.getoption("--examples"))
    with opened_fleet(opened_shop, tmp_path / "fleet") as LifeOfJobs.fleet:
        run_state_machine_as_test(
            LifeOfJobs,
            settings=settings(
                max_examples=examples,
                stateful_step_count=40,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                derandomize=True,
            ),
        )
