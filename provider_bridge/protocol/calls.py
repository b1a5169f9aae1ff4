"""gRPC's calls over HTTP/2, on the server's side ("gRPC over HTTP2", the protocol's own specification).

A client's messages are read whole before a call is answered, and nothing is compressed: Terraform asks for neither. A call that
may wait for something is answered in a thread of its own; any other by the thread that reads, which costs far less.
"""

import contextlib
import os
import socket
import threading
from _queue import SimpleQueue
from collections.abc import Callable, Iterator
from typing import Any

from provider_bridge.protocol.hpack import Fields, literal
from provider_bridge.protocol.http2 import Channel, Connection, ProtocolError
from provider_bridge.protocol.log import log
from provider_bridge.records import Record

Message = Any
"""A protobuf message. Its class is made at run time."""

_HEADERS = b"\x88" + literal(b"content-type", b"application/grpc")  # 0x88 is `:status: 200`
_GOOD_END = literal(b"grpc-status", b"0")

_UNKNOWN, _UNIMPLEMENTED = b"2", b"12"
"""Codes of statuses."""

_PREFIX_BYTES = 5
"""Before each message: whether it is compressed, in one byte, and its length, in four."""


class Method(Record):
    """One call that is offered."""

    read: Callable[[bytes], Message]
    answer: Callable[[Message], bytes | Iterator[bytes]]
    """From the request to the response, or to responses, one after the other."""
    waits: bool = True
    """Whether the answer may take a while: then it gets a thread, so that others go on meanwhile."""
    holds: bool = False
    """Whether it is a stream on which nothing ever comes, and which ends when the server does: one for each connection."""


class Server:
    """Takes connections on a unix socket and answers their calls."""

    def __init__(
        self, path: str, methods: Callable[[str], Method | None], open_channel: Callable[[socket.socket], Channel], threads: int
    ) -> None:
        """`methods` knows what is offered by its path (`/service/call`); `threads` is how many calls may wait at once.

        `open_channel` raises OSError for a client that isn't let in.
        """
        self._path = path
        self._methods = methods
        self._found: dict[bytes, Method] = {}
        self._open_channel = open_channel
        self._workers = _Workers(threads)
        self._lock = threading.Lock()
        self._connected: dict[socket.socket, threading.Thread] = {}
        self._held: dict[Connection, int] = {}
        self._is_closed = False
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(path)
        self._listening.listen()
        threading.Thread(target=self._accept, name="accept", daemon=True).start()

    def close(self, seconds: float) -> None:
        """End what is held, let what is being sent be sent for so long, and hang up. Calls that go on answer nobody."""
        with self._lock:
            self._is_closed = True
            held, connected = dict(self._held), dict(self._connected)
        for connection, stream in held.items():
            with contextlib.suppress(OSError):
                connection.send(stream, _HEADERS, trailers=_GOOD_END)
        for each in connected:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RD)
        for thread in connected.values():
            thread.join(seconds)
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as knock:
            # Nothing else ends the wait for connections on every system.
            knock.connect(self._path)
        self._listening.close()
        self._workers.end()
        os.unlink(self._path)  # noqa: PTH108 - pathlib costs start time here

    def _accept(self) -> None:
        while True:
            try:
                connected, _ = self._listening.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connected,), name="connection", daemon=True)
            with self._lock:
                if self._is_closed:
                    connected.close()
                    return
                self._connected[connected] = thread
                thread.start()  # while nobody closes the server: a thread that hasn't begun can't be waited for

    def _serve(self, connected: socket.socket) -> None:
        connection = None
        try:
            connection = Connection(self._open_channel(connected), self._take)
            connection.serve()
        except ConnectionError:
            pass  # the client is gone
        except (OSError, ProtocolError) as error:
            log("warn", f"a client's connection ends: {error}")
        finally:
            with self._lock:
                del self._connected[connected]
                if connection is not None:
                    self._held.pop(connection, None)
            connected.close()

    def _take(self, connection: Connection, stream: int, fields: Fields, body: bytes) -> None:
        path = fields.get(b":path", b"")
        method = self._found.get(path)
        if method is None:
            method = self._methods(path.decode(errors="replace"))
            if method is None:
                connection.send(stream, trailers=_bad_end(_UNIMPLEMENTED, "there is no such call"))
                return
            self._found[path] = method
        if method.holds:
            with self._lock:
                self._held[connection] = stream
        elif method.waits:
            self._workers.do(lambda: _answer(connection, stream, method, body))
        else:
            _answer(connection, stream, method, body)


class _Workers:
    """Threads that are started when they are needed, and stay."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._count = 0
        self._free = 0
        """How many more tasks there are threads for that wait. Less than none: so many tasks wait."""

    def do(self, task: Callable[[], None]) -> None:
        """Have a thread do it. It may not raise."""
        with self._lock:
            self._free -= 1
            is_new = self._free < 0 and self._count < self._most
            if is_new:
                self._count += 1
                self._free += 1
        self._tasks.put(task)
        if is_new:
            threading.Thread(target=self._work, name="call", daemon=True).start()

    def end(self) -> None:
        """Let all threads go, each when it has nothing more to do. Nothing may be asked of them afterwards."""
        with self._lock:
            count, self._most = self._count, 0
        for _ in range(count):
            self._tasks.put(None)

    def _work(self) -> None:
        while task := self._tasks.get():
            task()
            with self._lock:
                self._free += 1


def _answer(connection: Connection, stream: int, method: Method, body: bytes) -> None:
    """Answer one call, whatever happens. Nothing is raised: there is nobody to raise it to."""
    headers = _HEADERS
    try:
        answer = method.answer(method.read(_message(body)))
        if isinstance(answer, bytes):
            connection.send(stream, headers, _prefixed(answer), _GOOD_END)
            return
        for each in answer:
            connection.send(stream, headers, _prefixed(each))
            headers = b""
            connection.wait_until_sent(stream)
            if not connection.is_open(stream):
                return
        connection.send(stream, headers, trailers=_GOOD_END)
    except OSError:
        pass  # the client is gone
    except Exception as error:
        import traceback  # costs start time, and is never used if all is well

        traceback.print_exception(error)
        with contextlib.suppress(OSError):
            connection.send(stream, trailers=_bad_end(_UNKNOWN, f"{type(error).__name__}: {error}", begun=not headers))


def _message(body: bytes) -> bytes:
    """The message of a call, the first of one that streams them. Raises ValueError if it isn't whole."""
    if not body:
        return b""
    end = _PREFIX_BYTES + int.from_bytes(body[1:_PREFIX_BYTES], "big")
    if body[0] or len(body) < end:
        raise ValueError("a message is compressed, or not whole")
    return body[_PREFIX_BYTES:end]


def _prefixed(message: bytes) -> bytes:
    return b"\x00" + len(message).to_bytes(4, "big") + message


def _bad_end(code: bytes, what: str, *, begun: bool = False) -> bytes:
    """The last header block, which is the first as well if nothing has been sent yet."""
    told = "".join(each if " " <= each <= "~" and each != "%" else "?" for each in what[:100]).encode()
    return (b"" if begun else _HEADERS) + literal(b"grpc-status", code) + literal(b"grpc-message", told)
