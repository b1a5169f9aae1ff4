"""Blobs between registries: which request comes next. The bytes themselves move in threads (`agent.oci.pump`)."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from agent.oci.answers import refusal
from agent.oci.client import RegistryClient
from agent.oci.errors import RegistryUnavailableError
from agent.oci.pump import Pump, SourceAnswerError, Wires
from agent.oci.retry import RETRY_STATUSES
from agent.oci.transport import Address, Answer, busy
from agent.outbound import uses_proxy


@dataclass(frozen=True)
class Place:
    """A repository of a registry."""

    client: RegistryClient
    repository: str


class Lanes:
    """So many blobs may move at once, each in a thread with connections of its own, which stay open for the next blob."""

    def __init__(self, count: int, threads: ThreadPoolExecutor) -> None:
        self._threads = threads
        self._free: asyncio.Queue[Wires] = asyncio.Queue()
        for _ in range(count):
            self._free.put_nowait(Wires())

    @classmethod
    @asynccontextmanager
    async def open(cls, count: int) -> "AsyncIterator[Lanes]":
        """Lanes for one copy. Whatever still moves at the end is broken off."""
        threads = ThreadPoolExecutor(count, thread_name_prefix="blob")
        lanes = cls(count, threads)
        try:
            yield lanes
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
            while not lanes._free.empty():
                lanes._free.get_nowait().close()

    @asynccontextmanager
    async def lane(self) -> "AsyncIterator[Lane]":
        """Wait for a free lane, and have it."""
        wires = await self._free.get()
        try:
            yield Lane(wires, self._threads)
        finally:
            self._free.put_nowait(wires)


@dataclass(frozen=True)
class Lane:
    """One of them."""

    wires: Wires
    threads: ThreadPoolExecutor

    async def move(self, source: Place, target: Place, digest: str, size: int, progress: Callable[[int], None]) -> None:
        """Bring one blob from `source` to `target`, checked on its way. `progress` hears how many bytes the target has.

        A transfer that breaks off goes on where it was, as far as the registries allow; the target's retry policy says how
        often in a row without a byte of progress. Raises the errors of RegistryClient.
        """
        loop = asyncio.get_running_loop()

        def tell(kept: int) -> None:
            loop.call_soon_threadsafe(progress, kept)

        pump = Pump(digest, size, tell)
        route = await source.client.blob_route(source.repository, digest)
        upload = await target.client.start_upload(target.repository)
        resumed = False
        tried = best = 0
        while True:
            if uses_proxy(route.address.url) or uses_proxy(upload):
                await self._by_proxy(source, target, digest, size)
                return
            put = await target.client.put_address(target.repository, upload, digest)
            try:
                answer = await self._run(pump, route.address, _rest(put, pump.kept, size) if resumed else put)
                if answer.status == 201:
                    return
                if answer.status in RETRY_STATUSES:
                    raise busy(answer)
                if not resumed:
                    raise refusal(answer, f"blob {target.repository}@{digest}")
                found = None
                tried += 1
            except SourceAnswerError as error:
                await route.follow(error.answer)
                if not pump.begun:
                    pump.rewind(pump.kept)
                    continue
                found = await target.client.find_upload(target.repository, upload)
            except RegistryUnavailableError as error:
                tried = 1 if pump.kept > best else tried + 1
                best = max(best, pump.kept)
                if not await target.client.retry.pause(tried + 1, error.retry_after):
                    raise
                route = await source.client.blob_route(source.repository, digest)
                found = await target.client.find_upload(target.repository, upload) if pump.begun else (upload, pump.kept)
            resumed = found is not None and 0 < found[1] <= size
            upload, kept = found if found and resumed else (await target.client.start_upload(target.repository), 0)
            pump.rewind(kept)

    async def _run(self, pump: Pump, source: Address, put: Address) -> Answer:
        try:
            return await asyncio.get_running_loop().run_in_executor(self.threads, pump.run, self.wires, source, put)
        except asyncio.CancelledError:
            self.wires.stop()
            raise

    async def _by_proxy(self, source: Place, target: Place, digest: str, size: int) -> None:
        """The slow way, through httpx, which knows how to use the proxies of the environment. Begins again after a cut."""

        async def chunks() -> AsyncGenerator[bytes, None]:
            async with source.client.open_blob(source.repository, digest, size) as content:
                async for chunk in content:
                    yield chunk

        await target.client.put_blob(target.repository, digest, size, chunks)


def _rest(put: Address, begin: int, size: int) -> Address:
    """With the range, by which a registry that has meanwhile taken in more can tell that this isn't its continuation."""
    if begin == size:
        return put
    return Address(httpx.URL(put.url), {**put.headers, "Content-Range": f"{begin}-{size - 1}"})
