"""How an attempt's end reaches the IMS: retried until it is taken, or nobody waits for it any more."""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from agent.journal import Journal, JournalEntry
from agent.log_upload import LogUploader
from agent.redaction import Redactor
from agent.session import Session
from agent.spool import LogSpool, sweep_spools
from api.client import ApiError, UnreachableError
from api.contract.agents import Finish
from api.contract.base import Failure
from api.contract.problems import AgentRevokedError

log = logging.getLogger(__name__)

_DRAIN_SECONDS = 10.0
_LEFT_SECONDS = 240.0
"""The IMS takes the log of an attempt for five minutes after its end."""
_SETTLED = {404, 409, 410}
"""No such job, or another attempt is the current one (`fencing`): there is nobody to report to."""


@dataclass(frozen=True)
class Office:
    """Where an agent reports to, and what it keeps until the report is taken."""

    session: Session
    journal: Journal
    spools: Path

    def uploader(self, job_id: str, attempt: int, redactor: Redactor) -> LogUploader:
        """The log of an attempt; what an earlier process wrote of it is taken up."""
        return LogUploader(self.session, LogSpool(self.spools, job_id, attempt), job_id, attempt, redactor)

    def sweep(self, entries: Iterable[JournalEntry]) -> None:
        """Remove the logs of attempts that the journal doesn't know: a crash came between the two. Blocks."""
        sweep_spools(self.spools, {(entry.job_id, entry.attempt) for entry in entries})


async def report(office: Office, uploader: LogUploader, job_id: str, finish: Finish) -> None:
    """Journal the report, send it with what is left of the log, and forget the attempt."""
    entry = JournalEntry(job_id=job_id, attempt=finish.attempt, finish=finish)
    try:
        await asyncio.to_thread(office.journal.record, entry)
    except OSError as error:
        log.error("report of %s can't be kept; it is lost if the agent ends before it is sent: %s", job_id, error)
    await uploader.drain(_DRAIN_SECONDS)
    await _send(office.session, job_id, finish)
    await uploader.drain(_LEFT_SECONDS)
    await forget(office, uploader, job_id, finish.attempt)


async def forget(office: Office, uploader: LogUploader, job_id: str, attempt: int) -> None:
    """Take an attempt that is over off the disk."""
    await asyncio.to_thread(office.journal.drop, job_id, attempt)
    uploader.close()


async def _send(session: Session, job_id: str, finish: Finish) -> None:
    backoff = session.backoff()
    while True:
        try:
            await session.finish(job_id, finish)
        except UnreachableError as error:
            wait = backoff.next()
            log.warning("report of %s waits %.1f s: %s", job_id, wait, error)
            await session.pause(wait)
        except ApiError as error:
            if (error.of_ims and error.status in _SETTLED) or error.code == AgentRevokedError.code:
                log.warning("report of %s, attempt %d, isn't wanted: %s", job_id, finish.attempt, error)
                return
            if error.of_ims and error.status == 422 and finish.result is not None:
                log.error("report of %s was refused: %s", job_id, error)
                finish = _refused(finish.attempt, error)
                continue
            wait = backoff.next(error.retry_after)
            log.warning("report of %s waits %.1f s: %s", job_id, wait, error)
            await asyncio.sleep(wait)
        else:
            return


def _refused(attempt: int, error: ApiError) -> Finish:
    """The job must end all the same: a result that the IMS can't take is a failure."""
    failure = Failure(
        code="report_refused",
        message=f"The IMS didn't take the job's result: {error}",
        remedy="Run the same version of Exclave on both sides.",
    )
    return Finish(attempt=attempt, outcome="failed", failure=failure)
