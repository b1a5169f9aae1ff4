"""Blobs that break off on their way, and registries that want to be left alone for a while.

The registries here are scripts, because a real one can't be told to hang up after so many bytes; what they say is what the
distribution specification (1.1) and RFC 9110 say. `tests/agent/oci/test_copy.py` has the real ones.
"""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import httpx
import pytest
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream
from registry_server import sha256

from agent.oci.client import RegistryClient
from agent.oci.errors import AccessRefusedError, BadAnswerError, DigestMismatchError, RegistryUnavailableError
from agent.oci.pump import CHECKPOINT_BYTES
from agent.oci.retry import RetryPolicy
from agent.oci.token import Credential
from agent.oci.transfer import Lanes, Place

pytestmark = pytest.mark.anyio

BLOB = bytes(range(256)) * 8192  # 2 MiB
DIGEST = sha256(BLOB)


@dataclass
class Wanted:
    """One request, and what was answered to it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""


@dataclass
class Host:
    """A server of a few lines. `answer` gives status, headers, body, and after how many bytes of it to hang up."""

    answer: Callable[[Wanted], tuple[int, dict[str, str], bytes, int | None]]
    most: Callable[[Wanted], int | None] = lambda wanted: None
    seen: list[Wanted] = field(default_factory=list)
    url: str = ""

    async def handle(self, connection: SocketStream) -> None:
        """Answer one connection's requests."""
        try:
            async with connection:
                await self._serve(connection)
        except (anyio.IncompleteRead, anyio.EndOfStream, anyio.BrokenResourceError):
            pass  # the client has hung up

    async def _serve(self, connection: SocketStream) -> None:
        incoming = BufferedByteReceiveStream(connection)
        while True:
            head = await incoming.receive_until(b"\r\n\r\n", 64 * 1024)
            first, *lines = head.decode().split("\r\n")
            method, path, _ = first.split(" ")
            pairs = (line.partition(":") for line in lines if line)
            wanted = Wanted(method, path, {name.lower(): value.strip() for name, _, value in pairs})
            self.seen.append(wanted)
            length = int(wanted.headers.get("content-length", "0"))
            most = self.most(wanted)
            wanted.body = await incoming.receive_exactly(length if most is None else min(most, length))
            if most is not None and most < length:
                return
            status, headers, body, stop = self.answer(wanted)
            headers = {"Content-Length": str(len(body))} | headers
            text = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            await connection.send(f"HTTP/1.1 {status} X\r\n{text}\r\n".encode() + (b"" if method == "HEAD" else body[:stop]))
            if stop is not None:
                return


@asynccontextmanager
async def serve(host: Host) -> AsyncIterator[Host]:
    """Serve. At the end all connections are closed, also one that a client gave up before it was accepted."""
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, host.handle)
        host.url = f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
        yield host
        tasks.cancel_scope.cancel()


def blob_of(content: bytes, *, stop: Callable[[int], int | None] = lambda begin: None, ranges: bool = True) -> Host:
    """A registry with one blob, which it gives from `begin` on, hanging up when `stop` says so."""

    def answer(wanted: Wanted) -> tuple[int, dict[str, str], bytes, int | None]:
        begin = int(re.sub(r"\D", "", wanted.headers.get("range", "0")))
        if not begin or not ranges:
            return 200, {}, content, stop(begin)
        return 206, {"Content-Range": f"bytes {begin}-{len(content) - 1}/{len(content)}"}, content[begin:], stop(begin)

    return Host(answer)


