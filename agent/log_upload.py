"""The log uploader: one job's log on its way to the IMS."""

import asyncio
import logging
import time
from collections.abc import Callable

from agent.backoff import Backoff
from agent.redaction import Redactor
from agent.session import Session
from agent.spool import LogSpool
from api.client import ApiError, UnreachableError
from api.contract.agents import LOG_CHUNK_BYTES
from api.contract.problems import AgentRevokedError

log = logging.getLogger(__name__)

_FASTEST_SECONDS, _SLOWEST_SECONDS = 0.05, 60.0
_CLOSED = {404, 409, 410, 413}
"""No such job, another attempt is the current one, this one has ended, or the log is full: no chunk will be taken any more."""


class LogUploader:
    """Takes the lines of one attempt, redacts them, and sends them in chunks.

    It sends as often as the IMS asks (`pace`), and as soon as a chunk is full.
    """

    def __init__(
        self,
        session: Session,
        spool: LogSpool,
        job_id: str,
        attempt: int,
        redactor: Redactor,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._spool = spool
        self._job_id = job_id
        self._attempt = attempt
        self._stream = redactor.stream()
        self._clock = clock
        self._every = 1.0
        self._wake = asyncio.Event()
        self._sending = asyncio.Lock()
        self._backoff = Backoff()
        self._not_before = 0.0
        self._closed = False

    def line(self, text: str) -> None:
        """Add a line."""
        self._spool.append(self._stream.feed(text + "\n"))
        if self._spool.waiting >= LOG_CHUNK_BYTES:
            self._wake.set()

    def pace(self, seconds: float) -> None:
        """How long lines may wait from now on: the IMS says so, because it knows whether somebody watches."""
        seconds = min(max(seconds, _FASTEST_SECONDS), _SLOWEST_SECONDS)
        if seconds < self._every:
            self._wake.set()  # whoever has begun to watch doesn't wait for the end of the longer time
        self._every = seconds

    async def run(self) -> None:
        """The log loop; ends only by being cancelled, or once the IMS takes no more."""
        while not self._closed:
            try:
                async with asyncio.timeout(self._every):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            wait = self._not_before - self._clock()
            if wait > 0:
                await asyncio.sleep(wait)
            await self._send_all()

    async def drain(self, limit: float) -> None:
        """Send what there is, to the last character, but take no longer than `limit` seconds."""
        self._spool.append(self._stream.finish())
        try:
            async with asyncio.timeout(limit):
                while self._spool.waiting and not self._closed:
                    if not await self._send_all():
                        await asyncio.sleep(max(0.0, self._not_before - self._clock()))
        except TimeoutError:
            log.warning("log of %s: %d bytes are still waiting", self._job_id, self._spool.waiting)

    def close(self) -> None:
        """Give the log up; what hasn't been sent is lost, and counted."""
        lost = self._spool.lost_bytes + self._spool.waiting
        if lost:
            log.warning("log of %s, attempt %d: %d bytes were lost", self._job_id, self._attempt, lost)
        self._spool.remove()

    async def _send_all(self) -> bool:
        """Whether every chunk that there is was settled, in one way or another."""
        async with self._sending:
            while not self._closed and (chunk := self._spool.next()):
                try:
                    await self._session.put_log(self._job_id, self._attempt, chunk)
                except UnreachableError as error:
                    return self._later(error, None)
                except ApiError as error:
                    if (error.of_ims and error.status in _CLOSED) or error.code == AgentRevokedError.code:
                        self._closed = True
                        return True
                    if not error.of_ims or error.retryable or error.status in (401, 403) or error.status >= 500:
                        return self._later(error, error.retry_after)
                    log.warning("log of %s: chunk %d was refused: %s", self._job_id, chunk.seq, error)
                    self._spool.give_up()
                else:
                    self._spool.sent()
                    self._backoff.reset()
            return True

    def _later(self, error: Exception, at_least: float | None) -> bool:
        wait = self._backoff.next(at_least)
        self._not_before = self._clock() + wait
        log.info("log of %s waits %.1f s: %s", self._job_id, wait, error)
        return False
