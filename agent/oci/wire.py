"""Blocking HTTP/1.1 for the bytes of large blobs: kept-alive connections, large buffers, nothing between socket and hash.

httpx takes three times the processor time for the same bytes (see docs/decisions/0015-blobs-move-in-threads.md), so it does
everything else. A `Wire` belongs to one thread at a time; only `stop` is for others.
"""

import select
import socket
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection

import httpx

from agent.checked_addresses import CHECKED
from agent.oci.errors import RegistryUnavailableError
from agent.oci.reach import origin_of
from agent.outbound import tls

CONNECT_SECONDS = 10.0
IDLE_SECONDS = 60.0
"""Seconds without any progress. A registry may need many of them to store a large blob before it answers."""


class CutError(RegistryUnavailableError):
    """The connection broke, or never came about. What was transferred before counts."""


class Wire:
    """The connections of one lane of a copy, one for each origin."""

    def __init__(self) -> None:
        self._connections: dict[tuple[str, str, int | None], HTTPConnection] = {}
        self._stopped = False

    def get(self, url: httpx.URL, headers: Mapping[str, str]) -> HTTPResponse:
        """Send a GET; gives the answer with its body still to be read. Raises CutError."""
        connection = self.begin("GET", url, headers)
        return self.answer(connection, url)

    def begin(self, method: str, url: httpx.URL, headers: Mapping[str, str]) -> HTTPConnection:
        """Send a request's head; its body, as long as its Content-Length says, goes to `send`. Raises CutError."""
        connection = self._connection(url)
        try:
            connection.putrequest(method, url.raw_path.decode("ascii"), skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders()
        except (OSError, HTTPException) as error:
            raise self._cut(url, error) from None
        return connection

    def answer(self, connection: HTTPConnection, url: httpx.URL) -> HTTPResponse:
        """The answer to what was begun. Raises CutError."""
        try:
            return connection.getresponse()
        except (OSError, HTTPException) as error:
            raise self._cut(url, error) from None

    def drop(self, url: httpx.URL) -> None:
        """Close the connection to the origin of `url`: its stream isn't at a request's end."""
        connection = self._connections.pop(origin_of(url), None)
        if connection is not None:
            connection.close()

    def stop(self) -> None:
        """Break off whatever the lane's thread does, from another thread. The wire is of no use afterwards."""
        self._stopped = True
        for connection in list(self._connections.values()):
            sock = connection.sock
            if sock is not None:
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue

    def close(self) -> None:
        """Close all connections."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def _connection(self, url: httpx.URL) -> HTTPConnection:
        origin = origin_of(url)
        connection = self._connections.get(origin)
        if connection is not None and connection.sock is not None and not _readable(connection.sock):
            return connection
        # Nothing was asked, so what can be read is the server's good-bye.
        self.drop(url)
        self._check_going()
        connection = _https(url) if url.scheme == "https" else HTTPConnection(url.host, origin[2], timeout=CONNECT_SECONDS)
        connection._create_connection = _connect  # type: ignore[attr-defined]  # its one way to another address
        try:
            connection.connect()
        except (OSError, HTTPException) as error:
            raise self._cut(url, error) from None
        connection.sock.settimeout(IDLE_SECONDS)
        self._connections[origin] = connection
        self._check_going()  # `stop` may have come before there was a socket to shut
        return connection

    def _check_going(self) -> None:
        if self._stopped:
            self.close()
            raise CutError("the copy was stopped")

    def _cut(self, url: httpx.URL, error: Exception) -> CutError:
        self.drop(url)
        return cut(url, error)


def cut(url: httpx.URL, error: Exception) -> CutError:
    """The error for a broken connection; it shows the origin only, as a presigned address is a secret."""
    return CutError(f"{url.scheme}://{url.netloc.decode()} can't be reached: {str(error) or type(error).__name__}")


def _https(url: httpx.URL) -> HTTPSConnection:
    return HTTPSConnection(url.host, origin_of(url)[2], timeout=CONNECT_SECONDS, context=tls())


def _connect(place: tuple[str, int], timeout: float | None = None, source: tuple[str, int] | None = None) -> socket.socket:
    """`socket.create_connection`, but to where the name was found when it was judged (`agent.checked_addresses`)."""
    host, port = place
    *others, last = CHECKED.of(host) or (host,)
    for address in others:
        try:
            return socket.create_connection((address, port), timeout, source)
        except OSError:
            continue
    return socket.create_connection((last, port), timeout, source)


def _readable(sock: socket.socket) -> bool:
    # poll, as select can't take descriptors above 1023.
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    return bool(poller.poll(0))
