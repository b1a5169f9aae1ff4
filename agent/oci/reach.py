"""Where a registry may send its clients: never from the internet into a private network, and never out of TLS.

A registry names addresses: of its token endpoint, of an upload, of the storage that has a blob. Somebody who holds the registry
could name one inside the customer's network, or that of the cloud's metadata, and have the agent call it.
"""

import asyncio
import ipaddress
import socket

import httpx

from agent.checked_addresses import CHECKED
from agent.oci.errors import AccessRefusedError, RegistryUnavailableError
from agent.outbound import uses_proxy

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_METADATA = frozenset(
    map(ipaddress.ip_address, ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16", "192.0.0.192"))
)
"""Where clouds have their metadata besides link-local addresses: AWS and Google by IPv6, Alibaba, Azure, Oracle."""

_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")

_DEFAULT_PORTS = {"http": 80, "https": 443}


def origin_of(url: httpx.URL) -> tuple[str, str, int | None]:
    """Scheme, host and port: what decides whether a credential may go along."""
    return url.scheme, url.host, url.port or _DEFAULT_PORTS.get(url.scheme)


async def check_reach(registry: httpx.URL, to: httpx.URL, what: str) -> None:
    """Raise AccessRefusedError unless `registry` may send its client to `to`, which `what` names.

    Refused are: no TLS where the registry has it, the addresses of clouds' metadata and all link-local ones always, and private
    addresses unless the registry is at such an address itself. A call of that name goes to one of the addresses that were
    judged (`agent.checked_addresses`). Raises RegistryUnavailableError for a name that isn't known.
    """
    if origin_of(registry) == origin_of(to):
        return
    if to.scheme not in ("http", "https") or (registry.scheme == "https" and to.scheme != "https"):
        raise AccessRefusedError(
            f"{_shown(registry)} sends this client to {what} {_shown(to)}, which isn't protected by TLS",
            remedy=f"Give {what} an https address.",
        )
    if uses_proxy(to):
        return
    found = await _look_up(to)
    there = [_plain(address) for address in found]
    if any(address.is_link_local or address in _METADATA for address in there):
        raise _inside(registry, to, what, "a link-local address, or another one of a cloud's metadata")
    if not all(address.is_global for address in there) and all(address.is_global for address in await addresses(registry)):
        raise _inside(registry, to, what, "a private address, and the registry isn't at one itself")
    CHECKED.hold(to.host, tuple(map(str, found)))


async def addresses(url: httpx.URL) -> list[Address]:
    """All addresses of a URL's host, IPv4 ones never in IPv6's clothes. Raises RegistryUnavailableError."""
    return [_plain(address) for address in await _look_up(url)]


async def _look_up(url: httpx.URL) -> list[Address]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(url.host, origin_of(url)[2], type=socket.SOCK_STREAM)
    except OSError as error:
        raise RegistryUnavailableError(f"{_shown(url)} can't be reached: {error.strerror or error}") from None
    return [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]


def _plain(address: Address) -> Address:
    if not isinstance(address, ipaddress.IPv6Address):
        return address
    # RFC 6052: a gateway makes an IPv4 address of the last 32 bits.
    translated = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in _TRANSLATED else None
    return address.ipv4_mapped or translated or address


def _inside(registry: httpx.URL, to: httpx.URL, what: str, why: str) -> AccessRefusedError:
    return AccessRefusedError(
        f"{_shown(registry)} sends this client to {what} {_shown(to)}: {why}",
        remedy="Don't use this registry before its operator has explained that. If the address is right, name the registry by "
        "its own private address.",
    )


def _shown(url: httpx.URL) -> str:
    # Neither path nor query: a presigned address is a secret.
    return f"{url.scheme}://{url.netloc.decode()}"
