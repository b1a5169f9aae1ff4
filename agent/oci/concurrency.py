"""Several transfers at once."""

import asyncio
from collections.abc import Coroutine, Iterable


async def run_all(work: Iterable[Coroutine[None, None, None]]) -> None:
    """Run all at once; the first error cancels the rest and is raised as itself."""
    try:
        async with asyncio.TaskGroup() as group:
            for coroutine in work:
                group.create_task(coroutine)
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
