"""Keeps webhooks out of private networks (SSRF).

`checked-address`: the name is looked up once, every address that it has is checked, and the connection goes to one of the
addresses that were checked; a name that answers differently the next time gains nothing. TLS still checks the name.
"""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import httpcore

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class RefusedAddressError(Exception):
    """The host has an address to which nothing may be sent."""


async def resolve(host: str, port: int) -> list[str]:
    """Every address of a host. Raises OSError."""
    with contextlib.suppress(ValueError):
        return [str(ipaddress.ip_address(host))]  # there is nothing to look up, and so nothing that could take too long
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


def innermost(text: str) -> Address:
    """An address; that of IPv4 where an IPv6 one only carries it (mapped, 6to4, Teredo, NAT64)."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv4Address):
        return address
    inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
    if inner is None and address in _NAT64:
        inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if inner is None and int(address) >> 32 == 0 and int(address) > 1:
        inner = ipaddress.IPv4Address(int(address))  # IPv4-compatible, long out of use
    return inner or address


def is_public(address: Address) -> bool:
    """Whether an address is anybody's: neither private, shared (100.64/10), loopback, link-local, multicast nor reserved."""
    return address.is_global and not (
        address.is_multicast
        or address.is_reserved
        or address.is_loopback
        or address.is_link_local
        or address.is_private
        or address.is_unspecified
        or (isinstance(address, ipaddress.IPv6Address) and address.is_site_local)
    )


class Guard:
    """Says which addresses may be sent to. `allowed` are networks that aren't public, but all the same allowed."""

    def __init__(
        self, allowed: Iterable[str | ipaddress.IPv4Network | ipaddress.IPv6Network] = (), *, resolve: Resolve = resolve
    ) -> None:
        self._allowed = [ipaddress.ip_network(network, strict=False) for network in allowed]
        self._resolve = resolve

    async def check(self, host: str, port: int, *, plain: bool) -> list[str]:
        """The host's addresses, if each of them may be sent to. Raises RefusedAddressError, or OSError.

        `plain` (http): only what is expressly allowed, for anybody on the way could read it.
        """
        addresses = await self._resolve(host, port)
        for text in addresses:
            if self._is_allowed(text):
                continue
            if not is_public(innermost(text)):
                raise RefusedAddressError(f"{host} has the address {text}, which isn't public")
            if plain:
                raise RefusedAddressError(f"{host} is reached by plain http, which is only for addresses that are allowed")
        if not addresses:
            raise OSError(f"{host} has no address")
        return list(addresses)

    def _is_allowed(self, text: str) -> bool:
        address = innermost(text)
        return any(address in network for network in self._allowed if network.version == address.version)


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Opens connections for httpcore, each to an address that the guard has checked."""

    def __init__(self, guard: Guard, *, plain: bool) -> None:
        self._guard = guard
        self._plain = plain
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first of the host's addresses that answers. Raises RefusedAddressError before anything is sent."""
        try:
            addresses = await self._guard.check(host, port, plain=self._plain)
        except OSError as error:
            raise httpcore.ConnectError(f"{host} can't be looked up: {error.strerror or error}") from error
        for at, address in enumerate(addresses, 1):
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if at == len(addresses):
                    raise
        raise httpcore.ConnectError(f"{host} has no address")

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.AsyncNetworkStream:
        """Never: a webhook has no business with a socket of this machine."""
        raise httpcore.ConnectError("webhooks are not sent to sockets of this machine")

    async def sleep(self, seconds: float) -> None:
        """See httpcore."""
        await self._inner.sleep(seconds)
