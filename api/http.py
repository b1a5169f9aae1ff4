"""Small pieces that the routes share: paging, entity tags, long polls."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

from fastapi import Depends, Query, Request, Response

from api.contract.problems import PreconditionFailedError
from api.db.doorbell import Doorbell

T = TypeVar("T")

LARGEST = 2**63 - 1
"""The largest integer that the database takes."""

Limit = Annotated[int, Query(ge=1, le=1000, description="How many items at most.")]
After = Annotated[str | None, Query(description="The `after` of the page before.")]
Order = Annotated[str, Query(pattern="^(asc|desc)$", description="`desc` = newest first.")]
Wait = Annotated[float, Query(ge=0, le=60, description="Hold the answer back for so many seconds, until something changes.")]
Force = Annotated[bool, Query(description="Delete it although others use it; the history says what was left behind.")]
DryRun = Annotated[bool, Query(description="Check everything, change nothing.")]


async def if_match(request: Request) -> int | None:
    """The version that the caller expects, from If-Match; None if it doesn't care."""
    value = request.headers.get("if-match")
    if value is None or value == "*":
        return None
    tag = value.strip().removeprefix("W/").strip('"')
    return int(tag) if tag.isdigit() else -1


IfMatch = Annotated[int | None, Depends(if_match)]


def check_version(expected: int | None, actual: int) -> None:
    """Raises PreconditionFailedError if the caller expected another version."""
    if expected is not None and expected != actual:
        raise PreconditionFailedError(
            f"the object is at version {actual}, not {expected}", remedy="Read it again, then send your change again."
        )


def set_etag(response: Response, version: int) -> None:
    """Tell the caller the version."""
    response.headers["ETag"] = f'"{version}"'


async def long_poll(
    bell: Doorbell, topic: str, read: Callable[[], Awaitable[T]], done: Callable[[T], bool], seconds: float
) -> T:
    """Read again at every ring until `done`, or until the time has passed; give back what was read last."""
    deadline = asyncio.get_running_loop().time() + seconds
    with bell.listen(topic) as listener:
        while True:
            value = await read()
            left = deadline - asyncio.get_running_loop().time()
            if done(value) or left <= 0 or not await listener.wait(left):
                return value if done(value) else await read()
