"""`checked-address`: webhooks don't reach private networks, whatever the name, and whatever it says the second time."""

import asyncio

import httpcore
import pytest

from api.webhooks.guard import Guard, GuardedBackend, RefusedAddressError
from api.webhooks.post import Poster

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


PRIVATE = [
    "127.0.0.1",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "240.0.0.1",
    "192.0.2.1",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd00:ec2::254",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
    "2001:db8::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::",
]
PUBLIC = ["93.184.215.14", "1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]


def guard(*addresses: str, allowed: tuple[str, ...] = ()) -> Guard:
    async def resolve(host: str, port: int) -> list[str]:
        return list(addresses)

    return Guard(allowed, resolve=resolve)


@pytest.mark.parametrize("address", PRIVATE)
async def test_what_is_not_public_is_refused(address: str) -> None:
    with pytest.raises(RefusedAddressError, match="isn't public"):
        await guard(address).check("hooks.example", 443, plain=False)


@pytest.mark.parametrize("address", PUBLIC)
async def test_what_is_public_is_let_through_but_not_in_the_clear(address: str) -> None:
    assert await guard(address).check("hooks.example", 443, plain=False) == [address]
    with pytest.raises(RefusedAddressError, match="plain http"):
        await guard(address).check("hooks.example", 80, plain=True)


async def test_one_private_address_among_public_ones_is_enough() -> None:
    with pytest.raises(RefusedAddressError):
        await guard("1.1.1.1", "10.0.0.1").check("hooks.example", 443, plain=False)


async def test_only_the_networks_allowed_are_let_through() -> None:
    some = ("10.1.0.0/16", "fd00::/8")
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "fd00::1"):
        assert await guard(address, allowed=some).check("hooks.example", 80, plain=True) == [address]
    with pytest.raises(RefusedAddressError):
        await guard("10.2.0.1", allowed=some).check("hooks.example", 443, plain=False)


async def test_an_address_is_judged_without_looking_it_up(monkeypatch: pytest.MonkeyPatch) -> None:
    # A lookup that took too long let a private address through, as it does a name.
    async def never(*_: object, **__: object) -> None:
        raise AssertionError("there is nothing to look up")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", never)
    for address in ("10.0.0.1", "::1", "::ffff:10.0.0.1"):
        with pytest.raises(RefusedAddressError):
            await Guard().check(address, 443, plain=False)
    assert await Guard().check("1.1.1.1", 443, plain=False) == ["1.1.1.1"]


async def test_the_name_is_looked_up_once_and_the_connection_goes_to_what_was_checked() -> None:
    asked = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) > 1 else ["203.0.114.1"]

    connected = []

    class Inner(httpcore.AsyncNetworkBackend):
        async def connect_tcp(self, host: str, port: int, *_: object, **__: object) -> httpcore.AsyncNetworkStream:
            connected.append((host, port))
            raise httpcore.ConnectError("enough")

    backend = GuardedBackend(Guard(resolve=resolve), plain=False)
    backend._inner = Inner()  # type: ignore[assignment]
    with pytest.raises(httpcore.ConnectError):
        await backend.connect_tcp("rebinding.example", 443)
    assert (asked, connected) == (["rebinding.example"], [("203.0.114.1", 443)])
    with pytest.raises(RefusedAddressError):
        await backend.connect_tcp("rebinding.example", 443)
    assert len(connected) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "0x7f.1", "[::1]", "[::ffff:7f00:1]", "localhost"])
async def test_no_way_to_write_this_machine_gets_through(host: str) -> None:
    poster = Poster(Guard())
    for scheme in ("http", "https"):
        answer = await poster.post(f"{scheme}://{host}:9/", b"{}", {})
        assert (answer.status, "isn't public" in answer.error) == (None, True), (host, answer)
    await poster.close()
