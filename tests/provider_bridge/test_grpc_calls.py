"""Calls over HTTP/2, made by another implementation of gRPC (grpcio). `test_http2_frames` sends what that never does."""

import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from http2_frames import HEADERS, PING, PREFACE, frame
from tls_clients import Client, client

from provider_bridge.protocol import certificate, serve
from provider_bridge.protocol.calls import Method, Server
from provider_bridge.protocol.channels import PlainChannel, TlsChannel

SECONDS = 120
LARGE = os.urandom(5 << 20)
"""Much more than any window is at first."""


class Offered:
    """The calls that the tests make, and what has become of them."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.is_ended = threading.Event()

    def method(self, path: str) -> Method | None:
        offered: dict[str, Callable[[], Method]] = {
            "/t/Echo": lambda: Method(bytes, bytes, waits=False),
            "/t/SlowEcho": lambda: Method(bytes, bytes),
            "/t/Wait": lambda: Method(bytes, self._wait),
            "/t/Fail": lambda: Method(bytes, self._fail),
            "/t/Count": lambda: Method(bytes, lambda request: (b"%d" % each for each in range(int(request)))),
            "/t/Endless": lambda: Method(bytes, self._endless),
            "/t/Held": lambda: Method(bytes, bytes, holds=True),
        }
        return offered[path]() if path in offered else None

    def _wait(self, request: bytes) -> bytes:
        assert self.go_on.wait(SECONDS)
        return request

    def _fail(self, request: bytes) -> bytes:
        raise LookupError(f"{request.decode()} is 100 % wrong\n")

    def _endless(self, request: bytes) -> Iterator[bytes]:
        try:
            while True:
                yield request
        finally:
            self.is_ended.set()


@pytest.fixture
def offered() -> Iterator[Offered]:
    offered = Offered()
    yield offered
    offered.go_on.set()


@pytest.fixture
def server(offered: Offered, tmp_path: Path) -> Iterator[Server]:
    server = Server(f"{tmp_path}/s", offered.method, PlainChannel, 8)
    yield server
    server.close(SECONDS)


@pytest.fixture
def channel(server: Server, tmp_path: Path) -> Iterator[Any]:
    limits = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(f"unix:{tmp_path}/s", options=limits) as channel:
        yield channel


@pytest.mark.parametrize("message", [b"", b"x", b"y" * 16_379, b"z" * 70_000, LARGE], ids=len)
@pytest.mark.parametrize("call", ["/t/Echo", "/t/SlowEcho"])
def test_messages_of_any_size_are_answered(channel: Any, call: str, message: bytes) -> None:
    assert channel.unary_unary(call)(message, timeout=SECONDS) == message


def test_many_calls_at_once_get_their_own_answers(channel: Any) -> None:
    calls = [channel.unary_unary(path) for path in ("/t/Echo", "/t/SlowEcho")]
    messages = [b"%d " % number * (number % 7 * 5000) for number in range(400)]
    with ThreadPoolExecutor(16) as threads:
        made = threads.map(lambda pair: calls[pair[0] % 2](pair[1], timeout=SECONDS), enumerate(messages))
        assert list(made) == messages


def test_a_call_that_waits_holds_up_no_other(channel: Any, offered: Offered) -> None:
    waiting = [channel.unary_unary("/t/Wait").future(b"%d" % number, timeout=SECONDS) for number in range(7)]
    assert channel.unary_unary("/t/SlowEcho")(b"x", timeout=SECONDS) == b"x"
    offered.go_on.set()
    assert [each.result() for each in waiting] == [b"%d" % number for number in range(7)]


def test_more_calls_than_threads_are_all_answered(channel: Any, offered: Offered) -> None:
    waiting = [channel.unary_unary("/t/Wait").future(b"%d" % number, timeout=SECONDS) for number in range(30)]
    assert channel.unary_unary("/t/Echo")(b"x", timeout=SECONDS) == b"x"
    offered.go_on.set()
    assert [each.result() for each in waiting] == [b"%d" % number for number in range(30)]


def test_a_call_that_nobody_offers_is_unimplemented(channel: Any) -> None:
    for _ in range(2):
        with pytest.raises(grpc.RpcError) as refused:
            channel.unary_unary("/t/Nothing")(LARGE, timeout=SECONDS)
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_what_goes_wrong_is_told_and_harms_nothing(channel: Any) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        channel.unary_unary("/t/Fail")(b"it", timeout=SECONDS)
    assert failed.value.code() is grpc.StatusCode.UNKNOWN
    assert failed.value.details() == "LookupError: it is 100 ? wrong?"
    assert channel.unary_unary("/t/Echo")(b"x", timeout=SECONDS) == b"x"


def test_responses_are_streamed_in_order(channel: Any) -> None:
    stream = channel.unary_stream("/t/Count")
    assert list(stream(b"500", timeout=SECONDS)) == [b"%d" % number for number in range(500)]
    assert list(stream(b"0", timeout=SECONDS)) == []


def test_a_stream_that_goes_wrong_ends_with_what_did(channel: Any) -> None:
    with pytest.raises(grpc.RpcError, match="ValueError: invalid literal"):
        list(channel.unary_stream("/t/Count")(b"many", timeout=SECONDS))


def test_a_stream_that_nobody_wants_any_more_ends(channel: Any, offered: Offered) -> None:
    stream = channel.unary_stream("/t/Endless")(b"x" * 1000, timeout=SECONDS)
    assert next(stream) == b"x" * 1000
    stream.cancel()
    assert offered.is_ended.wait(SECONDS)


def test_requests_that_come_in_a_stream_are_read_whole(channel: Any) -> None:
    assert channel.stream_unary("/t/Echo")(iter([b"first", b"second"]), timeout=SECONDS) == b"first"
    assert channel.stream_unary("/t/Echo")(iter([]), timeout=SECONDS) == b""


def test_a_held_stream_ends_well_when_the_server_does(offered: Offered, tmp_path: Path) -> None:
    server = Server(f"{tmp_path}/h", offered.method, PlainChannel, 8)
    quiet = [("grpc.http2.bdp_probe", 0)]  # a ping that the server takes no more would break the stream before its end is read
    with grpc.insecure_channel(f"unix:{tmp_path}/h", quiet) as channel:
        held = channel.unary_stream("/t/Held")(b"", timeout=SECONDS)
        assert channel.unary_unary("/t/Echo")(b"x", timeout=SECONDS) == b"x"
        server.close(SECONDS)
        assert list(held) == []
    assert not list(tmp_path.iterdir())


# Who is let in.


@pytest.fixture
def tls(offered: Offered, tmp_path: Path) -> Iterator["Tls"]:
    found = Tls(tmp_path, certificate.create(), client(ec.SECP256R1()), client(ec.SECP521R1()))
    context = serve._context((found.client.pem + found.strong_client.pem).decode())
    serve._load(context, found.ours, f"{tmp_path}/c")
    server = Server(f"{tmp_path}/s", offered.method, lambda connected: TlsChannel(connected, context), 8)
    yield found
    server.close(SECONDS)
    assert not (tmp_path / "c").exists(), "the key rests on the disk"


@dataclass(frozen=True)
class Tls:
    """A server with TLS, by its folder, and the certificates of both sides."""

    folder: Path
    ours: certificate.ServerCertificate
    client: Client
    strong_client: Client

    def call(self, mine: Client | None, message: bytes) -> bytes:
        """Make a call as a client with this certificate."""
        pair = (mine.key_pem, mine.pem) if mine else (None, None)
        credentials = grpc.ssl_channel_credentials(self.ours.pem, *pair)
        options = [("grpc.ssl_target_name_override", "localhost"), ("grpc.max_receive_message_length", -1)]
        with grpc.secure_channel(f"unix:{self.folder}/s", credentials, options) as channel:
            answer: bytes = channel.unary_unary("/t/SlowEcho")(message, timeout=SECONDS)
            return answer


@pytest.mark.parametrize("message", [b"", b"x", LARGE], ids=len)
def test_the_client_whose_certificate_we_know_is_let_in(tls: Tls, message: bytes) -> None:
    assert tls.call(tls.client, message) == message


def test_nobody_else_is_let_in(tls: Tls) -> None:
    for other in (None, client(ec.SECP256R1())):
        with pytest.raises(grpc.RpcError) as refused:
            tls.call(other, b"x")
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert tls.call(tls.client, b"x") == b"x"


def test_what_speaks_no_tls_is_hung_up_on(tls: Tls, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.socket(socket.AF_UNIX) as connected:
        connected.settimeout(SECONDS)
        connected.connect(f"{tls.folder}/s")
        connected.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        while connected.recv(1000):
            pass
    assert tls.call(tls.client, b"x") == b"x"
    assert "a client's connection ends" in capfd.readouterr().err


def test_a_client_of_go_plugins_form_is_let_in_and_can_check_our_side(tls: Tls) -> None:
    context = ssl.create_default_context(cadata=tls.ours.pem.decode())
    context.set_alpn_protocols(["h2"])
    pair = tls.folder / "pair.pem"
    pair.write_bytes(tls.strong_client.pem + tls.strong_client.key_pem)
    context.load_cert_chain(pair)
    with socket.socket(socket.AF_UNIX) as connected:
        connected.connect(f"{tls.folder}/s")
        with context.wrap_socket(connected, server_hostname="localhost") as secured:
            assert (secured.version(), secured.selected_alpn_protocol()) == ("TLSv1.3", "h2")
            secured.sendall(PREFACE + frame(PING, 0, 0, b"12345678"))
            assert secured.recv(1000)


def test_one_bad_client_harms_no_other(server: Server, channel: Any, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as connected:
        connected.settimeout(SECONDS)
        connected.connect(f"{tmp_path}/s")
        connected.sendall(PREFACE + frame(HEADERS, 4, 1, b"\x80"))
        while connected.recv(1000):
            pass
    assert channel.unary_unary("/t/Echo")(b"x", timeout=SECONDS) == b"x"


def test_threads_and_connections_go_with_the_server(offered: Offered, tmp_path: Path) -> None:
    server = Server(f"{tmp_path}/g", offered.method, PlainChannel, 8)
    with grpc.insecure_channel(f"unix:{tmp_path}/g") as channel:
        for call in ("/t/Echo", "/t/SlowEcho"):
            assert channel.unary_unary(call)(b"x", timeout=SECONDS) == b"x"
        server.close(SECONDS)
    deadline = time.monotonic() + SECONDS
    while any(thread.name in ("accept", "connection", "call") for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_client_that_comes_while_the_server_closes_is_no_trouble(
    offered: Offered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The one thread took the client, the other waited for a thread that hadn't begun, which can't be waited for.
    begins, start = threading.Event(), threading.Thread.start

    def slowly(thread: threading.Thread) -> None:
        if thread.name == "connection":
            begins.set()
            closing.join(0.5)  # as long as it waits for this one, or for ever
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", slowly)
    server, problems = Server(f"{tmp_path}/s", offered.method, PlainChannel, 8), list[BaseException]()

    def close() -> None:
        assert begins.wait(SECONDS)
        try:
            server.close(SECONDS)
        except BaseException as error:
            problems.append(error)

    closing = threading.Thread(target=close)
    closing.start()
    with socket.socket(socket.AF_UNIX) as connected:
        connected.connect(f"{tmp_path}/s")
        closing.join(SECONDS)
    assert not closing.is_alive()
    assert problems == []
