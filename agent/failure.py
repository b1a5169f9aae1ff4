"""How a job fails on purpose: with a `Failure` that says what happened and what to do.

The contract is loaded when a failure is reported: a copy between registries has no other use for pydantic.
"""

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from api.contract.base import Failure


class JobFailedError(Exception):
    """The job can't go on. `failure` is what its agent reports; whoever runs jobs catches this and nothing wider."""

    def __init__(self, failure: "Failure") -> None:
        super().__init__(failure.message)
        self._failure = failure

    @property
    def failure(self) -> "Failure":
        """What happened and what to do."""
        return self._failure


class CodedError(JobFailedError):
    """A failure whose code, remedy and retryability belong to its class."""

    code: ClassVar[str]
    remedy: ClassVar[str] = ""
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, remedy: str | None = None, field: str | None = None) -> None:
        Exception.__init__(self, message)
        self._message = message
        self._remedy = self.remedy if remedy is None else remedy
        self._field = field

    @property
    def failure(self) -> "Failure":
        """See `JobFailedError`."""
        from api.contract.base import Failure

        return Failure(code=self.code, message=self._message, remedy=self._remedy, field=self._field, retryable=self.retryable)
