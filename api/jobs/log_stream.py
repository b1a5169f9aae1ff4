"""A job's log as server-sent events, from where the reader is to the job's end."""

import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from fastapi.sse import ServerSentEvent

from api.contract.logs import LogEnd
from api.contract.problems import InvalidError
from api.db.database import Database
from api.jobs import logs
from api.settings import Intervals
from api.sse import Permit

_LOOK_AGAIN_SECONDS = 15
"""A ring that was lost costs so much time, and no more."""


@dataclass(frozen=True)
class Position:
    """Where a reader is. `attempt` 0 stands for the current one; `only` says that no later one is wanted."""

    attempt: int = 0
    offset: int = 0
    only: bool = False

    @classmethod
    def of(cls, last_event_id: str | None, attempt: int | None, offset: int) -> "Position":
        """From a request: `Last-Event-ID` is `<attempt>-<offset>`, or an offset alone. Raises InvalidError."""
        if not last_event_id:
            return cls(attempt or 0, offset, attempt is not None)
        match = re.fullmatch(r"(?:(\d{1,9})-)?(\d{1,18})", last_event_id)
        if match is None:
            raise InvalidError.at("Last-Event-ID", f"{last_event_id!r} isn't an id that this stream gave out")
        at = int(match[1]) if match[1] else attempt or 0
        if attempt is not None and at != attempt:
            return cls(attempt, offset, True)
        return cls(at, int(match[2]), attempt is not None)


async def events(
    db: Database, intervals: Intervals, job_id: str, at: Position, permit: Permit
) -> AsyncGenerator[ServerSentEvent, None]:
    """`attempt` when one begins, `log` with text, and at last `end`.

    Without an `end` the server was stopped, or the reader's token has ended: come back.

    The read that the caller did before has found the job; here nothing is raised any more but for the log being removed.
    """
    attempt, offset = at.attempt, at.offset
    with db.doorbell.listen(logs.topic(job_id)) as listener:
        while await permit.holds():
            piece = await db.read(logs.read, job_id, attempt or None, offset)
            if not piece.watched and not piece.ended:
                await db.write("system", logs.watch, job_id, intervals)
            if attempt == 0 and piece.attempt:
                attempt = piece.attempt
                yield _attempt(attempt, offset)
            if piece.text:
                offset = piece.end
                text = piece.text.decode(errors="replace")
                yield ServerSentEvent(event="log", id=f"{attempt}-{offset}", raw_data=text)
                continue
            if piece.closed and not at.only and piece.current > attempt:
                attempt, offset = attempt + 1, 0
                yield _attempt(attempt, offset)
                continue
            if piece.ended or (at.only and piece.closed):
                outcome = piece.state if piece.ended and piece.current == attempt else "retried"
                end = LogEnd(outcome=outcome, message=piece.message if outcome == piece.state else "")
                yield ServerSentEvent(event="end", id=f"{attempt}-{offset}", data=end)
                return
            await listener.wait(_LOOK_AGAIN_SECONDS)
            if db.doorbell.closed:
                return


def _attempt(attempt: int, offset: int) -> ServerSentEvent:
    return ServerSentEvent(event="attempt", id=f"{attempt}-{offset}", raw_data=str(attempt))
