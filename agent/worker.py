"""The lease loop: asks the IMS for jobs, and runs as many at once as the agent has slots."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from agent.attempt import Attempt
from agent.job import Executor
from agent.journal import JournalEntry
from agent.redaction import Redactor
from agent.report import Office, report
from agent.session import Idle
from api.client import ApiError, UnreachableError
from api.contract.agents import Finish, HeldJob, Lease, LeaseRequest

log = logging.getLogger(__name__)

_NOT_HELD = {404, 409, 410}


@dataclass(frozen=True)
class Limits:
    """How much an agent does at once, and how long it waits, in seconds.

    Once the agent is told to stop, jobs in progress may end by themselves for `stop`; then they are cancelled, and after
    `cancel` stopped by force, for which they have `force`.
    """

    slots: int = 4
    poll: float = 50.0
    stop: float = 30.0
    cancel: float = 60.0
    force: float = 30.0


class RevokedError(Exception):
    """The IMS has ended this agent's access. What it did was stopped, and nothing more can be reported."""


class Worker:
    """One agent at work, until it is told to stop. `watch` is told each job's redactor, for the agent's own log."""

    def __init__(
        self,
        office: Office,
        executor: Executor,
        limits: Limits,
        watch: Callable[[Redactor], None] = lambda redactor: None,
        *,
        once: bool = False,
    ) -> None:
        self._office = office
        self._executor = executor
        self._limits = limits
        self._watch = watch
        self._once = once
        self._free = asyncio.Semaphore(limits.slots)
        self._running: dict[asyncio.Task[None], tuple[HeldJob, Attempt | None]] = {}
        self._stop = asyncio.Event()
        self._stop_now = asyncio.Event()
        self._drain = asyncio.Event()
        self._drained: Callable[[], None] = lambda: None

    @property
    def jobs(self) -> int:
        """How many jobs are in work."""
        return len(self._running)

    def stop(self) -> None:
        """Take no more jobs, and end those in progress; called once more, end them at once."""
        if self._stop.is_set():
            self._stop_now.set()
        self._stop.set()

    def drain(self, drained: Callable[[], None]) -> None:
        """Take no more jobs, and end once those in progress have, however long that takes.

        An update of this agent is none of them: it goes on in the process that comes next, and `drained` is called before it
        is stopped.
        """
        self._drained = drained
        self._drain.set()

    async def run(self) -> None:
        """Work until `stop`; with `once`, until there is nothing to do. Jobs of an earlier process come first.

        Raises RevokedError once the IMS has revoked the agent and the jobs in progress have been stopped: they get no time to
        end by themselves, because they act for somebody who no longer wants them to.
        """
        leasing = asyncio.create_task(self._lease_loop(), name="lease loop")
        stopped = asyncio.create_task(self._stop.wait(), name="stop")
        revoked = asyncio.create_task(self._office.session.revoked.wait(), name="revoked")
        draining = asyncio.create_task(self._drain.wait(), name="drain")
        patience = self._limits.stop
        try:
            await asyncio.wait([leasing, stopped, revoked, draining], return_when=asyncio.FIRST_COMPLETED)
            if leasing.done():
                leasing.result()
            elif draining.done():
                leasing.cancel()
                await asyncio.wait([leasing])
                others = asyncio.create_task(self._others_end(), name="drained")
                await asyncio.wait([others, stopped, revoked], return_when=asyncio.FIRST_COMPLETED)
                if others.done():
                    self._drained()
                    patience = 0
                others.cancel()
        finally:
            for task in (leasing, stopped, revoked, draining):
                task.cancel()
            if self._office.session.revoked.is_set():
                log.error("the IMS has revoked this agent; %d jobs are stopped", len(self._running))
            await self._end_running(0 if self._office.session.revoked.is_set() else patience)
        if self._office.session.revoked.is_set():
            raise RevokedError

    async def _others_end(self) -> None:
        """Until nothing is in work but an update of the agent itself."""
        while others := [task for task, (_, attempt) in self._running.items() if not (attempt and attempt.of_the_agent)]:
            await asyncio.wait(others)

    async def _lease_loop(self) -> None:
        entries = await asyncio.to_thread(self._office.journal.entries)
        await asyncio.to_thread(self._office.sweep, entries)
        for entry in entries:
            if entry.finish:
                self._settle(entry.job_id, entry.finish)
            else:
                await self._resume(entry)
        wait = 1 if self._once else self._limits.poll
        while True:
            await self._free.acquire()
            holding = [held for held, _ in self._running.values()]
            answer = await self._ask(LeaseRequest(wait_seconds=wait, holding=holding))
            if isinstance(answer, Lease):
                await self._start(answer)
                continue
            self._free.release()
            if self._once and not self._running:
                return
            await asyncio.sleep(answer.retry_after or 0)

    async def _ask(self, request: LeaseRequest) -> Lease | Idle:
        """Ask until there is an answer."""
        session = self._office.session
        backoff = session.backoff()
        while True:
            try:
                return await session.lease(request)
            except UnreachableError as error:
                wait = backoff.next()
                log.warning("lease loop: waits %.1f s: %s", wait, error)
                await session.pause(wait)
            except ApiError as error:
                if request.resume and error.of_ims and error.status in _NOT_HELD:
                    return Idle(None)
                wait = backoff.next(error.retry_after)
                log.warning("lease loop: waits %.1f s: %s", wait, error)
                await asyncio.sleep(wait)

    def _settle(self, job_id: str, finish: Finish) -> None:
        """Send the report that an earlier process of this agent owes. Its log was redacted when it was written."""
        log.info("lease loop: the report of %s, attempt %d, is still owed", job_id, finish.attempt)
        uploader = self._office.uploader(job_id, finish.attempt, Redactor())
        task = asyncio.create_task(report(self._office, uploader, job_id, finish), name=f"report {job_id}")
        self._follow(HeldJob(job_id=job_id, attempt=finish.attempt), None, task)

    async def _resume(self, entry: JournalEntry) -> None:
        """Go on with a job that an earlier process of this agent held, if its attempt is still the current one."""
        log.info("lease loop: the journal has %s, attempt %d", entry.job_id, entry.attempt)
        await self._free.acquire()
        held = HeldJob(job_id=entry.job_id, attempt=entry.attempt)
        answer = await self._ask(LeaseRequest(wait_seconds=0, resume=held))
        if not isinstance(answer, Lease) or (answer.job_id, answer.attempt) != (entry.job_id, entry.attempt):
            log.info("lease loop: %s is no longer this agent's", entry.job_id)
            await asyncio.to_thread(self._office.journal.drop, entry.job_id, entry.attempt)
        if isinstance(answer, Lease):
            await self._start(answer)
        else:
            self._free.release()

    async def _start(self, lease: Lease) -> None:
        """Run a lease, in a slot that is already taken."""
        for task, (held, attempt) in list(self._running.items()):
            if held.job_id == lease.job_id and attempt is not None:
                # This process is still at work on an earlier attempt: that lease is lost, though it may not know yet.
                task.cancel()
                await asyncio.wait([task])
        redactor = Redactor()
        self._watch(redactor)
        attempt = Attempt(self._office, self._executor, lease, redactor)
        task = asyncio.create_task(attempt.run(), name=f"job {lease.job_id}")
        if attempt.of_the_agent:
            self._free.release()  # it may wait for the customer's window for days, and keeps no other job from running
        else:
            task.add_done_callback(lambda _: self._free.release())
        self._follow(HeldJob(job_id=lease.job_id, attempt=lease.attempt), attempt, task)

    def _follow(self, held: HeldJob, attempt: Attempt | None, task: asyncio.Task[None]) -> None:
        self._running[task] = (held, attempt)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        held, _ = self._running.pop(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("job %s: its attempt ended in an error", held.job_id, exc_info=error)

    async def _end_running(self, patience: float) -> None:
        """Let jobs end by themselves for `patience` seconds, then cancel them, then stop them by force.

        What is left then, the journal knows. An update of the agent gets no such time: the next process goes on with it.
        """
        for _, attempt in self._running.values():
            if attempt is not None and attempt.of_the_agent:
                attempt.stop(force=False)
        await self._wait_for_jobs(patience)
        self._stop_attempts(force=False)
        await self._wait_for_jobs(self._limits.cancel)
        self._stop_attempts(force=True)
        self._stop_now.clear()
        await self._wait_for_jobs(self._limits.force)
        for task in list(self._running):
            task.cancel()
            await asyncio.wait([task])

    def _stop_attempts(self, *, force: bool) -> None:
        for _, attempt in self._running.values():
            if attempt is not None:
                attempt.stop(force=force)

    async def _wait_for_jobs(self, limit: float) -> None:
        """Until all have ended, `limit` seconds have passed, or the agent is told to stop at once."""
        if not self._running:
            return
        log.info("%d jobs are still at work; waiting up to %g s", len(self._running), limit)
        ended = asyncio.create_task(_all_ended(list(self._running)))
        now = asyncio.create_task(self._stop_now.wait())
        await asyncio.wait([ended, now], timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        now.cancel()


async def _all_ended(tasks: list[asyncio.Task[None]]) -> None:
    await asyncio.wait(tasks)
