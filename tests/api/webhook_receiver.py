"""A receiver of webhooks on a real socket: answers as the test says, and keeps what it got."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Received:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def message(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self.body)
        return message


@dataclass
class Receiver:
    """Answers `status` with `extra` header lines and `text`, once `gate` is open."""

    port: int = 0
    status: int = 204
    extra: str = ""
    text: str = ""
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    got: list[Received] = field(default_factory=list)
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def types(self) -> list[str]:
        """What each message tells of, in the order of arrival."""
        return [one.message["type"] for one in self.got]

    async def wait_for(self, count: int) -> None:
        """Until so many requests have come."""
        async with asyncio.timeout(60), self.arrived:
            await self.arrived.wait_for(lambda: len(self.got) >= count)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
            body = await reader.readexactly(int(headers["content-length"]))
            self.got.append(Received(first.split()[1], headers, body))
            async with self.arrived:
                self.arrived.notify_all()
            await self.gate.wait()
            length = f"Content-Length: {len(self.text)}\r\n" if self.status != 204 else ""
            writer.write(f"HTTP/1.1 {self.status} X\r\nConnection: close\r\n{self.extra}{length}\r\n{self.text}".encode())
            await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def receiving(place: socket.socket | None = None) -> AsyncIterator[Receiver]:
    """A receiver that listens; where `place` is bound to, or anywhere."""
    receiver = Receiver()
    receiver.gate.set()
    server = await asyncio.start_server(receiver.serve, **({"sock": place} if place else {"host": "127.0.0.1", "port": 0}))
    receiver.port = server.sockets[0].getsockname()[1]
    async with server:
        yield receiver
        receiver.gate.set()
