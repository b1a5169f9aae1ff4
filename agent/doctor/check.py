"""What a check is, and how all of them run: side by side, each within a limit, none in another one's way."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, ParamSpec, TypeVar

from pydantic import Field

from agent.identity import VERSION
from api.contract.base import Model

P = ParamSpec("P")
T = TypeVar("T")
Status = Literal["PASSED", "FAILED", "SKIPPED"]


class Finding(Model):
    """One line of the doctor's answer. No field ever has a secret in it."""

    check: str = Field(description="Its stable name, such as `ims.tls`.")
    status: Status
    detail: str
    remedy: str = ""


class Report(Model):
    """The doctor's answer, as `--json` prints it."""

    version: str = VERSION
    checked_at: datetime
    passed: bool = Field(description="Whether nothing FAILED.")
    findings: list[Finding]


def passed(check: str, detail: str) -> Finding:
    """It works."""
    return Finding(check=check, status="PASSED", detail=detail)


def failed(check: str, detail: str, remedy: str) -> Finding:
    """It doesn't, and that is what to do."""
    return Finding(check=check, status="FAILED", detail=detail, remedy=remedy)


def skipped(check: str, why: str, remedy: str = "") -> Finding:
    """It doesn't matter here, or can't be known before something else works."""
    return Finding(check=check, status="SKIPPED", detail=why, remedy=remedy)


@dataclass(frozen=True)
class Check:
    """Something that is looked at. `look` gives its findings one by one, changes nothing that lasts, and may be cut off."""

    name: str
    look: Callable[[], AsyncIterator[Finding]]


async def run_checks(checks: Sequence[Check], limit: float) -> list[Finding]:
    """All findings, in the order of the checks. It takes `limit` seconds at most: what isn't known then has FAILED."""
    return [finding for found in await asyncio.gather(*(_run(check, limit) for check in checks)) for finding in found]


async def _run(check: Check, limit: float) -> list[Finding]:
    found: list[Finding] = []
    try:
        async with asyncio.timeout(limit):
            async for finding in check.look():
                found.append(finding)
    except TimeoutError:
        remedy = (
            "Something in between swallows the packets, or is very slow: ask who runs the network, or give a longer --timeout."
        )
        found.append(failed(check.name, f"no answer within {limit:g} s", remedy))
    except Exception as error:
        # The border of a check: a fault in one of them must not hide what the others found.
        remedy = "Please report it: a check should know this."
        found.append(failed(check.name, f"unexpected: {type(error).__name__}: {error}", remedy))
    return found


class UnawaitedThreads(ThreadPoolExecutor):
    """Threads that a process doesn't wait for at its end: nobody can cut off a call of a library, or a look-up of a name."""

    def submit(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Begin at once."""
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(work(*args, **kwargs))
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=run, name="doctor", daemon=True).start()
        return future
