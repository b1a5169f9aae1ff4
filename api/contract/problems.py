"""Errors as classes: each one knows its HTTP status, its stable code, and what the reader should do.

On the wire they are `application/problem+json` (RFC 9457). `type` is `urn:exclave:problem:<code>`.
"""

from typing import ClassVar

from pydantic import Field

from api.contract.base import Model

PROBLEM_TYPE_PREFIX = "urn:exclave:problem:"
PROBLEM_MEDIA_TYPE = "application/problem+json"


class FieldProblem(Model):
    """One field that is wrong. `field` is a dotted path (`config.variables.cidr`); the provider maps it to an attribute."""

    field: str
    message: str
    remedy: str = ""


class Problem(Model):
    """The body of every error answer (RFC 9457), with the fields at fault and whether trying again can help."""

    type: str
    title: str
    status: int
    detail: str = ""
    remedy: str = ""
    errors: list[FieldProblem] = Field(default_factory=list)
    retryable: bool = False

    @property
    def code(self) -> str:
        """The stable code: the last part of `type`."""
        return self.type.removeprefix(PROBLEM_TYPE_PREFIX)


class ProblemError(Exception):
    """Base of the errors that reach a caller of the API."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal error"
    retryable: ClassVar[bool] = False

    def __init__(self, detail: str, *, remedy: str = "", errors: list[FieldProblem] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.remedy = remedy
        self.errors = errors or []

    def problem(self) -> Problem:
        """The error as it goes over the wire."""
        return Problem(
            type=PROBLEM_TYPE_PREFIX + self.code,
            title=self.title,
            status=self.status,
            detail=self.detail,
            remedy=self.remedy,
            errors=self.errors,
            retryable=self.retryable,
        )


class InvalidError(ProblemError):
    """The request is well-formed, but a value in it can't be accepted. Nothing was changed."""

    status, code, title = 422, "invalid", "Invalid value"

    @classmethod
    def at(cls, field: str, message: str, remedy: str = "") -> "InvalidError":
        """An error about one field."""
        return cls(f"{field}: {message}", remedy=remedy, errors=[FieldProblem(field=field, message=message, remedy=remedy)])


class UnauthorizedError(ProblemError):
    """No token, or one that isn't known, has expired or was revoked."""

    status, code, title = 401, "unauthorized", "Not signed in"


class AgentRevokedError(UnauthorizedError):
    """The agent was revoked, or never was one: no sign-in will ever work again. It stops."""

    code, title = "agent_revoked", "Agent revoked"


class ForbiddenError(ProblemError):
    """The token's role, or its scope, isn't enough for this route. The remedy names what is needed."""

    status, code, title = 403, "forbidden", "Not allowed"


class NotFoundError(ProblemError):
    """No such object, or none that this token may see."""

    status, code, title = 404, "not_found", "Not found"


class NoSuchPathError(ProblemError):
    """The API has no such path: nothing is said of any object."""

    status, code, title = 404, "no_such_path", "No such path"


class NameTakenError(ProblemError):
    """Another object already has this name."""

    status, code, title = 409, "name_taken", "Name taken"


class InUseError(ProblemError):
    """The object can't be deleted while others use it; the detail lists them."""

    status, code, title = 409, "in_use", "Still in use"


class ConflictError(ProblemError):
    """The request is right in itself, but not in the state that the object is in."""

    status, code, title = 409, "conflict", "Conflict"


class NotTheApproverError(ProblemError):
    """The plan waits for the approval of somebody else: the vendor's yes doesn't count where the customer decides."""

    status, code, title = 403, "not_the_approver", "Not yours to approve"


class StaleAttemptError(ProblemError):
    """`fencing`: the report comes from a lease that is no longer the current one. The agent must drop the job."""

    status, code, title = 409, "stale_attempt", "Stale attempt"


class AttemptClosedError(ProblemError):
    """The attempt has ended: the log uploader stops."""

    status, code, title = 410, "attempt_closed", "Attempt closed"


class RateLimitedError(ProblemError):
    """Too many calls. `retry_after` goes into the header of that name."""

    status, code, title, retryable = 429, "rate_limited", "Too many requests", True

    def __init__(
        self, detail: str, *, retry_after: int = 1, remedy: str = "", errors: list[FieldProblem] | None = None
    ) -> None:
        super().__init__(detail, remedy=remedy, errors=errors)
        self.retry_after = retry_after


class AuthorizationPendingError(ProblemError):
    """RFC 8628: the person hasn't confirmed yet. The program asks again after its interval."""

    status, code, title, retryable = 400, "authorization_pending", "Not confirmed yet", True


class AccessDeniedError(ProblemError):
    """RFC 8628: the person said no. The program stops asking."""

    status, code, title = 400, "access_denied", "Denied"


class LoginOffError(ProblemError):
    """The IMS has no OpenID provider in its settings: there are only tokens."""

    status, code, title = 404, "login_off", "No login here"


class ContentTooLargeError(ProblemError):
    """The body of the request is larger than the server takes. Nothing was changed."""

    status, code, title = 413, "content_too_large", "Content too large"


class PreconditionFailedError(ProblemError):
    """`If-Match` names another version than the current one: somebody changed the object meanwhile."""

    status, code, title = 412, "precondition_failed", "Changed meanwhile"


class ChunkConflictError(ProblemError):
    """The IMS has a chunk of a log under this number already, with another text. The log uploader stops."""

    status, code, title = 409, "chunk_conflict", "Another chunk"


class LogPrunedError(ProblemError):
    """The log was there, and was removed by the vendor's policy."""

    status, code, title = 410, "log_pruned", "Log removed"


class LogFullError(ProblemError):
    """The job's log has as many bytes as are kept of one. The log uploader stops; the job goes on."""

    status, code, title = 413, "log_full", "Log full"


class UnavailableError(ProblemError):
    """The server can't reach what it needs, such as its database. Whether a change was made is not known."""

    status, code, title, retryable = 503, "unavailable", "Not available now", True


class UpgradeRequiredError(ProblemError):
    """The agent is of a version that this IMS no longer speaks with; the detail names the oldest one that it does."""

    status, code, title = 426, "upgrade_required", "Upgrade required"
