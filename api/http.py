"""Small pieces that the routes share: paging, entity tags, long polls."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime
from typing import Annotated, TypeVar

from fastapi import Depends, Header, Query, Response
from pydantic import AfterValidator, AwareDatetime, BeforeValidator
from pydantic_core import PydanticCustomError

from api.contract.problems import InvalidError
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


def _no_number(moment: object) -> object:
    """A year or a date without its hyphens would be read as seconds since 1970."""
    if isinstance(moment, str) and re.fullmatch(r"\s*[+-]?[0-9]*\.?[0-9]*\s*", moment):
        raise PydanticCustomError("datetime_number", "a number")
    return moment


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("is before the year 1 or after the year 9999 in UTC") from None


Moment = Annotated[AwareDatetime, BeforeValidator(_no_number), AfterValidator(_in_utc)]
"""A moment with its offset, in UTC, as the database keeps it: one that is out of the calendar there is refused."""

_VERSION = re.compile(r"[0-9]{1,18}")
_KEY_BYTES = 255


async def if_match(
    if_match: Annotated[
        str | None, Header(description='Refuse with 412 unless this is the ETag, such as `"3"`, that the object has now.')
    ] = None,
) -> Collection[int] | None:
    """The versions that the caller would take, from If-Match (RFC 9110, 13.1.1); None if it doesn't care."""
    if if_match is None or if_match == "*":
        return None
    tags = [tag.strip().removeprefix("W/").strip('"') for tag in if_match.split(",")]
    return [int(tag) for tag in tags if _VERSION.fullmatch(tag)]


IfMatch = Annotated[Collection[int] | None, Depends(if_match)]


async def idempotency_key(
    idempotency_key: Annotated[
        str | None, Header(description="The same create sent again with the same key makes nothing new; at most 255 bytes.")
    ] = None,
) -> str | None:
    """The Idempotency-Key header (draft-ietf-httpapi-idempotency-key-header), if there is one."""
    if idempotency_key and len(idempotency_key) > _KEY_BYTES:
        raise InvalidError.at("Idempotency-Key", f"longer than {_KEY_BYTES} bytes", "Send a UUID.")
    return idempotency_key or None


async def no_idempotency_key(
    idempotency_key: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> None:
    """For creates whose answer has a secret. Raises InvalidError, so that nobody relies on a key that does nothing."""
    if idempotency_key is not None:
        raise InvalidError.at(
            "Idempotency-Key",
            "not taken here: the answer has a secret, which is shown once and not stored to be shown again",
            "Leave the header out; if the answer was lost, delete what was made, and make it anew.",
        )


SecretOnce = Depends(no_idempotency_key)
"""For the decorator of a create whose answer has a secret."""


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
