"""A company's proxy: CONNECT for https, whole addresses for http. It alone knows the names of the servers, and it counts."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class ForwardProxy:
    """`names` leads each name to a port of 127.0.0.1, as the proxy's DNS would; `asked` has `METHOD host` of each request."""

    names: dict[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    url: str = ""
    authorization: str | None = None
    """What `Proxy-Authorization` must say, if anything."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await self._serve(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        method, target, _ = head.split("\r\n", 1)[0].split(" ")
        host = re.sub(r"^http://|[:/].*$", "", re.sub(r"^(http://[^/]*).*", r"\1", target).replace("http://", ""))
        self.asked.append(f"{method} {host}")
        given = re.search(r"(?im)^proxy-authorization: (.*)\r$", head)
        if self.authorization and (given is None or given[1] != self.authorization):
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return
        if host not in self.names:
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            return
        there, onward = await asyncio.open_connection("127.0.0.1", self.names[host])
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            path = "/" + target.removeprefix("http://").partition("/")[2]
            lines = [line for line in head.split("\r\n")[1:] if not re.match(r"(?i)(proxy-.*|connection):", line)]
            onward.write("\r\n".join([f"{method} {path} HTTP/1.1", "Connection: close", *lines]).encode("latin-1"))
        pumps = {asyncio.create_task(_pump(reader, onward)), asyncio.create_task(_pump(there, writer))}
        _, open_still = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in open_still:
            pump.cancel()
        await asyncio.wait(pumps)
        onward.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


@asynccontextmanager
async def forward_proxy(**names: int) -> AsyncIterator[ForwardProxy]:
    """The proxy on a port of its own; `names` as keywords without their `.test`."""
    proxy = ForwardProxy({f"{name}.test": port for name, port in names.items()})
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
