"""A client's socket as a channel of bytes: plain, or with TLS."""

import socket
import ssl
import threading

_READ_BYTES = 1 << 18
_RECORD_BYTES = 1 << 14
"""The most that a record of TLS holds (RFC 8446, section 5.1)."""


class PlainChannel:
    """A socket as it is."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected

    def read(self) -> bytes:
        """See `http2.Channel`."""
        return self._socket.recv(_READ_BYTES)

    def write(self, data: bytes) -> None:
        """See `http2.Channel`."""
        self._socket.sendall(data)


class TlsChannel:
    """A socket with TLS on it. OpenSSL works in memory, under a lock, for it can't read and write in two threads at once."""

    def __init__(self, connected: socket.socket, context: ssl.SSLContext) -> None:
        """Make the TLS handshake. Raises OSError if the client isn't let in, or goes away."""
        self._socket = connected
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self._lock = threading.Lock()
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._send()
                received = connected.recv(_READ_BYTES)
                if not received:
                    raise ConnectionError("the client has gone before the end of the handshake") from None
                self._in.write(received)
            except ssl.SSLError:
                self._send()  # the alert, which says why
                raise
        self._send()

    def read(self) -> bytes:
        """See `http2.Channel`."""
        while True:
            with self._lock:
                data = self._decrypt()
            if data:
                return data
            received = self._socket.recv(_READ_BYTES)
            if not received:
                return b""
            with self._lock:
                self._in.write(received)

    def write(self, data: bytes) -> None:
        """See `http2.Channel`."""
        with self._lock:
            self._tls.write(data)
            self._send()

    def _decrypt(self) -> bytes:
        parts = []
        try:
            while self._in.pending or self._tls.pending():
                part = self._tls.read(_RECORD_BYTES)
                if not part:
                    break  # the client has closed its side
                parts.append(part)
        except ssl.SSLWantReadError:
            pass  # the last record isn't whole
        if self._out.pending:
            self._send()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _send(self) -> None:
        if self._out.pending:
            self._socket.sendall(self._out.read())