@dataclass
class Uploads:
    """A registry that takes uploads, and tells how far one is. `limit` says after how much of which PUT it hangs up."""

    limit: Callable[[int], int | None] = lambda number: None
    resumes: bool = True
    kept: dict[str, bytes] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    puts: int = 0

    def host(self) -> Host:
        return Host(self._answer, self._most)

    def _most(self, wanted: Wanted) -> int | None:
        if wanted.method != "PUT":
            return None
        self.puts += 1
        return self.limit(self.puts)

    def _answer(self, wanted: Wanted) -> tuple[int, dict[str, str], bytes, int | None]:
        path, _, query = wanted.path.partition("?")
        if wanted.method == "POST":
            self.kept[f"{path}{len(self.kept)}"] = b""
            return 202, {"Location": list(self.kept)[-1]}, b"", None
        if wanted.method == "GET":
            # What a cut PUT had brought is taken from its request, as a real registry has it on its disk.
            if not self.resumes:
                return 404, {}, b"", None
            return 204, {"Location": path, "Range": f"0-{max(len(self.kept[path]) - 1, 0)}"}, b"", None
        self.kept[path] += wanted.body
        digest = query.removeprefix("digest=")
        if sha256(self.kept[path]) != digest:
            return 400, {}, b'{"errors":[{"code":"DIGEST_INVALID","message":"x"}]}', None
        self.blobs[digest] = self.kept.pop(path)
        return 201, {}, b"", None


def keep_cut_bodies(uploads: Uploads, host: Host) -> None:
    """Let `uploads` have what came of a PUT that was cut off."""
    answer = host.answer

    def first_take(wanted: Wanted) -> tuple[int, dict[str, str], bytes, int | None]:
        for put in host.seen:
            path = put.path.partition("?")[0]
            if put.method == "PUT" and put is not wanted and path in uploads.kept and put.body:
                uploads.kept[path] += put.body
                put.body = b""
        return answer(wanted)

    host.answer = first_take


async def no_wait(seconds: float) -> None:
    pass


async def move(source: str, target: str, http: httpx.AsyncClient, content: bytes = BLOB, **settings: object) -> list[int]:
    """Move the blob; gives the progress."""
    retry = settings.get("retry", RetryPolicy(sleep=no_wait))
    assert isinstance(retry, RetryPolicy)
    seen: list[int] = []
    async with Lanes.open(1) as lanes, lanes.lane() as lane:
        here = Place(RegistryClient(source, None, http, retry=retry), "acme/app")
        there = Place(RegistryClient(target, None, http, retry=retry), "mirror/app")
        await lane.move(here, there, sha256(content), len(content), seen.append)
    return seen


async def test_a_blob_arrives_in_one_put_with_its_length(http: httpx.AsyncClient) -> None:
    uploads = Uploads()
    async with serve(blob_of(BLOB)) as source, serve(uploads.host()) as target:
        progress = await move(source.url, target.url, http)
    assert uploads.blobs == {DIGEST: BLOB}
    assert [(each.method, each.headers.get("content-length")) for each in target.seen] == [
        ("POST", "0"),
        ("PUT", str(len(BLOB))),
    ]
    assert progress[-1] == len(BLOB)


async def test_an_empty_blob_arrives(http: httpx.AsyncClient) -> None:
    uploads = Uploads()
    async with serve(blob_of(b"")) as source, serve(uploads.host()) as target:
        await move(source.url, target.url, http, b"")
    assert uploads.blobs == {sha256(b""): b""}


async def test_a_source_that_breaks_off_is_asked_for_the_rest_while_the_upload_goes_on(http: httpx.AsyncClient) -> None:
    uploads = Uploads()
    async with serve(blob_of(BLOB, stop=lambda begin: 700_000)) as source, serve(uploads.host()) as target:
        await move(source.url, target.url, http)
    assert uploads.blobs == {DIGEST: BLOB}
    assert uploads.puts == 1
    assert [each.headers.get("range") for each in source.seen] == [None, "bytes=700000-", "bytes=1400000-"]


async def test_a_source_without_ranges_is_read_again(http: httpx.AsyncClient) -> None:
    uploads = Uploads()
    stops = iter([900_000, None])
    async with serve(blob_of(BLOB, stop=lambda begin: next(stops), ranges=False)) as source, serve(uploads.host()) as target:
        await move(source.url, target.url, http)
    assert uploads.blobs == {DIGEST: BLOB}


