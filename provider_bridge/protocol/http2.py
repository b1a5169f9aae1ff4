"""HTTP/2 on the server's side of one connection (RFC 9113), as far as gRPC needs it.

A `Connection` reads in the thread that serves it; any thread may send. It never waits for the client's windows while it reads:
what doesn't fit stays with its stream until the client makes room. Priorities and pushes, which no gRPC client uses, aren't
there.
"""

import struct
import threading
from typing import Protocol

from provider_bridge.protocol.hpack import Fields, HeaderError, HeaderReader

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

# Types of frames (section 6), their flags, and codes of errors (section 7).
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PUSH_PROMISE, _PING, _GOAWAY, _WINDOW_UPDATE, _CONTINUATION = (
    0,
    1,
    3,
    4,
    5,
    6,
    7,
    8,
    9,
)
_END_STREAM, _ACK, _END_HEADERS, _PADDED, _PRIORITY = 0x01, 0x01, 0x04, 0x08, 0x20
_PROTOCOL_ERROR, _FLOW_CONTROL_ERROR, _FRAME_SIZE_ERROR, _CANCEL, _COMPRESSION_ERROR = 1, 3, 6, 8, 9

_INITIAL_WINDOW_SIZE = 4
"""The one setting that matters here (section 6.5.2)."""

_HEAD = struct.Struct(">BHBBL")
"""A frame's first nine bytes: its length in two parts, type, flags, stream."""

_FRAME_BYTES = 16_384
"""The longest frame that either side sends: the least that everybody takes (section 4.2)."""

_FIRST_WINDOW = 65_535
_MOST_WINDOW = 2**31 - 1
_MOST_HEADER_BYTES = 65_536

_MOST_BODY_BYTES = 256 << 20
"""Of a request. Less than a stream's window, so that no stream ever needs a larger one."""


class Channel(Protocol):
    """Bytes both ways. `write` may be called by any thread, one at a time."""

    def read(self) -> bytes:
        """What has come; empty at the end. Raises OSError."""

    def write(self, data: bytes) -> None:
        """Send all of it. Raises OSError."""


class Taker(Protocol):
    """Gets the requests of a connection, in the thread that reads: it may answer at once, or hand them to another."""

    def __call__(self, connection: "Connection", stream: int, fields: Fields, body: bytes) -> None:
        """One whole request."""


class ProtocolError(Exception):
    """The client broke the protocol: its connection ends."""

    def __init__(self, code: int, what: str) -> None:
        super().__init__(what)
        self.code = code


class _Stream:
    """One request, and the answer to it."""

    received: int = 0
    room: int = 0
    """How much more the client has said that it takes on this stream than it takes on each."""
    pending: bytes = b""
    sent: int = 0
    """How much of `pending` is sent."""
    trailers: bytes = b""

    def __init__(self, fields: Fields) -> None:
        self.fields = fields
        self.parts: list[bytes] = []


