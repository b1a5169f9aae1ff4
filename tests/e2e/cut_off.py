"""A network of the customer's with one way out: to the IMS. Whatever else leaves it is caught, and written down.

A network namespace has loopback, and a default route into a TUN device whose other end is here: each packet that a program
sends anywhere else ends up in `strays`. The IMS is reached on the port that it has outside, which a relay listens on inside.
"""

import contextlib
import ctypes
import fcntl
import ipaddress
import os
import select
import socket
import struct
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from tunnel import join

T = TypeVar("T")

CLONE_NEWNET = 0x40000000  # linux/sched.h
IFF_UP, IFF_TUN, IFF_NO_PI = 0x1, 0x1, 0x1000  # linux/if.h, linux/if_tun.h
SIOCSIFFLAGS, SIOCSIFADDR, SIOCADDRT, TUNSETIFF = 0x8914, 0x8916, 0x890B, 0x400454CA  # linux/sockios.h, linux/if_tun.h
RTF_UP = 0x1  # linux/route.h
_SINK = b"sink0"
_HERE = "192.0.2.1"  # RFC 5737: an address that nobody has


@dataclass
class CutOff:
    """The namespace, between `__enter__` and `__exit__`; needs root. `strays` says where packets went that mustn't."""

    strays: list[str] = field(default_factory=list)
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def __enter__(self) -> "CutOff":
        with self._stack:
            self._ended = os.eventfd(0)
            self._stack.callback(os.close, self._ended)
            # A thread of its own moves into the namespace, which lives as long as it is open here.
            self._inside = self._stack.enter_context(ThreadPoolExecutor(1))
            self._namespace, self._tun = self._inside.submit(_new_namespace).result()
            self._stack.callback(os.close, self._namespace)
            self._stack.callback(os.close, self._tun)
            names = self.inside(lambda: _bound(socket.SOCK_DGRAM, 53))
            self._stack.callback(names.close)
            self._catch(lambda: _destination(os.read(self._tun, 65536)), self._tun)
            self._catch(lambda: f"a name asked for: {names.recv(4096)[12:60]!r}", names.fileno())
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def inside(self, do: Callable[[], T]) -> T:
        """Run a function in the namespace: sockets that it opens stay there."""
        return self._inside.submit(do).result()

    def command(self, *argv: str) -> list[str]:
        """A program to be run in the namespace."""
        return ["nsenter", f"--net=/proc/{os.getpid()}/fd/{self._namespace}", *argv]

    def let_in(self, port: int) -> None:
        """Lead connections to `port` of 127.0.0.1 inside to the same port outside."""
        listener = self.inside(lambda: _bound(socket.SOCK_STREAM, port))
        self._stack.callback(listener.close)
        self._stack.callback(listener.shutdown, socket.SHUT_RDWR)

        def relay(connection: socket.socket) -> None:
            with contextlib.suppress(OSError), connection, socket.create_connection(("127.0.0.1", port)) as other:
                join(connection, other)

        def accept() -> None:
            with contextlib.suppress(OSError):  # closed
                while True:
                    threading.Thread(target=relay, args=(listener.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()

    def _catch(self, next_one: Callable[[], str | None], descriptor: int) -> None:
        """Write down what comes out of a descriptor, until the end."""

        def run() -> None:
            poller = select.poll()
            poller.register(descriptor, select.POLLIN)
            poller.register(self._ended, select.POLLIN)
            while not any(ready == self._ended for ready, _ in poller.poll()):
                if found := next_one():
                    self.strays.append(found)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self._stack.callback(thread.join)
        self._stack.callback(os.eventfd_write, self._ended, 1)


def _new_namespace() -> tuple[int, int]:
    """Move this thread into a new network namespace; gives the namespace and the catching end of its only way out."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", _SINK, IFF_TUN | IFF_NO_PI))
    with open("/proc/sys/net/ipv6/conf/sink0/disable_ipv6", "w") as setting:  # noqa: PTH123 - the kernel speaks by itself over it
        setting.write("1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFADDR, struct.pack("16s16s8x", _SINK, _address(_HERE)))
        for name in (b"lo", _SINK):
            fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh22x", name, IFF_UP))
        anywhere = _address("0.0.0.0")
        name = ctypes.create_string_buffer(_SINK)
        # struct rtentry: destination, gateway and mask, flags, and by a pointer the device
        by = ctypes.addressof(name)
        route = struct.pack("L16s16s16sHhLPhPLLH", 0, anywhere, anywhere, anywhere, RTF_UP, 0, 0, 0, 0, by, 0, 0, 0)
        fcntl.ioctl(control, SIOCADDRT, route)
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC), tun


def _address(text: str) -> bytes:
    """A `struct sockaddr_in`."""
    return struct.pack("HH4s8x", socket.AF_INET, 0, ipaddress.IPv4Address(text).packed)


def _bound(kind: socket.SocketKind, port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, kind)
    bound.bind(("127.0.0.1", port))
    if kind == socket.SOCK_STREAM:
        bound.listen(128)
    return bound


def _destination(packet: bytes) -> str | None:
    """Where an IPv4 packet was to go."""
    if packet[0] >> 4 != 4:
        return "a packet that isn't IPv4"
    begin = (packet[0] & 15) * 4
    port = struct.unpack("!H", packet[begin + 2 : begin + 4])[0]
    return f"protocol {packet[9]} to {ipaddress.IPv4Address(packet[16:20])}, port {port}"


def works() -> bool:
    """Whether this machine and user may have such a network."""
    try:
        with CutOff():
            return True
    except OSError:
        return False
