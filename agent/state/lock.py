"""The lock of a component's state: which job of which agent is at work, under a lease that ends by itself.

`sole-writer`, across machines. On one machine, the workspace's own lock comes first: whoever holds that may take a lock of the
same agent over, because no engine of it lives. A lock of another agent is taken over once it wasn't renewed for a whole lease,
by this machine's clock alone: no two clocks are compared.
"""

import asyncio
import logging
import os
import platform
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from agent.failure import CodedError
from agent.state.store import Found, MovedOnError, StateUnreachableError, Store
from agent.state.threads import in_thread
from api.contract.base import Model

log = logging.getLogger(__name__)

LEASE_SECONDS = 60.0
_WAIT_SECONDS = 600.0
_LOOK_SECONDS = 2.0


class StateLockedError(CodedError):
    """Another agent is at work on the component's state."""

    code = "state_locked"
    retryable = True
    remedy = "Wait until that job ends, or stop that agent: its lock then ends by itself. An install has one agent."


class Holder(Model):
    """Who holds a lock, as it stands in the store."""

    agent: str
    job_id: str
    attempt: int
    host: str
    pid: int
    since: datetime
    renewed: datetime
    lease_seconds: float = LEASE_SECONDS

    def __str__(self) -> str:
        return f"job {self.job_id}, attempt {self.attempt}, of agent {self.agent} on {self.host}"


class _Lock(Model):
    """The lock's object: free, or with its holder."""

    holder: Holder | None = None


def holder(agent: str, job_id: str, attempt: int) -> Holder:
    """A holder in this process, now."""
    now = datetime.now(UTC)
    return Holder(agent=agent, job_id=job_id, attempt=attempt, host=platform.node(), pid=os.getpid(), since=now, renewed=now)


def holder_of(store: Store, name: str) -> Holder | None:
    """Who holds the lock. Blocks; raises StateUnreachableError."""
    found = store.read(name)
    return None if found is None else _Lock.model_validate_json(found.data).holder


@asynccontextmanager
async def state_lock(
    store: Store, name: str, wanted: Holder, say: Callable[[str], None], *, waiting: Callable[[], None] = lambda: None
) -> AsyncIterator[None]:
    """Hold the lock `name` as `wanted`, renewed until the block's end.

    Waits for the lease of another agent to end, and calls `waiting` again and again meanwhile, which may raise. Raises
    StateLockedError or StateUnreachableError.
    """
    held = _Held(store, name, wanted, await _take(store, name, wanted, say, waiting))
    renewing = asyncio.create_task(held.renew(), name=f"state lock {name}")
    try:
        yield
    finally:
        held.ending.set()
        await asyncio.wait([renewing])
        await held.release()


async def _take(store: Store, name: str, wanted: Holder, say: Callable[[str], None], waiting: Callable[[], None]) -> str:
    begun = time.monotonic()
    seen: tuple[str, float] | None = None
    while True:
        found = await in_thread(store.read, name)
        other = _Lock.model_validate_json(found.data).holder if found else None
        now = time.monotonic()
        if seen is None or found is None or seen[0] != found.tag:
            seen = (found.tag if found else "", now)
            waits = False
        else:
            waits = True
        if other is None or other.agent == wanted.agent or now - seen[1] >= other.lease_seconds:
            if other is not None:
                say(f"the state's lock is taken over from {other}, which isn't at work any more")
            try:
                return await in_thread(store.write, name, _text(wanted), found.tag if found else None)
            except MovedOnError:
                continue
        if not waits:
            say(f"the state is locked by {other}; waiting until it ends, or its lease of {other.lease_seconds:g} s")
        if now - begun >= _WAIT_SECONDS:
            raise StateLockedError(f"the state is locked by {other}, since {other.since:%Y-%m-%d %H:%M:%S} UTC")
        waiting()
        await asyncio.sleep(min(_LOOK_SECONDS, other.lease_seconds / 4))


class _Held:
    """A lock that is held. `tag` follows its renewals."""

    def __init__(self, store: Store, name: str, wanted: Holder, tag: str) -> None:
        self._store = store
        self._name = name
        self._wanted = wanted
        self._tag: str | None = tag
        self.ending = asyncio.Event()

    async def renew(self) -> None:
        """Renew it until `ending`; never cut off in the middle of a write, whose tag would be lost."""
        while self._tag is not None:
            try:
                async with asyncio.timeout(self._wanted.lease_seconds / 4):
                    await self.ending.wait()
                return
            except TimeoutError:
                renewed = self._wanted.model_copy(update={"renewed": datetime.now(UTC)})
                await self._write(_text(renewed))

    async def release(self) -> None:
        """Set it free. One that can't be is taken over when its lease is over."""
        if self._tag is not None:
            await self._write(_Lock().model_dump_json().encode())

    async def _write(self, data: bytes) -> None:
        assert self._tag is not None
        try:
            self._tag = await in_thread(self._store.write, self._name, data, self._tag)
        except StateUnreachableError as error:
            log.warning("state lock %s: %s", self._name, error)
            # The write may have been carried out all the same.
            found = await self._look()
            if found is not None and found.data == data:
                self._tag = found.tag
        except MovedOnError:
            # The state's own tag guards it: this agent's next write of it is refused if another one has written.
            self._tag = None
            if await self._look() is not None:  # it goes with everything of a component that is destroyed
                log.warning("state lock %s: another agent has taken it over", self._name)

    async def _look(self) -> Found | None:
        try:
            return await in_thread(self._store.read, self._name)
        except StateUnreachableError:
            return None


def _text(who: Holder) -> bytes:
    return _Lock(holder=who).model_dump_json().encode()