async def test_a_source_that_sends_another_range_is_refused(http: httpx.AsyncClient) -> None:
    def answer(wanted: Wanted) -> tuple[int, dict[str, str], bytes, int | None]:
        if "range" in wanted.headers:
            return 206, {"Content-Range": f"bytes 5-{len(BLOB) - 1}/{len(BLOB)}"}, BLOB[5:], None
        return 200, {}, BLOB, 1000

    uploads = Uploads()
    async with serve(Host(answer)) as source, serve(uploads.host()) as target:
        with pytest.raises(BadAnswerError, match="others"):
            await move(source.url, target.url, http)
    assert not uploads.blobs


async def test_a_target_that_breaks_off_gets_the_rest(http: httpx.AsyncClient) -> None:
    content = hashlib.shake_128(b"seed").digest(CHECKPOINT_BYTES * 2 + 5)
    uploads = Uploads(limit=lambda number: CHECKPOINT_BYTES + 1_000_000 if number == 1 else None)
    host = uploads.host()
    keep_cut_bodies(uploads, host)
    async with serve(blob_of(content)) as source, serve(host) as target:
        await move(source.url, target.url, http, content)
    assert uploads.blobs == {sha256(content): content}
    last = target.seen[-1]
    kept = CHECKPOINT_BYTES + 1_000_000
    assert last.headers["content-range"] == f"{kept}-{len(content) - 1}"
    assert last.headers["content-length"] == str(len(content) - kept)
    assert [each.headers.get("range") for each in source.seen] == [None, f"bytes={CHECKPOINT_BYTES}-"]


async def test_a_target_that_has_forgotten_gets_everything_again(http: httpx.AsyncClient) -> None:
    uploads = Uploads(limit=lambda number: 1_000_000 if number == 1 else None, resumes=False)
    async with serve(blob_of(BLOB)) as source, serve(uploads.host()) as target:
        await move(source.url, target.url, http)
    assert uploads.blobs == {DIGEST: BLOB}
    assert [each.headers.get("content-range") for each in target.seen if each.method == "PUT"] == [None, None]


async def test_a_target_that_misunderstands_the_rest_gets_everything_again(http: httpx.AsyncClient) -> None:
    """As a registry does whose chunked uploads are broken: it keeps the last part only."""
    uploads = Uploads(limit=lambda number: 1_000_000 if number == 1 else None)
    host = uploads.host()
    answer = host.answer

    def forgetful(wanted: Wanted) -> tuple[int, dict[str, str], bytes, int | None]:
        if wanted.method == "GET":
            return 204, {"Location": wanted.path, "Range": "0-999999"}, b"", None
        return answer(wanted)

    host.answer = forgetful
    async with serve(blob_of(BLOB)) as source, serve(host) as target:
        await move(source.url, target.url, http)
    assert uploads.blobs == {DIGEST: BLOB}
    assert uploads.puts == 3


async def test_a_target_that_breaks_off_again_and_again_is_given_up(http: httpx.AsyncClient) -> None:
    uploads = Uploads(limit=lambda number: 1000, resumes=False)
    async with serve(blob_of(BLOB)) as source, serve(uploads.host()) as target:
        with pytest.raises(RegistryUnavailableError):
            await move(source.url, target.url, http)
    assert not uploads.blobs


async def test_a_refused_upload_says_why_and_is_not_tried_again(http: httpx.AsyncClient) -> None:
    def answer(wanted: Wanted) -> tuple[int, dict[str, str], bytes, int | None]:
        if wanted.method == "POST":
            return 202, {"Location": "/upload"}, b"", None
        return 403, {}, b'{"errors":[{"code":"DENIED","message":"over quota"}]}', None

    async with serve(blob_of(BLOB)) as source, serve(Host(answer)) as target:
        with pytest.raises(AccessRefusedError, match="over quota"):
            await move(source.url, target.url, http)
    assert [each.method for each in target.seen] == ["POST", "PUT"]


