"""Every error as application/problem+json (RFC 9457). No stack trace ever reaches a caller."""

import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any, get_args

from fastapi import FastAPI, Request
from fastapi.dependencies.utils import solve_dependencies
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from sqlalchemy.exc import DataError, InterfaceError, OperationalError
from starlette.exceptions import HTTPException

from api.contract.base import NAME_PATTERN, NAME_RULE
from api.contract.components import ComponentKind
from api.contract.problems import (
    PROBLEM_MEDIA_TYPE,
    PROBLEM_TYPE_PREFIX,
    FieldProblem,
    InvalidError,
    NoSuchPathError,
    Problem,
    ProblemError,
    RateLimitedError,
    UnavailableError,
)
from api.contract.webhooks import ACTION_PATTERN

_log = logging.getLogger(__name__)
_KINDS = get_args(ComponentKind)


def problem_answer(problem: Problem, headers: dict[str, str] | None = None) -> JSONResponse:
    """A problem as an answer."""
    return JSONResponse(
        problem.model_dump(mode="json"), status_code=problem.status, media_type=PROBLEM_MEDIA_TYPE, headers=headers
    )


def _field(location: Sequence[int | str]) -> str:
    """Pydantic's location as a dotted path into the body; the names of union branches aren't part of the body."""
    parts = [str(part) for part in location[1:]]  # the first says whether it is the body, the query or the path
    return ".".join(part for at, part in enumerate(parts) if not (at and parts[at - 1] == "config" and part in _KINDS))


def field_problem(error: dict[str, Any]) -> FieldProblem:
    """One of pydantic's errors in our words. Its location begins with where it was found, such as `body`."""
    if error["type"] == "json_invalid":
        return FieldProblem(field="", message=f"the body isn't JSON: {error['ctx']['error']}")
    field = _field(error["loc"])
    if error["type"] == "union_tag_invalid":
        kinds = ", ".join(_KINDS)
        return FieldProblem(
            field=f"{field}.kind", message=f"unknown kind {error['ctx']['tag']!r}", remedy=f"Use one of: {kinds}."
        )
    if error["type"] == "extra_forbidden":
        return FieldProblem(field=field, message="there is no such field", remedy="Remove it, or correct its name.")
    if error["type"] == "string_pattern_mismatch" and error["ctx"]["pattern"] == NAME_PATTERN:
        return FieldProblem(field=field, message="not a name as it must be", remedy=f"Use {NAME_RULE}")
    if error["type"] == "string_pattern_mismatch" and error["ctx"]["pattern"] == ACTION_PATTERN:
        remedy = "Use one action such as `deploy.created`, all of an object such as `deploy.*`, or `*`."
        return FieldProblem(field=field, message="not an action as it must be", remedy=remedy)
    if error["type"] == "greater_than_equal":
        return FieldProblem(
            field=field, message=f"{error['input']} is too little", remedy=f"Give at least {error['ctx']['ge']}."
        )
    if error["type"].startswith(("datetime_", "timezone_")):
        remedy = "Write it with date, time and zone, such as 2026-11-21T09:00:00Z."
        return FieldProblem(field=field, message="not a moment as it must be", remedy=remedy)
    return FieldProblem(field=field, message=str(error["msg"]).removeprefix("Value error, "))


async def _refusal(request: Request) -> ProblemError | None:
    """Why the caller may not call at all, if so: FastAPI reads the body before it asks who calls, and we tell in our order."""
    route = request.scope.get("route")
    if not isinstance(route, APIRoute):
        return None
    try:
        async with AsyncExitStack() as stack:
            request.scope.update({"fastapi_inner_astack": stack, "fastapi_function_astack": stack})
            await solve_dependencies(
                request=request, dependant=route.dependant, body={}, async_exit_stack=stack, embed_body_fields=False
            )
    except ProblemError as refusal:
        return refusal if refusal.status in (401, 403, 429) else None
    return None


