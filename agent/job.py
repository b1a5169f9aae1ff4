"""What a job is given to work with, and what the worker expects of whoever does it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from agent.cancellation import Cancellation
from agent.redaction import Redactor
from api.contract.agents import JobPayload, JobResult, RegistryAccess


async def _unsigned() -> str | None:
    return None


async def _no_other() -> RegistryAccess | None:
    return None


@dataclass(frozen=True)
class JobContext:
    """One attempt of a job. `log` takes whole lines, without the line's end; `redactor` guards everything that leaves.

    `release` asks the IMS for the document (a DSSE envelope) with which the job's release is signed; None if it isn't. `ticket`
    asks it for another pull ticket, as the job's own works once; None if the IMS is an earlier one.
    """

    job_id: str
    log: Callable[[str], None]
    redactor: Redactor
    cancellation: Cancellation
    attempt: int = 1
    release: Callable[[], Awaitable[str | None]] = _unsigned
    ticket: Callable[[], Awaitable[RegistryAccess | None]] = _no_other


class Executor(Protocol):
    """Does the jobs of one kind of agent.

    A job may be run again from its beginning after any crash, with the same id: an executor either can repeat its work or finds
    out from its own files how far it came.
    """

    async def run(self, payload: JobPayload, context: JobContext) -> JobResult:
        """Do the job. Raises JobFailedError, or JobCancelledError if `context.cancellation` stopped it."""
        ...