class Connection:
    """One client's connection. `serve` reads until it ends; `send` answers; both are safe with the other in another thread."""

    def __init__(self, channel: Channel, take: Taker) -> None:
        self._channel = channel
        self._take = take
        self._headers = HeaderReader()
        self._streams: dict[int, _Stream] = {}
        self._last_stream = 0
        self._received = 0
        self._room = _FIRST_WINDOW
        self._room_of_each = _FIRST_WINDOW
        self._block = b""
        """The beginning of a header block that goes on in the next frame."""
        self._block_of = (0, False)
        """Its stream, and whether the request ends with it."""
        self._out: list[bytes] = []
        self._reader = 0
        self._lock = threading.Lock()
        self._moved = threading.Condition(self._lock)
        self._writing = threading.Lock()

    def serve(self) -> None:
        """Read and hand out requests until the client is gone. Raises OSError if the connection breaks, ProtocolError."""
        self._reader = threading.get_ident()
        self._out.append(
            _frame(_SETTINGS, 0, 0, struct.pack(">HL", _INITIAL_WINDOW_SIZE, _MOST_WINDOW))
            + _frame(_WINDOW_UPDATE, 0, 0, struct.pack(">L", _MOST_WINDOW - _FIRST_WINDOW))
        )
        try:
            self._flush()
            self._read()
        except ProtocolError as error:
            self._out.append(_frame(_GOAWAY, 0, 0, struct.pack(">LL", self._last_stream, error.code)))
            self._flush()
            raise
        finally:
            with self._lock:
                self._streams.clear()
                self._moved.notify_all()

    def is_open(self, stream: int) -> bool:
        """Whether anybody waits for the answer on this stream."""
        return stream in self._streams

    def send(self, stream: int, headers: bytes = b"", body: bytes = b"", trailers: bytes = b"") -> None:
        """Send, on a request's stream, the first header block, more of the body, the last header block, which ends the answer.

        Nothing is sent on a stream that the client has cancelled. Raises OSError if the connection breaks.
        """
        with self._lock:
            found = self._streams.get(stream)
            if found is None:
                return
            if headers:
                self._out.append(_frame(_HEADERS, _END_HEADERS, stream, headers))
            found.pending = found.pending[found.sent :] + body if found.pending else body
            found.sent = 0
            found.trailers = trailers
            self._pump(stream, found)
        if threading.get_ident() != self._reader:
            self._flush()

    def wait_until_sent(self, stream: int) -> None:
        """Wait until the client has taken what was sent on this stream. Never in the thread that reads."""
        with self._lock:
            self._moved.wait_for(lambda: (found := self._streams.get(stream)) is None or not found.pending)

    def _pump(self, number: int, stream: _Stream) -> None:
        """Send what the windows let through of what a stream has pending."""
        pending, at = stream.pending, stream.sent
        room = min(self._room, self._room_of_each + stream.room, len(pending) - at)
        if room > 0:
            end = at + room
            for begin in range(at, end, _FRAME_BYTES):
                self._out.append(_frame(_DATA, 0, number, pending[begin : min(begin + _FRAME_BYTES, end)]))
            self._room -= room
            stream.room -= room
            stream.sent = at = end
        if at == len(pending):
            stream.pending, stream.sent = b"", 0
            if stream.trailers:
                self._out.append(_frame(_HEADERS, _END_HEADERS | _END_STREAM, number, stream.trailers))
                del self._streams[number]

    def _pump_all(self) -> None:
        for number, stream in list(self._streams.items()):
            if stream.pending:
                self._pump(number, stream)
        self._moved.notify_all()

    def _flush(self) -> None:
        with self._writing:
            with self._lock:
                if not self._out:
                    return
                data = b"".join(self._out)
                self._out.clear()
            self._channel.write(data)

    def _read(self) -> None:
        data = self._channel.read()
        while data and len(data) < len(_PREFACE):
            more = self._channel.read()
            data = data + more if more else b""
        if not data:
            return
        if not data.startswith(_PREFACE):
            raise ProtocolError(_PROTOCOL_ERROR, "it doesn't begin as HTTP/2")
        rest = data[len(_PREFACE) :]
        while True:
            rest = self._take_frames(rest)
            if self._out:
                self._flush()
            data = self._channel.read()
            if not data:
                return
            rest = rest + data if rest else data

    def _take_frames(self, data: bytes) -> bytes:
        """Do what each whole frame says. Returns what is left: the beginning of the next."""
        at, end = 0, len(data)
        while end - at >= _HEAD.size:
            high, low, kind, flags, number = _HEAD.unpack_from(data, at)
            length = high << 16 | low
            if length > _FRAME_BYTES:
                raise ProtocolError(_FRAME_SIZE_ERROR, "a frame is too long")
            begin = at + _HEAD.size
            if begin + length > end:
                break
            at = begin + length
            if self._block and kind != _CONTINUATION:
                raise ProtocolError(_PROTOCOL_ERROR, "a header block is interrupted")
            try:
                self._take_frame(kind, flags, number & _MOST_WINDOW, data[begin:at])
            except (struct.error, IndexError):
                raise ProtocolError(_FRAME_SIZE_ERROR, "a frame is too short") from None
        return data[at:]

    def _take_frame(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if kind == _DATA:
            self._take_data(flags, number, payload)
        elif kind == _HEADERS:
            self._take_headers(flags, number, payload)
        elif kind == _WINDOW_UPDATE:
            self._take_window(number, *struct.unpack(">L", payload))
        elif kind == _PING:
            if not flags & _ACK:
                self._say(_frame(_PING, _ACK, 0, payload))
        elif kind == _SETTINGS:
            if not flags & _ACK:
                self._take_settings(payload)
        elif kind == _RST_STREAM:
            with self._lock:
                self._streams.pop(number, None)
                self._moved.notify_all()
        elif kind == _CONTINUATION:
            if not self._block or number != self._block_of[0]:
                raise ProtocolError(_PROTOCOL_ERROR, "a header block goes on that didn't begin")
            self._take_block(flags, payload)
        elif kind == _PUSH_PROMISE:
            raise ProtocolError(_PROTOCOL_ERROR, "a client pushes nothing")
        # PRIORITY and GOAWAY change nothing here; what is unknown is to be ignored (section 4.1).

    def _take_headers(self, flags: int, number: int, payload: bytes) -> None:
        if flags & _PADDED:
            payload = _unpadded(payload)
        if flags & _PRIORITY:
            payload = payload[5:]
        self._block_of = (number, bool(flags & _END_STREAM))
        self._take_block(flags, payload)

    def _take_block(self, flags: int, payload: bytes) -> None:
        block = self._block + payload
        if len(block) > _MOST_HEADER_BYTES or not block:
            raise ProtocolError(_PROTOCOL_ERROR, "a header block is empty, or too long")
        if not flags & _END_HEADERS:
            self._block = block
            return
        self._block = b""
        number, is_whole = self._block_of
        try:
            fields = self._headers.read(block)
        except HeaderError as error:
            raise ProtocolError(_COMPRESSION_ERROR, f"a header block is broken: {error}") from None
        stream = self._streams.get(number)
        if stream is None:
            if not number & 1:
                raise ProtocolError(_PROTOCOL_ERROR, "a client's streams have odd numbers")
            if number <= self._last_stream:
                return  # the end of a request that was answered, or cancelled, before it was whole
            self._last_stream = number
            stream = _Stream(fields)
            with self._lock:
                self._streams[number] = stream
        if is_whole:
            self._take(self, number, stream.fields, b"".join(stream.parts))

    def _take_data(self, flags: int, number: int, payload: bytes) -> None:
        self._received += len(payload)
        if self._received >= _MOST_WINDOW // 2:
            self._say(_frame(_WINDOW_UPDATE, 0, 0, struct.pack(">L", self._received)))
            self._received = 0
        if flags & _PADDED:
            payload = _unpadded(payload)
        stream = self._streams.get(number)
        if stream is None:
            if number > self._last_stream or not number:
                raise ProtocolError(_PROTOCOL_ERROR, "there is data on a stream that isn't open")
            return
        if stream.parts:
            stream.received += len(payload)
            if stream.received > _MOST_BODY_BYTES:
                with self._lock:
                    del self._streams[number]
                self._say(_frame(_RST_STREAM, 0, number, struct.pack(">L", _CANCEL)))
                return
        stream.parts.append(payload)
        if flags & _END_STREAM:
            parts, stream.parts = stream.parts, []
            self._take(self, number, stream.fields, b"".join(parts) if len(parts) > 1 else payload)

    def _take_window(self, number: int, more: int) -> None:
        with self._lock:
            if not number:
                self._room += more
                if self._room > _MOST_WINDOW:
                    raise ProtocolError(_FLOW_CONTROL_ERROR, "the connection's window is too large")
                self._pump_all()
            elif number in self._streams:
                self._streams[number].room += more
                self._pump_all()

    def _take_settings(self, payload: bytes) -> None:
        with self._lock:
            for setting, value in struct.iter_unpack(">HL", payload):
                if setting == _INITIAL_WINDOW_SIZE:
                    if value > _MOST_WINDOW:
                        raise ProtocolError(_FLOW_CONTROL_ERROR, "the streams' window is too large")
                    self._room_of_each = value
            self._out.append(_frame(_SETTINGS, _ACK, 0, b""))
            self._pump_all()

    def _say(self, frame: bytes) -> None:
        with self._lock:
            self._out.append(frame)


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    length = len(payload)
    return _HEAD.pack(length >> 16, length & 0xFFFF, kind, flags, stream) + payload


def _unpadded(payload: bytes) -> bytes:
    """A frame's content without its padding (section 6.1)."""
    padding = payload[0]
    if padding >= len(payload):
        raise ProtocolError(_PROTOCOL_ERROR, "a frame's padding is longer than the frame")
    return payload[1 : len(payload) - padding]