def install_handlers(app: FastAPI) -> None:
    """Make an app answer with problems only."""

    @app.exception_handler(ProblemError)
    async def on_problem(_: Request, error: ProblemError) -> JSONResponse:
        headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else None
        if isinstance(error, RateLimitedError):
            headers = {"Retry-After": str(error.retry_after)}
        return problem_answer(error.problem(), headers)

    @app.exception_handler(RequestValidationError)
    async def on_invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        if error.errors()[0]["type"] == "json_invalid" and (refusal := await _refusal(request)):
            return await on_problem(request, refusal)
        # Neither detail nor errors repeat the values: a body may hold secrets.
        errors = [field_problem(one) for one in error.errors()]
        detail = "; ".join(f"{one.field}: {one.message}" if one.field else one.message for one in errors)
        return problem_answer(
            Problem(type=PROBLEM_TYPE_PREFIX + "invalid", title="Invalid value", status=422, detail=detail, errors=errors)
        )

    @app.exception_handler(UnicodeEncodeError)
    async def on_half_a_character(_: Request, __: UnicodeEncodeError) -> JSONResponse:
        # JSON can escape half of a surrogate pair, which neither UTF-8 nor the database has a place for.
        return problem_answer(InvalidError("the request has an unpaired surrogate, which is no character").problem())

    @app.exception_handler(DataError)
    @app.exception_handler(OverflowError)
    async def on_value_without_a_place(_: Request, __: Exception) -> JSONResponse:
        # What JSON can say and the database can't keep: on PostgreSQL a text with U+0000, on both an integer above 64 bits.
        return problem_answer(
            InvalidError(
                "the request has a text with the character U+0000, or a number that is too large",
                remedy="Leave the character out; keep integers below 2^63.",
            ).problem()
        )

    @app.exception_handler(HTTPException)
    async def on_http(request: Request, error: HTTPException) -> JSONResponse:
        if isinstance(error.__cause__, ProblemError):
            return problem_answer(error.__cause__.problem())
        if error.status_code == 400 and error.__cause__:  # FastAPI's word for a body whose bytes can't be read
            refusal = await _refusal(request)
            unread = InvalidError("the body can't be read", remedy="Send JSON in UTF-8, as application/json.")
            return await on_problem(request, refusal or unread)
        if error.status_code == 404:
            # No object is missing, but the path leads nowhere: a client must not take one for the other.
            missing = NoSuchPathError(
                f"there is no path {request.url.path}",
                remedy="Check the IMS's URL, which is without `/v1`, and the path after it.",
            )
            return problem_answer(missing.problem())
        title = str(error.detail)
        code = title.lower().replace(" ", "_")
        return problem_answer(
            Problem(type=PROBLEM_TYPE_PREFIX + code, title=title, status=error.status_code), dict(error.headers or {})
        )

    @app.exception_handler(InterfaceError)
    @app.exception_handler(OperationalError)
    async def on_no_database(request: Request, error: OperationalError | InterfaceError) -> JSONResponse:
        # The database restarts, can't be reached, or its disk is full. All connections are made anew with the next request.
        _log.error("%s %s failed: the database can't be used: %s", request.method, request.url.path, error.orig)
        unavailable = UnavailableError(
            "the server's database can't be used at the moment; the change may have been made",
            remedy="Try again, with the same Idempotency-Key where one was sent.",
        )
        return problem_answer(unavailable.problem(), {"Retry-After": "1"})

    @app.exception_handler(Exception)
    async def on_bug(request: Request, error: Exception) -> JSONResponse:
        facts = request.scope.get("exclave.request")
        _log.error("%s %s failed", request.method, request.url.path, exc_info=error, extra={"request": facts})
        name = facts.request_id if facts else "unknown"
        return problem_answer(
            Problem(
                type=PROBLEM_TYPE_PREFIX + "internal",
                title="Internal error",
                status=500,
                detail="The server made a mistake; its log says more.",
                remedy=f"Try again; if it stays, report it with the request id {name}.",
                retryable=True,
            )
        )
