"""Run a program to its end: no terminal, no shell, and nothing of it left when the job is cancelled."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Completed:
    """How a program ended. `output` is what it wrote to both of its streams."""

    exit_code: int
    output: str

    def last_lines(self, count: int = 5) -> str:
        """The end of the output, for people."""
        return "\n".join([line for line in self.output.splitlines() if line.strip()][-count:])


async def run_program(argv: Sequence[str], *, folder: Path, env: Mapping[str, str], timeout: float) -> Completed:
    """Run `argv` in a process group of its own. Raises TimeoutError after `timeout` seconds; the group is killed then."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        cwd=folder,
        env=dict(env),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(timeout):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    assert process.returncode is not None
    return Completed(process.returncode, output.decode(errors="replace"))
