"""A plugin that is a program: started anew for each operation."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from agent.build.program import drain
from agent.plugin.protocol import Answer, PluginError, Request

_MOST_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class ExecutablePlugin:
    """Runs `argv` in `folder` with `env` alone. What it writes to stderr goes to `log`, line by line, when it has ended."""

    argv: Sequence[str]
    folder: Path
    env: Mapping[str, str]
    log: Callable[[str], None]
    seconds: float = 3600.0

    async def ask(self, request: Request) -> Answer:
        """See `Plugin`. The program and all that it has started are killed at the time limit, and when the job is cancelled."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self.argv,
                cwd=self.folder,
                env=dict(self.env),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise PluginError(
                f"{self.argv[0]} can't be started: {error.strerror}", remedy="Make it executable.", field="config.command"
            ) from None
        try:
            async with asyncio.timeout(self.seconds):
                answer = await self._talk(process, request.model_dump_json().encode())
        except TimeoutError:
            raise PluginError(f"the plugin's {request.operation} takes longer than {self.seconds:g} s") from None
        finally:
            with contextlib.suppress(ProcessLookupError):  # also what it has left behind
                os.killpg(process.pid, signal.SIGKILL)
            await drain(process)
        if process.returncode != 0:
            raise PluginError(f"the plugin's {request.operation} ended with status {process.returncode}; see the log")
        try:
            return Answer.model_validate_json(answer)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "stdout"
            raise PluginError(f"the plugin's answer to {request.operation} can't be read: {where}: {first['msg']}") from None

    async def _talk(self, process: asyncio.subprocess.Process, request: bytes) -> bytes:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it didn't want to hear all of it
            process.stdin.write(request)
            await process.stdin.drain()
        process.stdin.close()
        answer, said = await asyncio.gather(_read(process.stdout), _read(process.stderr))
        for line in said.decode(errors="replace").splitlines():
            self.log(line)
        await process.wait()
        return answer


async def _read(stream: asyncio.StreamReader) -> bytes:
    content = bytearray()
    while chunk := await stream.read(65536):
        content += chunk
        if len(content) > _MOST_BYTES:
            raise PluginError(f"the plugin writes more than {_MOST_BYTES} bytes")
    return bytes(content)
