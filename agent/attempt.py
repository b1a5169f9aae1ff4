"""One attempt of a job, from the lease to the report that the IMS has acknowledged."""

import asyncio
import errno
import logging
import shutil

from agent import durable
from agent.cancellation import Cancellation, JobCancelledError
from agent.failure import CodedError, JobFailedError
from agent.heartbeat import heartbeat_loop
from agent.job import Executor, JobContext
from agent.journal import JournalEntry
from agent.redaction import Redactor
from agent.report import Office, forget, report
from api.client import ApiError, UnreachableError
from api.contract.agents import Finish, Lease, RegistryAccess
from api.contract.base import Failure

log = logging.getLogger(__name__)

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NONE_BYTES = 64 * 1024
_CHANGES_THE_ACCOUNT = ("apply", "destroy")


class ImsAwayError(CodedError):
    """The job needs to know something more of the IMS, which gives no answer."""

    code = "ims_unreachable"
    retryable = True
    remedy = "It is tried again by itself; look whether the agent reaches the IMS: `exclave agent doctor`."


class Attempt:
    """Runs one lease. `fencing`: once it is lost, the work is stopped and nothing more is said about it."""

    def __init__(self, office: Office, executor: Executor, lease: Lease, redactor: Redactor) -> None:
        self._office = office
        self._executor = executor
        self._lease = lease
        self._redactor = redactor
        self._cancellation = Cancellation()
        self._agent_stops = False
        self._uploader = office.uploader(lease.job_id, lease.attempt, redactor)
        self._uploader.pace(lease.log_seconds)

    def stop(self, *, force: bool) -> None:
        """Ask the work to end because the agent ends."""
        self._agent_stops = True
        self._cancellation.request("force" if force else "graceful")

    @property
    def of_the_agent(self) -> bool:
        """Whether the job is an update of the agent itself, which goes on in the process that comes next."""
        return self._lease.payload.kind == "update_agent"

    async def run(self) -> None:
        """Do the work and report it. Where no report could be sent, the journal still has the attempt."""
        lease, office = self._lease, self._office
        try:
            await asyncio.to_thread(office.journal.record, JournalEntry(job_id=lease.job_id, attempt=lease.attempt))
        except OSError as error:
            # Begun without a word in the journal, it would be nobody's after a crash.
            self._say(f"can't begin: {error}")
            await report(office, self._uploader, lease.job_id, self._failed(_unwritable(error)))
            return
        self._say("begins" if not lease.resumed else "goes on")
        work = asyncio.create_task(self._work(), name=f"work {lease.job_id}")
        heartbeat = asyncio.create_task(
            heartbeat_loop(office.session, lease, self._cancellation, self._uploader.pace),
            name=f"heartbeat loop {lease.job_id}",
        )
        uploading = asyncio.create_task(self._uploader.run(), name=f"log loop {lease.job_id}")
        try:
            await asyncio.wait([work, heartbeat], return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                heartbeat.result()
                self._say("its lease was lost; stopping")
                await _ended(work)
                await forget(office, self._uploader, lease.job_id, lease.attempt)
            elif finish := work.result():
                self._say(finish.outcome)
                await report(office, self._uploader, lease.job_id, finish)
        finally:
            for task in (work, heartbeat, uploading):
                await _ended(task)

    async def _work(self) -> Finish | None:
        """How the work ended; None if the agent stops and a later process can begin it again."""
        attempt = self._lease.attempt
        context = JobContext(
            self._lease.job_id, self._uploader.line, self._redactor, self._cancellation, attempt, self._release, self._ticket
        )
        room = self._room()
        if self._lease.payload.kind in _CHANGES_THE_ACCOUNT and room < durable.RESERVED_BYTES:
            return self._failed(_full(f"{room >> 20} MiB are free on the agent's disk, too few for an apply and its state."))
        try:
            result = await self._executor.run(self._lease.payload, context)
        except JobFailedError as error:
            if self._room() < _NONE_BYTES:  # an engine that could write nothing names no error
                return self._failed(_full(f"{error.failure.message} The agent's disk is full."))
            return self._failed(error.failure)
        except JobCancelledError:
            if not self._agent_stops:
                context.log("stopped: the job was cancelled")
                return Finish(attempt=attempt, outcome="cancelled")
            if self._lease.payload.kind not in _CHANGES_THE_ACCOUNT:
                return None
            return self._failed(
                Failure(
                    code="agent_stopped",
                    message=f"The agent was stopped in the middle of the {self._lease.payload.kind}.",
                    remedy="Start the agent again; then deploy again: a new plan goes on from what was done.",
                    retryable=True,
                )
            )
        except Exception as error:
            # The border of the job: a fault of ours, or of the machine, must not leave it without an end.
            if isinstance(error, OSError) and error.errno in _NO_ROOM:
                return self._failed(_unwritable(error))
            log.exception("%s: unexpected", self._lease.job_id)
            return self._failed(
                Failure(
                    code="agent_error",
                    message=f"The agent failed in a way that it doesn't know: {type(error).__name__}: {error}",
                    remedy="Look into the agent's own log on its machine.",
                )
            )
        return Finish(attempt=attempt, outcome="succeeded", result=self._redactor.result(result))

    async def _release(self) -> str | None:
        """See `JobContext.release`. Raises ImsAwayError."""
        try:
            return await self._office.session.release_of(self._lease.job_id)
        except (ApiError, UnreachableError) as error:
            raise ImsAwayError(f"the IMS doesn't say how the release is signed: {error}") from None

    async def _ticket(self) -> RegistryAccess | None:
        """See `JobContext.ticket`. Raises ImsAwayError."""
        try:
            return await self._office.session.ticket_of(self._lease.job_id, self._lease.attempt)
        except (ApiError, UnreachableError) as error:
            raise ImsAwayError(f"the IMS gives no further ticket: {error}") from None

    def _room(self) -> int:
        return shutil.disk_usage(self._office.spools).free

    def _failed(self, failure: Failure) -> Finish:
        redacted = self._redactor.failure(failure)
        self._uploader.line(f"failed: {redacted.message}")
        return Finish(attempt=self._lease.attempt, outcome="failed", failure=redacted)

    def _say(self, what: str) -> None:
        log.info("%s %s, attempt %d: %s", self._lease.payload.kind, self._lease.job_id, self._lease.attempt, what)


def _unwritable(error: OSError) -> Failure:
    failure = _full(f"The agent can't write to its disk: {error.strerror}.")
    return failure if error.errno in _NO_ROOM else failure.model_copy(update={"code": "disk_unwritable"})


def _full(message: str) -> Failure:
    remedy = "Make room in the agent's home folder (`exclave agent doctor` says how much there is), and deploy again."
    return Failure(code="disk_full", message=message, remedy=remedy)


async def _ended(task: asyncio.Task[None] | asyncio.Task[Finish | None]) -> None:
    """Cancel a task, and wait until it is over."""
    task.cancel()
    await asyncio.wait([task])
