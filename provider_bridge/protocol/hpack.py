"""Header fields of HTTP/2: how a client's are read, and how ours are written (RFC 7541).

Ours are written as literals that no table remembers, so that any thread may send at any time. A client's blocks are the same
bytes for each call of a method, once its table has settled: they are read once and remembered until the table changes.
"""

from functools import cache

Fields = dict[bytes, bytes]
"""Header fields by their names. Of fields of one name the last counts."""

_ENTRY_BYTES = 32
"""What an entry of the dynamic table counts for beyond its text (section 4.1)."""

_TABLE_BYTES = 4096
"""The size of the dynamic table that a client may use unless it is told otherwise (RFC 9113, section 6.5.2)."""

_MOST_KNOWN = 256
"""Blocks that are remembered. A client has no more than a few for each method."""

_STATIC: tuple[tuple[bytes, bytes], ...] = (
    (b":authority", b""),
    (b":method", b"GET"),
    (b":method", b"POST"),
    (b":path", b"/"),
    (b":path", b"/index.html"),
    (b":scheme", b"http"),
    (b":scheme", b"https"),
    *((b":status", status) for status in b"200 204 206 304 400 404 500".split()),
    (b"accept-charset", b""),
    (b"accept-encoding", b"gzip, deflate"),
    *(
        (name, b"")
        for name in (
            b"accept-language accept-ranges accept access-control-allow-origin age allow authorization cache-control "
            b"content-disposition content-encoding content-language content-length content-location content-range "
            b"content-type cookie date etag expect expires from host if-match if-modified-since if-none-match if-range "
            b"if-unmodified-since last-modified link location max-forwards proxy-authenticate proxy-authorization range "
            b"referer refresh retry-after server set-cookie strict-transport-security transfer-encoding user-agent vary "
            b"via www-authenticate"
        ).split()
    ),
)
"""Appendix A, whose first entry has index 1."""

_CODE_BITS = bytes.fromhex(
    "0d171c1c1c1c1c1c1c181e1c1c1e1c1c1c1c1c1c1c1c1e1c1c1c1c1c1c1c1c1c060a0a0c0d06080b0a0a080b0806060605050506"
    "06060606060607080f060c0a0d06070707070707070707070707070707070707070707070807080d130d0e060f05060506050606"
    "060507070606060506070605050607070707070f0b0e0d1c14161414161616171617171717171817181816171817171717151617"
    "1617171816151416161717151716161815161717151516151716171714161616171616171a1a1413161716191a1a1a1b1b1a1819"
    "13151a1b1b1a1b1815151a1a1c1b1b1b14181415161515171616191918181a171a1b1a1a1b1b1b1b1b1c1b1b1b1b1b1a"
)
"""How long the Huffman code of each byte is (appendix B). Shorter codes come first, and among equals those of smaller bytes."""


class HeaderError(Exception):
    """A block of header fields can't be read. What follows on its connection can't be, either (RFC 9113, section 4.3)."""


class HeaderReader:
    """Reads the header blocks of one connection, in their order."""

    def __init__(self) -> None:
        self._entries: list[tuple[bytes, bytes]] = []
        """The dynamic table, its newest entry first."""
        self._bytes = 0
        self._limit = _TABLE_BYTES
        self._known: dict[bytes, Fields] = {}

    def read(self, block: bytes) -> Fields:
        """The fields of a block, which the caller may not change. Raises HeaderError."""
        known = self._known.get(block)
        if known is not None:
            return known
        try:
            fields, changed = self._read(block)
        except IndexError:
            raise HeaderError("it ends too early, or names an entry that isn't there") from None
        if changed or len(self._known) == _MOST_KNOWN:
            self._known.clear()
        if not changed:
            self._known[block] = fields
        return fields

    def _read(self, block: bytes) -> tuple[Fields, bool]:
        fields, changed, at = {}, False, 0
        while at < len(block):
            first = block[at]
            if first & 0x80:  # an entry of a table
                index, at = _integer(block, at, 7)
                name, value = self._entry(index)
            elif first & 0xE0 == 0x20:  # a new size of the table
                limit, at = _integer(block, at, 5)
                if limit > _TABLE_BYTES:
                    raise HeaderError("its table is larger than was agreed")
                self._limit, changed = limit, True
                self._evict()
                continue
            else:  # a literal, which the table remembers or not
                remembered = bool(first & 0x40)
                index, at = _integer(block, at, 6 if remembered else 4)
                if index:
                    name = self._entry(index)[0]
                else:
                    name, at = _text(block, at)
                value, at = _text(block, at)
                if remembered:
                    changed = True
                    self._add(name, value)
            fields[name] = value
        return fields, changed

    def _entry(self, index: int) -> tuple[bytes, bytes]:
        if not index:
            raise HeaderError("it names entry 0, which no table has")
        return _STATIC[index - 1] if index <= len(_STATIC) else self._entries[index - len(_STATIC) - 1]

    def _add(self, name: bytes, value: bytes) -> None:
        self._entries.insert(0, (name, value))
        self._bytes += len(name) + len(value) + _ENTRY_BYTES
        self._evict()

    def _evict(self) -> None:
        while self._bytes > self._limit:
            name, value = self._entries.pop()
            self._bytes -= len(name) + len(value) + _ENTRY_BYTES


def literal(name: bytes, value: bytes) -> bytes:
    """A field as it is sent. Each of the two is shorter than 127 bytes."""
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


def _integer(block: bytes, at: int, bits: int) -> tuple[int, int]:
    """A number (section 5.1) that begins in the lower `bits` of a byte, and where what follows it begins."""
    most = (1 << bits) - 1
    value = block[at] & most
    at += 1
    if value < most:
        return value, at
    for shift in range(0, 28, 7):
        part = block[at]
        at += 1
        value += (part & 0x7F) << shift
        if part < 0x80:
            return value, at
    raise HeaderError("a number in it is too large")


def _text(block: bytes, at: int) -> tuple[bytes, int]:
    coded = block[at] & 0x80
    length, at = _integer(block, at, 7)
    end = at + length
    if end > len(block):
        raise HeaderError("a text in it ends too early")
    return (_decode(block[at:end]) if coded else block[at:end]), end


def _decode(coded: bytes) -> bytes:
    """A text in Huffman's code (section 5.2)."""
    codes = _codes()
    text = bytearray()
    code = length = 0
    for byte in coded:
        for shift in range(7, -1, -1):
            code, length = code << 1 | (byte >> shift & 1), length + 1
            found = codes.get((length, code))
            if found is not None:
                text.append(found)
                code = length = 0
    if length > 7 or code != (1 << length) - 1:
        raise HeaderError("a text in it isn't in Huffman's code")
    return bytes(text)


@cache
def _codes() -> dict[tuple[int, int], int]:
    """The byte of each code, by the code's length and its bits as a number."""
    codes: dict[tuple[int, int], int] = {}
    code = before = 0
    for length, byte in sorted((length, byte) for byte, length in enumerate(_CODE_BITS)):
        code, before = code << length - before, length
        codes[length, code] = byte
        code += 1
    return codes
