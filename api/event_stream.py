"""Server-sent events as a client reads them (WHATWG HTML, 9.2)."""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass


@dataclass(frozen=True)
class SentEvent:
    """One event. `id` is the last one that the stream gave: send it as `Last-Event-ID` to go on after this event."""

    event: str
    data: str
    id: str


async def read_events(lines: AsyncIterator[str]) -> AsyncGenerator[SentEvent, None]:
    """Put the lines of a stream, without their ends, together to events. Comments are heartbeats, and left out."""
    name, data, last_id = "", list[str](), ""
    async for line in lines:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data or name:
                yield SentEvent(name or "message", "\n".join(data), last_id)
            name, data = "", []
        elif field == "event":
            name = value
        elif field == "data":
            data.append(value)
        elif field == "id":
            last_id = value
