from datetime import timedelta

import pytest

from api.contract.agents import JobKind
from api.contract.base import Failure
from api.jobs.retry import MAX_ATTEMPTS, delay

PASSING, LASTING = (Failure(code="x", message="x", retryable=retryable) for retryable in (True, False))


@pytest.mark.parametrize(
    ("kind", "attempt", "failure", "seconds"),
    [
        ("build", 1, PASSING, 2),
        ("sync", 2, PASSING, 4),
        ("plan", 3, PASSING, 8),
        ("plan_destroy", 3, PASSING, 8),
        ("build", MAX_ATTEMPTS, PASSING, None),
        ("build", 1, LASTING, None),
        ("apply", 1, PASSING, None),
        ("destroy", 1, PASSING, None),
    ],
)
def test_a_failed_attempt_is_worth_another_one(kind: JobKind, attempt: int, failure: Failure, seconds: int | None) -> None:
    assert delay(kind, attempt, failure) == (None if seconds is None else timedelta(seconds=seconds))
