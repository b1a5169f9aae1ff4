"""Header blocks: the examples of RFC 7541, appendix C, and what is no header block."""

import pytest

from provider_bridge.protocol.hpack import HeaderError, HeaderReader, literal

PAGE = {b":method": b"GET", b":scheme": b"http", b":path": b"/", b":authority": b"www.example.com"}
CUSTOM = {
    b":method": b"GET",
    b":scheme": b"https",
    b":path": b"/index.html",
    b":authority": b"www.example.com",
    b"custom-key": b"custom-value",
}
REQUESTS = [PAGE, {**PAGE, b"cache-control": b"no-cache"}, CUSTOM]

WHEN = b"Mon, 21 Oct 2013 20:13:%d GMT"
MOVED = {
    b":status": b"302",
    b"cache-control": b"private",
    b"date": WHEN % 21,
    b"location": b"https://www.example.com",
}
RESPONSES = [
    MOVED,
    {**MOVED, b":status": b"307"},
    {
        **MOVED,
        b":status": b"200",
        b"date": WHEN % 22,
        b"content-encoding": b"gzip",
        b"set-cookie": b"foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
    },
]
OF_256_BYTES = "3fe101"  # the table that the examples of responses have

EXAMPLES = {
    "C.3 plain": (
        REQUESTS,
        (
            "828684410f7777772e6578616d706c652e636f6d",
            "828684be58086e6f2d6361636865",
            "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
        ),
    ),
    "C.4 coded": (
        REQUESTS,
        ("828684418cf1e3c2e5f23a6ba0ab90f4ff", "828684be5886a8eb10649cbf", "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf"),
    ),
    "C.6 with a table that is full": (
        RESPONSES,
        (
            OF_256_BYTES
            + "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82"
            "ae43d3",
            "4883640effc1c0bf",
            "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af2708"
            "7f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
        ),
    ),
}


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_of_the_rfc_are_read(example: str) -> None:
    expected, blocks = EXAMPLES[example]
    reader = HeaderReader()
    assert [reader.read(bytes.fromhex(block)) for block in blocks] == expected


def test_the_same_bytes_mean_another_thing_once_the_table_has_changed() -> None:
    reader = HeaderReader()
    reader.read(b"\x40" + literal(b"a", b"1")[1:])
    newest = b"\xbe"
    assert reader.read(newest) == reader.read(newest) == {b"a": b"1"}
    reader.read(b"\x40" + literal(b"b", b"2")[1:])
    assert reader.read(newest) == {b"b": b"2"}
    reader.read(b"\x20")  # a table of no bytes
    with pytest.raises(HeaderError, match="names an entry that isn't there"):
        reader.read(newest)


def test_what_we_write_can_be_read() -> None:
    assert HeaderReader().read(literal(b"grpc-status", b"0")) == {b"grpc-status": b"0"}


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        ("80", "entry 0"),
        ("be", "isn't there"),
        ("ff", "too early"),
        ("ffffffffffff0f", "too large"),
        ("3fe21f", "larger than was agreed"),  # 4,097 bytes
        ("000a61", "too early"),
        ("00016181", "too early"),
        ("0001618100", "Huffman"),  # padded with zeros
        ("00016182ffff", "Huffman"),  # padded with more than a byte
    ],
)
def test_what_is_no_header_block_is_refused(block: str, reason: str) -> None:
    with pytest.raises(HeaderError, match=reason):
        HeaderReader().read(bytes.fromhex(block))
