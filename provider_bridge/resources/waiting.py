"""Waiting for what takes minutes: long polls that end when the object has ended, the user stops Terraform, or time is up."""

import threading
import time
from collections.abc import Callable
from typing import Literal

from provider_bridge.problems import Json, StoppedError, UnreachableError
from provider_bridge.records import Record

POLL_SECONDS = 2
"""How long the IMS may hold one answer back: so long does Ctrl-C wait for the provider at most."""

_SHORTEST_POLL_SECONDS = 0.2
"""An IMS that answers at once, with nothing new, isn't asked again sooner."""


class Outcome(Record):
    """What was seen last, and why the wait ended. `why` says it in words, where it isn't `ended`."""

    last: Json
    end: Literal["ended", "stopped", "timed_out", "unreachable"]
    why: str = ""


def wait_for(
    first: Json,
    poll: Callable[[Json], Json],
    ended: Callable[[Json], bool],
    report: Callable[[Json], None],
    *,
    seconds: float,
    stop: threading.Event,
) -> Outcome:
    """Poll from `first` on until `ended`. `poll` takes what was seen last; `report` gets everything that is seen.

    Raises ProblemError if the IMS refuses to show it.
    """
    deadline = time.monotonic() + seconds
    last = first
    while True:
        report(last)
        if ended(last):
            return Outcome(last, "ended")
        if stop.is_set():
            return Outcome(last, "stopped", "Terraform was asked to stop.")
        asked = time.monotonic()
        if asked > deadline:
            return Outcome(last, "timed_out", f"It has not ended within {seconds:g} seconds.")
        try:
            seen = poll(last)
        except UnreachableError as problem:
            return Outcome(last, "unreachable", str(problem))
        except StoppedError:
            return Outcome(last, "stopped", "Terraform was asked to stop.")
        if seen == last:
            stop.wait(max(0.0, _SHORTEST_POLL_SECONDS - (time.monotonic() - asked)))
        last = seen
