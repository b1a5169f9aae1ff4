"""The database, whichever it is: one writer, many readers, commits that are shared.

`sole-writer`: every write runs on one thread. What queued up meanwhile shares one commit (group commit), each write in a
savepoint of its own, so that one that fails takes nothing else with it; `turns` says which come first. Where several processes
share a database, their batches take turns (`driver.Driver.take_turn`).
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, Concatenate, ParamSpec, TypeVar, TypeVarTuple

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from api.db.doorbell import Doorbell
from api.db.driver import Driver
from api.db.ids import IdMaker
from api.db.link import Link
from api.db.session import Session
from api.db.standing import Waiting
from api.db.transaction import History, Read, Write
from api.db.turns import Job, Turns, groups_of

P = ParamSpec("P")
R = TypeVar("R")
Ts = TypeVarTuple("Ts")

_READERS = 4


class _RehearsedError(Exception):
    def __init__(self, result: Any) -> None:
        super().__init__()
        self.result = result


class Database:
    """End it with `await close()`."""

    def __init__(self, driver: Driver, *, clock: Callable[[], datetime], doorbell: Doorbell, history: History) -> None:
        self._driver = driver
        self._clock = clock
        self._history = history
        self._ids = IdMaker()
        self.doorbell = doorbell
        self.committed: Callable[[int, float], None] = lambda _writes, _seconds: None
        """Told on the writer's thread, after each commit, how many writes shared it and how many seconds it took."""
        self.around: Callable[[str], contextlib.AbstractContextManager[object]] = lambda _name: contextlib.nullcontext()
        """A context around each write, for traces; gets the name of the change."""
        self._turns = Turns()
        self._connection: Connection | None = None
        """The writer's, and its thread's alone."""
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="db-reader")
        self._writer = threading.Thread(target=self._write_loop, name="db-writer", daemon=True)
        self._writer.start()

    def now(self) -> datetime:
        """The time, by the clock that transactions go by."""
        return self._clock()

    def listen(self) -> None:
        """Begin to ring the doorbell for what other processes change. Call it on the doorbell's own event loop."""
        loop = asyncio.get_running_loop()

        def ring(topics: set[str] | None) -> None:
            for job in self.doorbell.standing.take_all() if topics is None else self.doorbell.standing.take(topics):
                self._turns.put(job)
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(self.doorbell.ring_all if topics is None else lambda: self.doorbell.ring(topics))

        self._driver.listen(ring)

    async def read(self, query: Callable[Concatenate[Read, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `query(read, …)` on a reader's thread and give back what it returns."""

        def run(*, again: bool = True) -> R:
            answered = False
            try:
                with self._driver.reader.connect() as connection, connection.begin():
                    link = self._driver.link(connection)
                    try:
                        result = query(Read(Session(link), self._clock()), *args, **kwargs)
                        link.commit()
                    finally:
                        answered = link.answered
                return result
            except DBAPIError as error:
                if answered or not again or not error.connection_invalidated:
                    raise
            self._driver.reader.dispose()  # the connection was lost while nobody used it, and so were the others
            return run(again=False)

        return await asyncio.get_running_loop().run_in_executor(self._readers, run)

    async def write(self, actor: str, change: Callable[Concatenate[Write, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `change(write, …)` on the writer's thread, commit, ring the doorbell, and give back what it returned.

        An exception undoes everything that this one change did, and is raised here. Once queued it runs, even if the caller
        is cancelled.
        """
        with self.around(getattr(change, "__qualname__", "write")):
            result: R = await self._queue(Job(lambda tx: change(tx, *args, **kwargs), actor, *self._asked()))
        return result

    async def write_together(
        self,
        load: Callable[[Write, list[tuple[*Ts]]], None],
        actor: str,
        change: Callable[[Write, *Ts], R],
        *args: *Ts,
        urgent: bool = False,
    ) -> R:
        """As `write`, for what many callers ask for at once: those of one commit share a session and a savepoint.

        `urgent` ones come before all other writes (see `turns`).

        `load` is called first, once for all of them and with the arguments of each, so that their changes find what they need
        without a query of their own. If one of them raises, all are undone and run again, each by itself: the outcome is the
        same as with `write`.
        """
        result: R = await self._queue(Job(change, actor, *self._asked(), load, args, urgent))
        return result

    def write_when_rung(
        self,
        topic: str,
        load: Callable[[Write, list[tuple[*Ts]]], None],
        actor: str,
        change: Callable[[Write, *Ts], R | None],
        first: tuple[*Ts],
        later: tuple[*Ts],
    ) -> Waiting[R]:
        """An urgent write that waits as long as there is nothing to do.

        While `change` gives None it waits for `topic`, and then runs again: in the very commit that rings it, or in one of its
        own, if that was another process's. Its arguments are `first`, and after that `later`.
        """
        job = Job(change, actor, *self._asked(), load, first, urgent=True, topic=topic, later=later)
        self._turns.put(job)
        return Waiting(job, self.doorbell.standing)

    async def _queue(self, job: Job) -> Any:
        self._turns.put(job)
        return await job.done

    @staticmethod
    def _asked() -> tuple[asyncio.Future[Any], asyncio.AbstractEventLoop]:
        loop = asyncio.get_running_loop()
        return loop.create_future(), loop

    async def rehearse(self, actor: str, change: Callable[Concatenate[Write, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a change, undo it, and give back what it would have returned. Raises what it would have raised."""

        def run(tx: Write) -> R:
            raise _RehearsedError(change(tx, *args, **kwargs))

        try:
            return await self.write(actor, run)
        except _RehearsedError as rehearsed:
            result: R = rehearsed.result
            return result

    @property
    def queued(self) -> int:
        """How many writes wait for their turn."""
        return len(self._turns)

    @property
    def writes(self) -> bool:
        """Whether the writer's thread lives."""
        return self._writer.is_alive()

    async def close(self) -> None:
        """Finish what is queued, then let go of the database."""
        self._turns.end()
        await asyncio.to_thread(self._writer.join)
        self._readers.shutdown()
        await asyncio.to_thread(self._driver.close)

    def _write_loop(self) -> None:
        try:
            for groups in self._turns.commits():
                begun = time.perf_counter()
                writes = self._commit(groups)
                self.committed(writes, time.perf_counter() - begun)
        finally:
            self._hang_up()

    def _commit(self, groups: Iterator[list[Job]]) -> int:
        """Run groups of writes in one transaction; gives how many writes they were."""
        batch: list[Job] = []
        kept: list[Job] = []
        committed = False
        try:
            with contextlib.ExitStack() as transaction:
                link = self._begin(transaction)
                for group in groups:
                    batch += group
                    self._run_group(group, link)
                self._run_rung(batch, link)
                self._history.write(link)
                topics = _topics(batch)
                # Before the commit: what another process commits next, it then rings for these, too.
                kept = [job for job in batch if job.found_nothing and self.doorbell.standing.keep(job)]
                if topics:
                    self._driver.announce(link, topics)
                link.commit()
            committed = True
        except Exception as error:  # the commit itself failed (disk full, …): nothing of the batch happened
            self._hang_up()
            topics = set()
            batch += [job for group in groups for job in group]
            kept = [job for job in kept if not self.doorbell.standing.withdraw(job)]
            for job in batch:
                if job not in kept:  # another process has rung for these meanwhile: they run once more
                    job.error = job.error or error
        self._history.ended(committed=committed)
        self._tell(batch, {*kept}, topics)
        return len(batch)

    def _run_rung(self, batch: list[Job], link: Link) -> None:
        """Run what waits for what a batch has rung, and add it to the batch."""
        topics = _topics(batch)
        again = [job for job in batch if job.found_nothing and job.topic in topics]
        for job in again:
            job.arguments = job.later
        rung = self.doorbell.standing.take(topics)
        batch += rung
        for group in groups_of(again + rung):
            self._run_group(group, link)

    def _begin(self, transaction: contextlib.ExitStack, *, again: bool = True) -> Link:
        """Begin a transaction that has the turn. A connection that was lost while nobody used it is replaced, once."""
        try:
            with contextlib.ExitStack() as begun:
                if self._connection is None:
                    self._connection = self._driver.writer.connect()
                begun.enter_context(self._connection.begin())
                link = self._driver.link(self._connection)
                self._driver.take_turn(link)
                self._history.begin(link, shared=self._driver.shared)
                transaction.push(begun.pop_all())
                return link
        except DBAPIError as error:
            if not again or not error.connection_invalidated:
                raise
        self._hang_up()
        self._driver.writer.dispose()
        return self._begin(transaction, again=False)

    def _hang_up(self) -> None:
        """Let go of the writer's connection. Otherwise it stays open: to open one costs more than a small transaction does."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _tell(self, batch: list[Job], kept: set[Job], topics: set[str]) -> None:
        """Ring, then answer, all in one call: each call wakes the event loop up, which costs more than the answers."""
        told = [job for job in batch if job not in kept]

        def tell() -> None:
            self.doorbell.ring(topics)
            for job in told:
                job.tell()

        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            batch[0].loop.call_soon_threadsafe(tell)

    def _run_group(self, group: list[Job], link: Link) -> None:
        """One write in a savepoint; or several of a kind in one, and each in its own if that fails."""
        if len(group) > 1 and self._all_well(group, link):
            return
        for job in group:
            job.topics, job.result = set(), None
            mark = self._history.mark()
            session = Session(link)
            tx = self._transaction(session, job.actor, self._clock())
            try:
                with session.begin_nested():
                    if job.load:
                        job.load(tx, [job.arguments])
                    job.result = job.run(tx)
                job.topics = tx.topics
            except BaseException as error:
                if link.lost:  # it is lost, and the whole batch with it: all are told why
                    raise
                self._history.undo(mark)
                job.error = error
                tx.topics.clear()
                for action, object_id, after in tx.refusals:
                    tx.emit(action, object_id, after=after)
                job.topics = tx.topics
            finally:
                session.close()

    def _all_well(self, group: list[Job], link: Link) -> bool:
        """Whether a group went through as one."""
        mark = self._history.mark()
        session = Session(link)
        try:
            with session.begin_nested():
                now = self._clock()  # one for all: they happen at once
                txs = [self._transaction(session, job.actor, now) for job in group]
                if group[0].load:
                    group[0].load(txs[0], [job.arguments for job in group])
                for job, tx in zip(group, txs, strict=True):
                    job.result = job.run(tx)
                    job.topics = tx.topics
        except Exception:
            if link.lost:
                raise
            self._history.undo(mark)
            return False
        finally:
            session.close()
        return True

    def _transaction(self, session: Session, actor: str, now: datetime) -> Write:
        return Write(session, now, actor, lambda prefix: self._ids.new(prefix, now), self._history)


def _topics(batch: list[Job]) -> set[str]:
    return {topic for job in batch for topic in job.topics}
