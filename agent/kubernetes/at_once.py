"""Several calls to the API server at once, and not too many."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import TypeVar

from agent.oci.concurrency import run_all

T = TypeVar("T")

_AT_ONCE = 8


async def some_at_once(work: Iterable[Coroutine[None, None, T]]) -> list[T]:
    """The results in order; the first error cancels the rest, and is raised as itself."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(each: Coroutine[None, None, T]) -> T:
        async with slots:
            return await each

    return await run_all(one(each) for each in work)
