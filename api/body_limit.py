"""Refuses request bodies that are too large, by what they say and by what they are.

FastAPI's own `max_body_size` would do, but its refusals are plain text: ours are problems, like every other.
"""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.contract.problems import ContentTooLargeError
from api.errors import problem_answer

_STREAMED = "/v2/"
"""The registry writes bodies to the disk as they come: its blobs may have any size."""


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
            await problem_answer(self._error().problem(), {"Connection": "close"})(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._largest:
                # FastAPI makes a 400 of every other exception that comes out of reading; `errors` answers with the cause.
                raise HTTPException(413) from self._error()
            return message

        await self._app(scope, counted, send)

    def _error(self) -> ContentTooLargeError:
        return ContentTooLargeError(
            f"the body has more than {self._largest} bytes",
            remedy="Send less at a time, or ask the operator to raise body_limit.",
        )
