"""Run a program to its end: no terminal, no shell, and nothing of it left when the job is cancelled."""

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_READ_BYTES = 64 * 1024
_PIPES_SECONDS = 5.0


@dataclass(frozen=True)
class Completed:
    """How a program ended. `output` is what it wrote to both of its streams."""

    exit_code: int
    output: str

    def last_lines(self, count: int = 5) -> str:
        """The end of the output, for people."""
        return "\n".join([line for line in self.output.splitlines() if line.strip()][-count:])


class OutputTooLongError(Exception):
    """A program wrote more than it may."""


def find_program(name: str, variable: str, env: Mapping[str, str]) -> Path | None:
    """The program that the environment's `variable` names, or else the one called `name` on its PATH; None if there is none."""
    found = shutil.which(env.get(variable) or name, path=env.get("PATH"))
    return Path(found).absolute() if found else None


async def run_program(
    argv: Sequence[str],
    *,
    folder: Path,
    env: Mapping[str, str],
    timeout: float,
    most_output: int | None = None,
    stdin: bytes | None = None,
) -> Completed:
    """Run `argv` in a process group of its own, with `stdin` or no input.

    Raises TimeoutError after `timeout` seconds, OutputTooLongError after `most_output` bytes; the group is killed then.
    """
    process = await asyncio.create_subprocess_exec(
        *argv,
        cwd=folder,
        env=dict(env),
        stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(timeout):
            output = await _talk(process, stdin, most_output)
    finally:
        with contextlib.suppress(ProcessLookupError):  # whatever it has started, and left behind, ends with it
            os.killpg(process.pid, signal.SIGKILL)
        await drain(process)
    assert process.returncode is not None
    return Completed(process.returncode, output.decode(errors="replace"))


async def _talk(process: asyncio.subprocess.Process, stdin: bytes | None, most: int | None) -> bytes:
    assert process.stdout is not None

    async def tell() -> None:
        if process.stdin is not None:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it didn't want to hear all of it
                process.stdin.write(stdin or b"")
                await process.stdin.drain()
            process.stdin.close()

    telling = asyncio.create_task(tell())
    try:
        output = bytearray()
        while chunk := await process.stdout.read(_READ_BYTES):
            output += chunk
            if most is not None and len(output) > most:
                raise OutputTooLongError(f"{len(output)} bytes")
        await process.wait()
    finally:
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
    return bytes(output)


async def drain(process: asyncio.subprocess.Process) -> None:
    """Wait for a program that was killed. asyncio doesn't call it ended before its pipes are read to their ends.

    What has left the program's group, and so outlives it, may keep a pipe for as long as it likes: nobody waits for that.
    """
    try:
        async with asyncio.timeout(_PIPES_SECONDS):
            for stream in (process.stdout, process.stderr):
                while stream is not None and await stream.read(_READ_BYTES):
                    pass
            await process.wait()
    except TimeoutError:
        process._transport.close()  # type: ignore[attr-defined]  # asyncio has no other way to let go of the pipes
