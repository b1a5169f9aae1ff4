"""HTTP/2 without a socket: frames made by hand, also such as grpcio never sends."""

import struct

import pytest
from http2_frames import (
    BLOCK,
    CONTINUATION,
    DATA,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    PRIORITY,
    PUSH,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
)

from provider_bridge.protocol.hpack import Fields
from provider_bridge.protocol.http2 import Connection, ProtocolError


class Wire:
    """A client that has sent all that it ever will, in pieces, and what it gets."""

    def __init__(self, *frames: bytes, piece: int = 1 << 20) -> None:
        sent = PREFACE + frame(SETTINGS, 0, 0, b"") + b"".join(frames)
        self._pieces = [sent[at : at + piece] for at in range(0, len(sent), piece)]
        self._got = b""
        self.requests: list[tuple[bytes, bytes]] = []

    def read(self) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""

    def write(self, data: bytes) -> None:
        self._got += data

    def serve(self, answer: bytes = b"") -> None:
        def take(connection: Connection, stream: int, fields: Fields, body: bytes) -> None:
            self.requests.append((fields[b":path"], body))
            connection.send(stream, b"\x88", answer, b"\x88")

        Connection(self, take).serve()

    def got(self, kind: int) -> list[tuple[int, int, bytes]]:
        """The frames of one kind: flags, stream, payload."""
        found, at = [], 0
        while at < len(self._got):
            length = int.from_bytes(self._got[at : at + 3], "big")
            each, flags, stream = struct.unpack(">BBL", self._got[at + 3 : at + 9])
            if each == kind:
                found.append((flags, stream, self._got[at + 9 : at + 9 + length]))
            at += 9 + length
        return found


REQUEST = frame(HEADERS, 4, 1, BLOCK) + frame(DATA, 1, 1, b"body")


@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_frames_may_come_in_any_pieces(piece: int) -> None:
    wire = Wire(REQUEST, frame(PING, 0, 0, b"12345678"), REQUEST.replace(b"\0\0\0\1", b"\0\0\0\3"), piece=piece)
    wire.serve()
    assert wire.requests == [(b"/t/Echo", b"body")] * 2
    assert wire.got(PING) == [(1, 0, b"12345678")]
    assert (1, 0, b"") in wire.got(SETTINGS)


def test_padding_priorities_and_continued_headers_are_understood() -> None:
    padded = b"\x02" + b"\0\0\0\0\x10" + BLOCK[:5] + b"\0\0"
    wire = Wire(
        frame(HEADERS, 0x28, 1, padded),
        frame(CONTINUATION, 0, 1, BLOCK[5:8]),
        frame(CONTINUATION, 4, 1, BLOCK[8:]),
        frame(PRIORITY, 0, 1, b"\0\0\0\0\x10"),
        frame(99, 0, 1, b"of another time"),
        frame(DATA, 0x08, 1, b"\x03bo\0\0\0"),
        frame(DATA, 0x09, 1, b"\x00dy"),
    )
    wire.serve()
    assert wire.requests == [(b"/t/Echo", b"body")]


def test_an_answer_goes_on_as_the_client_makes_room() -> None:
    small = frame(SETTINGS, 0, 0, struct.pack(">HL", 4, 3))
    more = [frame(WINDOW_UPDATE, 0, 1, struct.pack(">L", 4)), frame(SETTINGS, 0, 0, struct.pack(">HL", 4, 1000))]
    wire = Wire(small, REQUEST, *more)
    wire.serve(b"0123456789")
    assert [payload for _, _, payload in wire.got(DATA)] == [b"012", b"3456", b"789"]
    assert wire.got(HEADERS) == [(4, 1, b"\x88"), (5, 1, b"\x88")]


def test_the_room_of_the_connection_counts_for_all_streams() -> None:
    wide = frame(SETTINGS, 0, 0, struct.pack(">HL", 4, 1 << 20))
    wire = Wire(wide, REQUEST, REQUEST.replace(b"\0\0\0\1", b"\0\0\0\3"), frame(WINDOW_UPDATE, 0, 0, struct.pack(">L", 65_535)))
    wire.serve(b"x" * 65_535)
    assert all(len(payload) <= 16_384 for _, _, payload in wire.got(DATA))
    sent = {number: sum(len(payload) for _, stream, payload in wire.got(DATA) if stream == number) for number in (1, 3)}
    assert sent == {1: 65_535, 3: 65_535}


def test_a_cancelled_answer_is_not_sent() -> None:
    small = frame(SETTINGS, 0, 0, struct.pack(">HL", 4, 3))
    wire = Wire(small, REQUEST, frame(RST_STREAM, 0, 1, b"\0\0\0\x08"), frame(WINDOW_UPDATE, 0, 1, struct.pack(">L", 4)))
    wire.serve(b"0123456789")
    assert [payload for _, _, payload in wire.got(DATA)] == [b"012"]


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (frame(DATA, 1, 5, b"nobody's"), 1),
        (frame(HEADERS, 4, 2, BLOCK), 1),
        (frame(HEADERS, 4, 1, b""), 1),
        (frame(HEADERS, 0, 1, BLOCK) + frame(PING, 0, 0, b"12345678"), 1),
        (frame(CONTINUATION, 4, 1, BLOCK), 1),
        (frame(HEADERS, 0x0C, 1, b"\x09" + BLOCK[:3]), 1),
        (frame(PUSH, 4, 1, BLOCK), 1),
        (frame(HEADERS, 0, 1, BLOCK) + frame(CONTINUATION, 0, 1, b"x" * 16_000) * 5, 1),
        (frame(SETTINGS, 0, 0, struct.pack(">HL", 4, 1 << 31)), 3),
        (frame(WINDOW_UPDATE, 0, 0, struct.pack(">L", 2**31 - 1)), 3),
        (frame(SETTINGS, 0, 0, b"123"), 6),
        (frame(WINDOW_UPDATE, 0, 0, b"1"), 6),
        (frame(DATA, 0, 1, b"x" * 16_385), 6),
        (frame(HEADERS, 4, 1, b"\x80"), 9),
    ],
)
def test_a_client_that_breaks_the_protocol_is_told_and_hung_up_on(frames: bytes, code: int) -> None:
    wire = Wire(frames, REQUEST)
    with pytest.raises(ProtocolError):
        wire.serve()
    assert wire.requests == []
    ((_, _, payload),) = wire.got(GOAWAY)
    assert struct.unpack(">LL", payload)[1] == code


def test_what_is_no_http2_is_hung_up_on() -> None:
    wire = Wire()
    wire._pieces = [b"GET / HTTP/1.1\r\n", b"Host: localhost\r\n\r\n"]
    with pytest.raises(ProtocolError, match="doesn't begin as HTTP/2"):
        wire.serve()
