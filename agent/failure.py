"""How a job fails on purpose: with a `Failure` that says what happened and what to do."""

from typing import ClassVar

from api.contract.base import Failure


class JobFailedError(Exception):
    """The job can't go on. `failure` is what its agent reports; whoever runs jobs catches this and nothing wider."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class CodedError(JobFailedError):
    """A failure whose code, remedy and retryability belong to its class."""

    code: ClassVar[str]
    remedy: ClassVar[str] = ""
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, remedy: str | None = None, field: str | None = None) -> None:
        super().__init__(
            Failure(
                code=self.code,
                message=message,
                remedy=self.remedy if remedy is None else remedy,
                field=field,
                retryable=self.retryable,
            )
        )
