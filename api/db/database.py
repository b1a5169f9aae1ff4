"""The embedded database: SQLite with one writer and many readers.

`sole-writer`: every write runs on one thread, in the order in which it was asked for. What queued up meanwhile shares one
commit (group commit), each write in a savepoint of its own, so that one that fails takes nothing else with it.
"""

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import URL, Engine, create_engine, event
from sqlmodel import Session

from api.contract.base import Json
from api.db.doorbell import Doorbell
from api.db.ids import IdMaker
from api.db.transaction import Read, Write

P = ParamSpec("P")
R = TypeVar("R")

_BATCH = 64
_READERS = 4


def open_engine(path: Path, *, read_only: bool = False) -> Engine:
    """An SQLAlchemy engine on one SQLite file, with the settings that everything else relies on."""
    url = URL.create("sqlite", database=str(path))
    engine = create_engine(url, connect_args={"check_same_thread": False, "timeout": 30})

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves: the driver's own habit breaks savepoints
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")
        if read_only:
            connection.execute("PRAGMA query_only=ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


class _RehearsedError(Exception):
    def __init__(self, result: Any) -> None:
        super().__init__()
        self.result = result


@dataclass
class _Job:
    """One write that waits for its turn."""

    run: Callable[[Write], Any]
    actor: str
    done: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    result: Any = None
    error: BaseException | None = None

    def resolve(self) -> None:
        """Tell the caller, on the caller's loop. A caller that gave up meanwhile isn't told."""

        def tell() -> None:
            if self.done.cancelled():
                return
            if self.error is not None:
                self.done.set_exception(self.error)
            else:
                self.done.set_result(self.result)

        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self.loop.call_soon_threadsafe(tell)


class Database:
    """Open with `await Database.open(...)`, end with `await close()`."""

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], datetime],
        doorbell: Doorbell,
        record: Callable[[Write, str, str, Json, Json], None],
    ) -> None:
        self._writer_engine = open_engine(path)
        self._reader_engine = open_engine(path, read_only=True)
        self._clock = clock
        self._record = record
        self._ids = IdMaker()
        self.doorbell = doorbell
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="db-reader")
        self._writer = threading.Thread(target=self._write_loop, name="db-writer", daemon=True)
        self._writer.start()

    def now(self) -> datetime:
        """The time, by the clock that transactions go by."""
        return self._clock()

    async def read(self, query: Callable[Concatenate[Read, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `query(read, …)` on a reader's thread and give back what it returns."""

        def run() -> R:
            with Session(self._reader_engine, expire_on_commit=False) as session:
                return query(Read(session, self._clock()), *args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._readers, run)

    async def write(self, actor: str, change: Callable[Concatenate[Write, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `change(write, …)` on the writer's thread, commit, ring the doorbell, and give back what it returned.

        An exception undoes everything that this one change did, and is raised here. Once queued it runs, even if the caller
        is cancelled.
        """
        loop = asyncio.get_running_loop()
        job = _Job(lambda tx: change(tx, *args, **kwargs), actor, loop.create_future(), loop)
        self._jobs.put(job)
        result: R = await job.done
        return result

    async def rehearse(self, actor: str, change: Callable[Concatenate[Write, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a change, undo it, and give back what it would have returned. Raises what it would have raised."""

        def run(tx: Write) -> R:
            raise _RehearsedError(change(tx, *args, **kwargs))

        try:
            return await self.write(actor, run)
        except _RehearsedError as rehearsed:
            result: R = rehearsed.result
            return result

    async def close(self) -> None:
        """Finish what is queued, then let go of the file."""
        self._jobs.put(None)
        await asyncio.to_thread(self._writer.join)
        self._readers.shutdown()
        self._writer_engine.dispose()
        self._reader_engine.dispose()

    def _write_loop(self) -> None:
        while (first := self._jobs.get()) is not None:
            batch, last = [first], False
            while len(batch) < _BATCH:
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if job is None:
                    last = True
                    break
                batch.append(job)
            self._commit(batch)
            if last:
                return

    def _commit(self, batch: list[_Job]) -> None:
        topics: set[str] = set()
        try:
            with self._writer_engine.connect() as connection, connection.begin():
                for job in batch:
                    tx = self._run(job, connection)
                    topics |= tx.topics if job.error is None else set()
        except Exception as error:  # the commit itself failed (disk full, …): nothing of the batch happened
            for job in batch:
                job.error = job.error or error
        if topics:
            with contextlib.suppress(RuntimeError):
                batch[0].loop.call_soon_threadsafe(self.doorbell.ring, topics)
        for job in batch:
            job.resolve()

    def _run(self, job: _Job, connection: Any) -> Write:
        session = Session(connection, join_transaction_mode="create_savepoint", expire_on_commit=False)
        now = self._clock()
        tx = Write(session, now, job.actor, lambda prefix: self._ids.new(prefix, now), self._record)
        try:
            job.result = job.run(tx)
            session.commit()
        except BaseException as error:
            session.rollback()
            job.error = error
            for action, object_id, after in tx.refusals:
                tx.emit(action, object_id, after=after)
            session.commit()
        finally:
            session.close()
        return tx
