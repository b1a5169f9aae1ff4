"""The plugin's side of go-plugin: handshake, server on a private unix socket, standard streams, shutdown, reattach mode.

Nothing but the handshake line may ever be written to stdout: Terraform reads it. Logs go to stderr.
"""

import base64
import contextlib
import os
import select
import signal
import ssl
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Protocol

from provider_bridge.protocol import certificate
from provider_bridge.protocol.calls import Message, Method, Server
from provider_bridge.protocol.channels import PlainChannel, TlsChannel
from provider_bridge.records import Record

_COOKIE = ("TF_PLUGIN_MAGIC_COOKIE", "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2")
_MAX_SOCKET_PATH = 100
"""Bytes; sockaddr_un holds 104 on macOS and 108 on Linux."""

_THREADS = 64
"""As many calls run at once; Terraform's -parallelism is 10 by default. Threads are started as they are needed."""

_CHECK_SECONDS = 1.0
"""How often a server looks whether the process that started it is still there."""

_STOP_SECONDS = 2.0

_NEVER_WAIT = frozenset(
    (
        "GetMetadata",
        "GetProviderSchema",
        "GetResourceIdentitySchemas",
        "ValidateProviderConfig",
        "ValidateResourceConfig",
        "ValidateDataResourceConfig",
        "UpgradeResourceState",
        "UpgradeResourceIdentity",
        "StopProvider",
    )
)
"""Calls that look at nothing but their request."""


class NotAPluginRunError(Exception):
    """The process wasn't started by Terraform or OpenTofu. The text says so to whoever started it."""


class Answerer(Protocol):
    """What answers the calls of the service `tfplugin6.Provider`. Called from many threads at once."""

    def answer(self, call: str, request: Message) -> Message:
        """The response to one call (`"GetProviderSchema"`), or an iterator of responses where the call streams them."""


class _Listener(Record):
    """A server that takes calls."""

    server: Server
    folder: str
    certificate: str = ""
    """The server's certificate as base64 without padding; empty without TLS."""

    @property
    def socket(self) -> str:
        """The path of its socket."""
        return f"{self.folder}/s"

    def close(self) -> None:
        self.server.close(_STOP_SECONDS)
        os.rmdir(self.folder)  # noqa: PTH106


class _Loading:
    """An answerer that is made while Terraform connects. Calls wait for it."""

    def __init__(self) -> None:
        self._made: Answerer | None = None
        self._done = threading.Event()

    def load(self, make: Callable[[], Answerer]) -> None:
        """Make it. Raises what that raises; calls are then refused."""
        try:
            self._made = make()
        finally:
            self._done.set()

    def loaded(self) -> Answerer | None:
        """It, once it is made; None if it can't be."""
        self._done.wait()
        return self._made


class _Starter:
    """The Terraform process that started this one.

    It reads this one's stdout for as long as it lives, so that it is known to be gone whenever it went: also if that was before
    this process looked for the first time, when nothing is left of it to compare with. Where stdout is no pipe, the parent's id
    tells, if it goes later.
    """

    def __init__(self) -> None:
        self._parent = os.getppid()
        self._stdout = select.poll()
        # Asked for nothing, macOS tells of no hangup either.
        self._stdout.register(sys.stdout.fileno(), select.POLLOUT)

    def is_there(self) -> bool:
        """Whether it still runs."""
        return os.getppid() == self._parent and not any(
            seen & (select.POLLERR | select.POLLHUP) for _, seen in self._stdout.poll(0)
        )


class _End:
    """Signals that end the server.

    Each raises KeyboardInterrupt and is remembered: Python loses what is raised in a callback, such as those of its imports.
    """

    def __init__(self, *signals: signal.Signals) -> None:
        self.is_near = False
        for number in signals:
            signal.signal(number, self._come)

    def _come(self, number: int, frame: object) -> None:
        self.is_near = True
        raise KeyboardInterrupt


def serve_terraform(make: Callable[[], Answerer], environment: Mapping[str, str]) -> bool:
    """Answer the Terraform process that started this one, until it says `Shutdown` or is gone. Says whether it is still there.

    What answers is made, once, after the handshake: while it loads, Terraform connects. Raises NotAPluginRunError before
    anything is opened.
    """
    if environment.get(_COOKIE[0]) != _COOKIE[1]:
        raise NotAPluginRunError("this program is a Terraform plugin: it is started by `terraform` or `tofu`, not by hand")
    versions = environment.get("PLUGIN_PROTOCOL_VERSIONS", "6").split(",")
    if "6" not in versions:
        raise NotAPluginRunError(f"needs Terraform or OpenTofu with plugin protocol 6; this one speaks {', '.join(versions)}")
    # Terraform and its plugins share a process group: Ctrl-C reaches both, and Terraform alone decides what follows.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end = _End(signal.SIGTERM)
    done = threading.Event()
    starter = _Starter()
    loading = _Loading()
    listener = _listen(loading.loaded, done, environment, tls=bool(environment.get("PLUGIN_CLIENT_CERT")))
    handshake = f"1|6|unix|{listener.socket}|grpc|{listener.certificate}"
    _run(listener, handshake, done, lambda: not end.is_near and starter.is_there(), lambda: loading.load(make))
    return starter.is_there()


