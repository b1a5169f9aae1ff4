"""Refuses request bodies that are too large, by what they say and by what they are.

FastAPI's own `max_body_size` would do, but its refusals are plain text: ours are problems, like every other.
"""

import asyncio
import contextlib

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.contract.problems import ContentTooLargeError
from api.errors import problem_answer

_STREAMED = "/v2/"
"""The registry writes bodies to the disk as they come: its blobs may have any size."""

_DROPPED_BYTES = 16 * 1024 * 1024
_DROPPED_SECONDS = 10.0
"""How much of a body that is refused is read all the same, and for how long: whoever is still sending when the connection ends
sees it reset, and no answer."""


class BodyLimit:
    """ASGI middleware. A body without Content-Length is counted while it is read."""

    def __init__(self, app: ASGIApp, largest: int) -> None:
        self._app = app
        self._largest = largest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["path"].startswith(_STREAMED):
            await self._app(scope, receive, send)
            return
        length = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if not length.isdigit() or int(length) > self._largest:
            if not any(name == b"expect" for name, _ in scope["headers"]):  # who asks first hears before it sends
                await _drop(receive)
            await problem_answer(self._error().problem(), {"Connection": "close"})(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._largest:
                if message.get("more_body", False):
                    await _drop(receive)
                # FastAPI makes a 400 of every other exception that comes out of reading; `errors` answers with the cause.
                raise HTTPException(413) from self._error()
            return message

        await self._app(scope, counted, send)

    def _error(self) -> ContentTooLargeError:
        return ContentTooLargeError(
            f"the body has more than {self._largest} bytes",
            remedy="Send less at a time, or ask the operator to raise body_limit.",
        )


async def _drop(receive: Receive) -> None:
    """Read the rest of a body that is refused, within limits."""
    left, more = _DROPPED_BYTES, True
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DROPPED_SECONDS):
            while more and left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                more = message.get("more_body", False)
