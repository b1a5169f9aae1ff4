"""A plugin that is a program: started anew for each operation."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from agent.build.program import drain
from agent.plugin.protocol import Answer, PluginError, Request

_MOST_BYTES = 16 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True)
class ExecutablePlugin:
    """Runs `argv` in `folder` with `env` alone. What it writes to stderr goes to `log`, line by line, as it comes."""

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
        except (OSError, ValueError) as error:
            raise PluginError(
                f"{self.argv[0]!r} can't be started: {getattr(error, 'strerror', error)}",
                remedy="Make it executable.",
                field="config.command",
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
        """All three at once: a plugin may say a lot before it has heard everything."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_tell(process.stdin, request))
                group.create_task(self._listen(process.stderr))
                answer = group.create_task(_read(process.stdout))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        await process.wait()
        return answer.result()

    async def _listen(self, stream: asyncio.StreamReader | None) -> None:
        held, count = b"", 0
        try:
            async for chunk in _chunks(stream):
                count += len(chunk)
                if count > _MOST_BYTES:
                    raise PluginError(f"the plugin writes more than {_MOST_BYTES} bytes to its log")
                *lines, held = (held + chunk).split(b"\n")
                for line in lines:
                    self.log(line.decode(errors="replace"))
        finally:
            if held:
                self.log(held.decode(errors="replace"))


async def _tell(stream: asyncio.StreamWriter | None, request: bytes) -> None:
    assert stream is not None
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it didn't want to hear all of it
        stream.write(request)
        await stream.drain()
    stream.close()


async def _read(stream: asyncio.StreamReader | None) -> bytes:
    content = bytearray()
    async for chunk in _chunks(stream):
        content += chunk
        if len(content) > _MOST_BYTES:
            raise PluginError(f"the plugin writes more than {_MOST_BYTES} bytes")
    return bytes(content)


async def _chunks(stream: asyncio.StreamReader | None) -> AsyncIterator[bytes]:
    assert stream is not None
    while chunk := await stream.read(_CHUNK_BYTES):
        yield chunk