@pytest.mark.parametrize("status", [429, 502, 503, 504])
@pytest.mark.parametrize("side", ["source", "target"])
async def test_a_busy_registry_is_left_alone_as_long_as_it_asks(http: httpx.AsyncClient, status: int, side: str) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    def busy_once(host: Host, method: str) -> Host:
        answer = host.answer
        busy = iter([True])

        def first_busy(wanted: Wanted) -> tuple[int, dict[str, str], bytes, int | None]:
            if wanted.method == method and next(busy, False):
                return status, {"Retry-After": "11"}, b"", None
            return answer(wanted)

        host.answer = first_busy
        return host

    uploads = Uploads()
    source, target = blob_of(BLOB), uploads.host()
    busy_once(source, "GET") if side == "source" else busy_once(target, "PUT")
    async with serve(source), serve(target):
        await move(source.url, target.url, http, retry=RetryPolicy(sleep=sleep))
    assert waits == [11.0]
    assert uploads.blobs == {DIGEST: BLOB}


@pytest.mark.parametrize(
    ("content", "message"),
    [(BLOB[:-1] + b"\0", "isn't what its digest says"), (BLOB[:-1], "has 2097151 bytes"), (BLOB + b"!", "has 2097153 bytes")],
    ids=["changed", "truncated", "longer"],
)
async def test_wrong_bytes_never_complete_an_upload(http: httpx.AsyncClient, content: bytes, message: str) -> None:
    uploads = Uploads()
    async with serve(blob_of(content)) as source, serve(uploads.host()) as target:
        with pytest.raises(DigestMismatchError, match=message):
            await move(source.url, target.url, http)
    assert not uploads.blobs
    assert all(len(each.body) < len(BLOB) for each in target.seen)


async def test_bytes_tampered_with_after_a_cut_never_complete_an_upload(http: httpx.AsyncClient) -> None:
    def answer(wanted: Wanted) -> tuple[int, dict[str, str], bytes, int | None]:
        if "range" not in wanted.headers:
            return 200, {}, BLOB, 1_000_000
        rest = BLOB[1_000_000:-1] + b"\0"
        return 206, {"Content-Range": f"bytes 1000000-{len(BLOB) - 1}/{len(BLOB)}"}, rest, None

    uploads = Uploads()
    async with serve(Host(answer)) as source, serve(uploads.host()) as target:
        with pytest.raises(DigestMismatchError):
            await move(source.url, target.url, http)
    assert not uploads.blobs


async def test_a_credential_never_goes_along_with_a_redirect_to_another_host(http: httpx.AsyncClient) -> None:
    uploads = Uploads()
    async with serve(blob_of(BLOB)) as storage, serve(uploads.host()) as target:

        def answer(wanted: Wanted) -> tuple[int, dict[str, str], bytes, int | None]:
            if wanted.headers.get("authorization", "").startswith("Basic "):
                return 307, {"Location": f"{storage.url}/bucket?signed=1"}, b"", None
            return 401, {"WWW-Authenticate": 'Basic realm="x"'}, b"", None

        async with serve(Host(answer)) as source, Lanes.open(1) as lanes, lanes.lane() as lane:
            client = RegistryClient(source.url, Credential("user", "secret"), http)
            here, there = Place(client, "acme/app"), Place(RegistryClient(target.url, None, http), "mirror/app")
            await lane.move(here, there, DIGEST, len(BLOB), lambda kept: None)
    assert uploads.blobs == {DIGEST: BLOB}
    assert [each.path for each in storage.seen] == ["/bucket?signed=1"]
    assert "authorization" not in storage.seen[0].headers


async def test_a_cancelled_transfer_hangs_up(http: httpx.AsyncClient) -> None:
    uploads = Uploads()
    begun = asyncio.Event()
    gone = asyncio.Event()

    async def stuck(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            writer.close()
            return
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(BLOB)}\r\n\r\n".encode() + BLOB[:1000])
        begun.set()
        await reader.read()
        writer.close()
        gone.set()

    async with await asyncio.start_server(stuck, "127.0.0.1", 0) as source, serve(uploads.host()) as target:
        url = f"http://127.0.0.1:{source.sockets[0].getsockname()[1]}"
        moving = asyncio.create_task(move(url, target.url, http))
        await begun.wait()
        moving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await moving
        async with asyncio.timeout(240):
            await gone.wait()
    assert not uploads.blobs
