"""The bytes of one blob on their way from one registry into another, hashed as they pass. Blocks: for threads.

Whatever breaks off can go on where it was: the source by a range (RFC 9110, section 14.2), the target where its upload protocol
says how much it has. The state of the hash is kept every so often, so that what the target has lost is read again, but not all.
"""

import hashlib
import re
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse

import httpx

from agent.oci.errors import BadAnswerError, DigestMismatchError
from agent.oci.retry import RETRY_STATUSES
from agent.oci.transport import Address, Answer, busy
from agent.oci.wire import CutError, Wire, cut

BUFFER_BYTES = 512 * 1024
CHECKPOINT_BYTES = 16 * 1024 * 1024
_ANSWER_BYTES = 64 * 1024
_FRUITLESS = 3
"""A source that breaks off so often in a row without a single byte is given up for now."""
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(?:\d+|\*)")


@dataclass(frozen=True)
class Wires:
    """Of the source and of the target: two, as both may be the same registry."""

    source: Wire = field(default_factory=Wire)
    target: Wire = field(default_factory=Wire)

    def stop(self) -> None:
        """Break off what a thread does with them."""
        self.source.stop()
        self.target.stop()

    def close(self) -> None:
        """Close all connections."""
        self.source.close()
        self.target.close()


class SourceAnswerError(Exception):
    """The source answers something else than the blob: a challenge, a redirect, or a refusal."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"the source answers {answer.status}")
        self.answer = answer


class Pump:
    """One blob, for one call of `run` after the other. `progress` hears, in the thread of `run`, how much the target has.

    `kept` is how much that is; `begun` says whether a PUT was begun since the last `rewind`.
    """

    def __init__(self, digest: str, size: int, progress: Callable[[int], None]) -> None:
        self._digest = digest
        self._size = size
        self._progress = progress
        self._checkpoints = [(0, hashlib.sha256())]
        self._buffer = memoryview(b"")
        self.rewind(0)

    def rewind(self, kept: int) -> None:
        """Go on where the target is: it has `kept` bytes. Some before them may be read again, for the hash."""
        self.kept = kept
        self.begun = False
        while self._checkpoints[-1][0] > kept:
            self._checkpoints.pop()
        self._read, state = self._checkpoints[-1]
        self._hash = state.copy()

    def run(self, wires: "Wires", source: Address, put: Address) -> Answer:
        """Send what the target lacks in one PUT; gives its answer. Whatever ends this, `rewind` comes before the next call.

        A source that breaks off meanwhile is asked for the rest. Raises CutError, SourceAnswerError, BadAnswerError, and
        DigestMismatchError before the last byte is sent: the upload never completes with wrong ones.
        """
        self._buffer = memoryview(bytearray(min(BUFFER_BYTES, self._size)))
        blocks = self._blocks(wires.source, source)
        first = next(blocks, memoryview(b""))
        connection = wires.target.begin("PUT", put.url, {**put.headers, "Content-Length": str(self._size - self.kept)})
        self.begun = True
        finished = False
        try:
            self._send(connection, put.url, first)
            for block in blocks:
                self._send(connection, put.url, block)
            answer = _answer(wires.target.answer(connection, put.url), put.url)
            finished = True
            return answer
        except _EarlyAnswerError as early:
            return early.answer
        finally:
            blocks.close()
            if not finished:
                wires.target.drop(put.url)

    def _send(self, connection: HTTPConnection, url: httpx.URL, block: memoryview) -> None:
        if not block:
            return
        try:
            connection.send(block)
        except OSError as error:
            raise _early(connection, url, error) from None
        self.kept += len(block)
        self._progress(self.kept)

    def _blocks(self, wire: Wire, source: Address) -> Generator[memoryview, None, None]:
        """What the target lacks, hashed, and at the end checked before the last block is given."""
        fruitless = 0
        while self._read < self._size:
            before = self._read
            response = self._open(wire, source)
            try:
                while self._read < self._size:
                    block = self._fill(response)
                    if not block:
                        break
                    yield block
            finally:
                if not response.isclosed():
                    wire.drop(source.url)
            fruitless = fruitless + 1 if self._read == before else 0
            if fruitless == _FRUITLESS:
                raise cut(source.url, EOFError("it breaks off without a byte"))
        if not self._size:
            self._check()
            yield memoryview(b"")

    def _fill(self, response: HTTPResponse) -> memoryview:
        """The next block, without what the target has; empty at the end of what came."""
        while True:
            try:
                count = response.readinto(self._buffer[: self._size - self._read])
            except (OSError, HTTPException):
                count = 0
            if not count:
                return self._buffer[:0]
            begin = self._read
            self._read += count
            self._hash.update(self._buffer[:count])
            if self._read == self._size:
                self._check()
                if response.read(1):
                    raise DigestMismatchError(f"blob {self._digest} is longer than the {self._size} bytes of its descriptor")
            elif self._read - self._checkpoints[-1][0] >= CHECKPOINT_BYTES:
                self._checkpoints.append((self._read, self._hash.copy()))
            if self._read > self.kept:
                return self._buffer[max(self.kept - begin, 0) : count]

    def _open(self, wire: Wire, source: Address) -> HTTPResponse:
        """The blob from `read` on."""
        begin = self._read
        headers = {**source.headers, "Accept-Encoding": "identity"} | ({"Range": f"bytes={begin}-"} if begin else {})
        response = wire.get(source.url, headers)
        if response.status not in (200, 206):
            answer = _answer(response, source.url)
            if answer.status in RETRY_STATUSES:
                raise busy(answer)
            raise SourceAnswerError(answer)
        skip = begin
        if response.status == 206:
            match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
            if match is None or int(match[1]) != begin:
                wire.drop(source.url)
                raise BadAnswerError(f"blob {self._digest}: asked for the bytes from {begin} on, the source sends others")
            skip = 0
        if response.length is not None and response.length != self._size - begin + skip:
            wire.drop(source.url)
            raise DigestMismatchError(
                f"blob {self._digest} has {response.length + begin - skip} bytes, and its descriptor says {self._size}"
            )
        while skip:
            try:
                count = response.readinto(self._buffer[:skip])
            except (OSError, HTTPException) as error:
                raise cut(source.url, error) from None
            if not count:
                raise cut(source.url, EOFError("it breaks off"))
            skip -= count
        return response

    def _check(self) -> None:
        found = "sha256:" + self._hash.hexdigest()
        if found != self._digest:
            raise DigestMismatchError(f"blob {self._digest} isn't what its digest says: its content is {found}")


class _EarlyAnswerError(Exception):
    """The target has answered before it had everything, and hung up."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"the target answers {answer.status}")
        self.answer = answer


def _early(connection: HTTPConnection, url: httpx.URL, error: OSError) -> Exception:
    """Why the target has hung up: its answer, if there is one, or the cut."""
    try:
        answer = _answer(connection.getresponse(), url)
    except (OSError, HTTPException, CutError):
        return cut(url, error)
    return _EarlyAnswerError(answer)


def _answer(response: HTTPResponse, url: httpx.URL) -> Answer:
    try:
        body = response.read(_ANSWER_BYTES)
    except (OSError, HTTPException) as error:
        raise cut(url, error) from None
    finally:
        response.close()
    return Answer(url, response.status, httpx.Headers(response.getheaders()), body)
