"""Run the engine: follow its output as events, stop it gently, and leave nothing of it behind.

Output goes to a file that the agent follows, not to a pipe: an engine whose agent is killed would die of SIGPIPE at its next
line, before it saves its state.
"""

import asyncio
import contextlib
import os
import signal
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from agent.cancellation import Cancellation
from agent.engine.events import ChangeSummary, Diagnostic, EngineEvent, LogLine, boxed_errors, parse

_FOLLOW_SECONDS = 0.05
_KEPT_LINES = 200


@dataclass(frozen=True)
class Grace:
    """How long an engine is given, in seconds: after the first SIGINT, and after the second before SIGKILL."""

    first: float = 300
    second: float = 10


class Launched(Protocol):
    """A program that can be started so that it ends when the process `die_with` does."""

    def argv(self, *, die_with: int | None = None) -> list[str]:
        """The command line that the program's own arguments follow."""
        ...


@dataclass(frozen=True)
class Command:
    """One command of an engine in a module's folder. `lock` is the workspace lock's descriptor, which the engine inherits."""

    engine: Launched
    arguments: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str]
    lock: int


@dataclass(frozen=True)
class Ended:
    """How a command ended. `stopped` says why it was stopped from outside, if it was."""

    exit_code: int
    errors: tuple[Diagnostic, ...]
    summary: ChangeSummary | None
    stopped: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether the engine says so itself."""
        return self.exit_code == 0


async def run(
    command: Command,
    output: Path,
    on_event: Callable[[EngineEvent], None],
    cancellation: Cancellation,
    *,
    grace: Grace = Grace(),
    timeout: float | None = None,
) -> Ended:
    """Run `command` to its end, with its output in the file `output` and each line of it given to `on_event`.

    A graceful cancel, or `timeout` (seconds), sends SIGINT to the process group; after the grace, or on a forced cancel, a
    second SIGINT and at last SIGKILL follow. If this coroutine is cancelled itself, the engine is stopped the forced way before
    it returns. No process of the group that was there at that time outlives a stop.
    """
    # Appended to, so that what a killed run has said before is kept.
    with output.open("ab") as file:
        reader = _Reader(output, file.tell(), on_event)
        process = await _start(command, file)
    ended = asyncio.ensure_future(process.wait())
    stopper = asyncio.create_task(_stop_when_asked(process, ended, cancellation, grace, timeout))
    try:
        while not ended.done():
            await asyncio.wait([ended], timeout=_FOLLOW_SECONDS)
            reader.read()
        reader.read(to_the_end=True)
        return Ended(ended.result(), reader.errors(), reader.summary, await stopper)
    finally:
        if not ended.done():
            await _force(process, ended, grace.second)
        stopper.cancel()


async def capture(command: Command, *, timeout: float) -> tuple[Ended, bytes]:
    """Run a command that only reads (`show`, `output`), and give what it prints. Nothing of it touches the disk."""
    process = await _start(command, asyncio.subprocess.PIPE, asyncio.subprocess.PIPE)
    stopped = ""
    try:
        async with asyncio.timeout(timeout):
            printed, said = await process.communicate()
    except TimeoutError:
        printed, said, stopped = b"", b"", f"it took longer than {timeout:g} s"
    finally:
        if process.returncode is None:
            _signal(process, signal.SIGKILL)
            await process.wait()
    code = process.returncode if process.returncode is not None else -signal.SIGKILL
    return Ended(code, tuple(boxed_errors(said.decode(errors="replace").splitlines())), None, stopped), printed


async def _start(
    command: Command, output: IO[bytes] | int, errors: int = asyncio.subprocess.STDOUT
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *command.engine.argv(die_with=os.getpid()),
        *command.arguments,
        cwd=command.folder,
        env=dict(command.environment),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        start_new_session=True,
        pass_fds=(command.lock,),
    )


async def _stop_when_asked(
    process: asyncio.subprocess.Process,
    ended: "asyncio.Future[int]",
    cancellation: Cancellation,
    grace: Grace,
    timeout: float | None,
) -> str:
    """Returns why it stopped the process, or an empty text once the process ended by itself."""
    if await _first(ended, cancellation.wait(), timeout):
        return ""
    why = "it was cancelled" if cancellation.requested else f"it took longer than {timeout:g} s"
    _signal(process, signal.SIGINT)
    if not await _first(ended, cancellation.wait("force"), grace.first):
        await _force(process, ended, grace.second)
    return why


async def _force(process: asyncio.subprocess.Process, ended: "asyncio.Future[int]", seconds: float) -> None:
    """SIGINT once more, then SIGKILL after `seconds`, or at once if this is cancelled too."""
    try:
        _signal(process, signal.SIGINT)
        await asyncio.wait([ended], timeout=seconds)
    finally:
        _signal(process, signal.SIGKILL)
    await asyncio.wait([ended])


async def _first(ended: "asyncio.Future[int]", other: Coroutine[None, None, None], timeout: float | None) -> bool:
    """Whether `ended` came before `other` and before `timeout`."""
    asked = asyncio.create_task(other)
    waited: list[asyncio.Future[int] | asyncio.Future[None]] = [ended, asked]
    try:
        await asyncio.wait(waited, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        asked.cancel()
    return ended.done()


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Signal the whole group, which outlives the process that leads it."""
    with contextlib.suppress(ProcessLookupError):  # everything in it has ended
        os.killpg(process.pid, number)


class _Reader:
    """Follows the output file line by line from `offset`."""

    def __init__(self, path: Path, offset: int, on_event: Callable[[EngineEvent], None]) -> None:
        self._path = path
        self._on_event = on_event
        self._offset = offset
        self._partial = b""
        self._errors: list[Diagnostic] = []
        self._plain: deque[str] = deque(maxlen=_KEPT_LINES)
        self.summary: ChangeSummary | None = None

    def read(self, *, to_the_end: bool = False) -> None:
        with self._path.open("rb") as file:
            file.seek(self._offset)
            new = file.read()
        self._offset += len(new)
        *lines, self._partial = (self._partial + new).split(b"\n")
        if to_the_end and self._partial:
            lines, self._partial = [*lines, self._partial], b""
        for line in lines:
            self._take(parse(line.decode(errors="replace")))

    def _take(self, event: EngineEvent) -> None:
        match event:
            case Diagnostic(severity="error"):
                self._errors.append(event)
            case ChangeSummary():
                self.summary = event
            case LogLine(text=text):
                self._plain.append(text)
        self._on_event(event)

    def errors(self) -> tuple[Diagnostic, ...]:
        return tuple(self._errors or boxed_errors(list(self._plain)))
