"""One look at something, over HTTP or TCP. Nothing that it answers is kept or told but whether it is well."""

import asyncio
import contextlib
import ipaddress
import socket
from urllib.parse import urlsplit

import httpx

_METADATA = frozenset({"168.63.129.16", "fd00:ec2::254"})
"""Addresses at which clouds tell a machine about itself, besides the link-local ones."""


async def look_http(http: httpx.AsyncClient, url: str, status: int | None, seconds: float) -> str:
    """GET the URL, without following redirects; what is wrong, in words that don't repeat it, or nothing."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
        parts.port  # noqa: B018 - raises ValueError for one that isn't a number
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https"):
        return "this is no URL with http:// or https://"
    try:
        async with asyncio.timeout(seconds):
            if await _forbidden(host):
                return "this is the address of a cloud's metadata: probes don't look there"
            async with http.stream("GET", url, timeout=seconds, follow_redirects=False) as response:
                answered = response.status_code
    except (TimeoutError, httpx.TimeoutException):
        return f"no answer within {seconds:g} s"
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return f"can't be reached: {str(error) or type(error).__name__}"
    if answered == status or (status is None and 200 <= answered <= 299):
        return ""
    return f"answered {answered}, expected {status or '200 to 299'}"


async def look_tcp(address: str, seconds: float) -> str:
    """Connect, and hang up; what is wrong, in words, or nothing."""
    host, colon, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not colon or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65536:
        return "this is no address: write HOST:PORT"
    try:
        async with asyncio.timeout(seconds):
            if await _forbidden(host):
                return "this is the address of a cloud's metadata: probes don't look there"
            _, writer = await asyncio.open_connection(host, int(port))
    except TimeoutError:
        return f"no connection within {seconds:g} s"
    except OSError as error:
        return f"can't be reached: {error.strerror or error}"
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return ""


async def _forbidden(host: str) -> bool:
    """Whether the host is where a cloud gives credentials to its machine. A name that can't be resolved here isn't."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    addresses = [ipaddress.ip_address(str(address[0]).partition("%")[0]) for *_, address in found]
    return any(address.is_link_local or str(address) in _METADATA for address in addresses)