def serve_reattach(answerer: Answerer, environment: Mapping[str, str], address: str) -> None:
    """Answer any Terraform process that finds this one through the variable printed here, until SIGINT or SIGTERM.

    For development and tests: one process serves many runs, without TLS. `address` is the provider's source address.
    """
    end = _End(signal.SIGINT, signal.SIGTERM)
    listener = _listen(lambda: answerer, threading.Event(), environment, tls=False)
    hello = f"TF_REATTACH_PROVIDERS='{_reattach(listener, address)}'"
    _run(listener, hello, threading.Event(), lambda: not end.is_near, lambda: None)


@contextlib.contextmanager
def reattachable(answerer: Answerer, environment: Mapping[str, str], address: str) -> Iterator[str]:
    """Answer, in this process and inside the block, any Terraform that has the yielded text as TF_REATTACH_PROVIDERS."""
    done = threading.Event()
    listener = _listen(lambda: answerer, done, environment, tls=False)
    try:
        yield _reattach(listener, address)
    finally:
        done.set()
        listener.close()


def _reattach(listener: _Listener, address: str) -> str:
    import json

    found = {"Network": "unix", "String": listener.socket}
    return json.dumps({address: {"Protocol": "grpc", "ProtocolVersion": 6, "Pid": os.getpid(), "Test": True, "Addr": found}})


def _run(
    listener: _Listener, hello: str, done: threading.Event, is_wanted: Callable[[], bool], load: Callable[[], None]
) -> None:
    """Say `hello` on stdout and load the rest, then serve until the event, a signal, or nobody wants the server any more.

    The signal's handler raises instead of setting the event: it may interrupt the wait while that holds the event's lock.
    Nobody who reads `hello` is nobody who wants the server.
    """
    try:
        with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
            print(hello, flush=True)
            load()
            while not done.wait(_CHECK_SECONDS) and is_wanted():
                pass
    finally:
        listener.close()


def _listen(
    answerer: Callable[[], Answerer | None], done: threading.Event, environment: Mapping[str, str], *, tls: bool
) -> _Listener:
    methods = partial(_method, answerer, done)
    if not tls:
        folder = _private_folder(environment)
        return _Listener(Server(f"{folder}/s", methods, PlainChannel, _THREADS), folder)
    context = _context(environment["PLUGIN_CLIENT_CERT"])
    ours = certificate.create()
    folder = _private_folder(environment)
    _load(context, ours, f"{folder}/c")
    server = Server(f"{folder}/s", methods, lambda connected: TlsChannel(connected, context), _THREADS)
    return _Listener(server, folder, base64.b64encode(ours.der).rstrip(b"=").decode())


def _context(client: str) -> ssl.SSLContext:
    """What lets in the one client whose certificate this is. Raises NotAPluginRunError if it is none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0
    context.set_alpn_protocols(["h2"])
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_verify_locations(cadata=client)
    except (ssl.SSLError, ValueError) as error:
        raise NotAPluginRunError(f"PLUGIN_CLIENT_CERT holds no certificate: {error}") from None
    return context


def _load(context: ssl.SSLContext, ours: certificate.ServerCertificate, path: str) -> None:
    """Have the server's side be ours. The key is at `path` for a moment: OpenSSL reads it from a file."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123 - pathlib costs start time
        file.write(ours.pem + ours.key_pem)
    try:
        context.load_cert_chain(path)
    finally:
        os.unlink(path)  # noqa: PTH108


def _private_folder(environment: Mapping[str, str]) -> str:
    """A new folder that only this user can enter, under a path short enough for a socket."""
    parent = environment.get("PLUGIN_UNIX_SOCKET_DIR") or environment.get("TMPDIR") or "/tmp"  # noqa: S108 - a private folder in it
    name = f"tfplugin-{os.urandom(8).hex()}"
    if len(os.fsencode(f"{parent}/{name}/s")) > _MAX_SOCKET_PATH:
        parent = "/tmp"  # noqa: S108
    folder = f"{parent}/{name}"
    os.mkdir(folder, 0o700)  # noqa: PTH102
    return folder


def _method(answerer: Callable[[], Answerer | None], done: threading.Event, path: str) -> Method | None:
    """The call of this path. The provider's own are those that the compiled file lists, if there is an answerer."""
    if path == "/plugin.GRPCController/Shutdown":
        return Method(bytes, lambda _request: _shut_down(done), waits=False)
    if path == "/plugin.GRPCStdio/StreamStdio":
        # Terraform wants this stream open for as long as the plugin lives. Ours writes nothing to its standard streams but
        # logs, which reach Terraform through the pipe.
        return Method(bytes, bytes, holds=True)
    service, _, name = path[1:].rpartition("/")
    made = answerer()
    if made is None:
        return None
    from provider_bridge.protocol import tfplugin6_pb2 as pb

    known = pb.DESCRIPTOR.services_by_name["Provider"].methods_by_name
    if service != "tfplugin6.Provider" or name not in known:
        return None
    request = known[name].input_type._concrete_class

    def answer(message: Message) -> bytes | Iterator[bytes]:
        response = made.answer(name, message)
        if isinstance(response, Iterator):
            return (each.SerializeToString() for each in response)
        encoded: bytes = response.SerializeToString()
        return encoded

    return Method(request.FromString, answer, waits=name not in _NEVER_WAIT)


def _shut_down(done: threading.Event) -> bytes:
    done.set()
    return b""
