"""Errors as they go over the wire."""

import inspect

import pytest

from api.contract import problems
from api.contract.problems import FieldProblem, InvalidError, Problem, ProblemError

ALL = [one for _, one in inspect.getmembers(problems, inspect.isclass) if issubclass(one, ProblemError)]


@pytest.mark.parametrize("error", ALL, ids=lambda error: error.__name__)
def test_an_error_survives_the_wire(error: type[ProblemError]) -> None:
    told = error("it broke", remedy="Mend it.", errors=[FieldProblem(field="a.b", message="wrong")]).problem()
    read = Problem.model_validate_json(told.model_dump_json())
    assert read == told
    assert (read.code, read.status, read.detail, read.remedy) == (error.code, error.status, "it broke", "Mend it.")


def test_codes_are_stable_and_each_has_one_meaning() -> None:
    codes = {error.code: error.status for error in ALL}
    assert len(codes) == len(ALL)
    assert codes == {
        "internal": 500,
        "invalid": 422,
        "unauthorized": 401,
        "not_found": 404,
        "no_such_path": 404,
        "name_taken": 409,
        "in_use": 409,
        "conflict": 409,
        "not_the_approver": 403,
        "stale_attempt": 409,
        "attempt_closed": 410,
        "precondition_failed": 412,
        "forbidden": 403,
        "agent_revoked": 401,
        "rate_limited": 429,
        "authorization_pending": 400,
        "access_denied": 400,
        "login_off": 404,
        "content_too_large": 413,
        "chunk_conflict": 409,
        "log_full": 413,
        "log_pruned": 410,
        "upgrade_required": 426,
        "unavailable": 503,
    }


def test_an_error_about_one_field_names_it() -> None:
    problem = InvalidError.at("inputs.a", "is wrong", "Correct it.").problem()
    assert problem.detail == "inputs.a: is wrong"
    assert problem.errors == [FieldProblem(field="inputs.a", message="is wrong", remedy="Correct it.")]


def test_only_what_can_help_is_called_retryable() -> None:
    class BusyError(ProblemError):
        retryable = True

    assert BusyError("slow down").problem().retryable
    assert not InvalidError("no").problem().retryable
