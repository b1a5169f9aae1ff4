"""The plugin's side of go-plugin: handshake, server on a private unix socket, standard streams, shutdown, reattach mode.

Nothing but the handshake line may ever be written to stdout: Terraform reads it. Logs go to stderr.
"""

import base64
import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import grpc

from provider_bridge.protocol import certificate
from provider_bridge.protocol import tfplugin6_pb2 as pb

_COOKIE = ("TF_PLUGIN_MAGIC_COOKIE", "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2")
_MAX_MESSAGE_BYTES = 256 << 20
_MAX_SOCKET_PATH = 100
"""Bytes; sockaddr_un holds 104 on macOS and 108 on Linux."""

_THREADS = 64
"""As many calls run at once; Terraform's -parallelism is 10 by default. Threads are started as they are needed."""

_CHECK_SECONDS = 1.0
"""How often a server looks whether the process that started it is still there."""

_STOP_SECONDS = 2.0

Message = Any
"""A protobuf message. Its class is made at run time."""


class NotAPluginRunError(Exception):
    """The process wasn't started by Terraform or OpenTofu. The text says so to whoever started it."""


class Answerer(Protocol):
    """What answers the calls of the service `tfplugin6.Provider`. Called from many threads at once."""

    def answer(self, call: str, request: Message) -> Message:
        """The response to one call (`"GetProviderSchema"`), or an iterator of responses where the call streams them."""


@dataclass(frozen=True)
class _Listener:
    server: Any
    folder: str
    socket: str
    certificate: str
    """The server's certificate as base64 without padding; empty without TLS."""

    def close(self) -> None:
        self.server.stop(0.1).wait(_STOP_SECONDS)
        if os.path.exists(self.socket):  # noqa: PTH110 - pathlib costs start time here
            os.unlink(self.socket)  # noqa: PTH108
        os.rmdir(self.folder)  # noqa: PTH106


def serve_terraform(answerer: Answerer, environment: Mapping[str, str]) -> None:
    """Answer the Terraform process that started this one, until it says `Shutdown` or is gone.

    Raises NotAPluginRunError before anything is opened.
    """
    if environment.get(_COOKIE[0]) != _COOKIE[1]:
        raise NotAPluginRunError("this program is a Terraform plugin: it is started by `terraform` or `tofu`, not by hand")
    versions = environment.get("PLUGIN_PROTOCOL_VERSIONS", "6").split(",")
    if "6" not in versions:
        raise NotAPluginRunError(f"needs Terraform or OpenTofu with plugin protocol 6; this one speaks {', '.join(versions)}")
    # Terraform and its plugins share a process group: Ctrl-C reaches both, and Terraform alone decides what follows.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    done = threading.Event()
    parent = os.getppid()
    listener = _listen(answerer, done, environment, tls=bool(environment.get("PLUGIN_CLIENT_CERT")))
    handshake = f"1|6|unix|{listener.socket}|grpc|{listener.certificate}"
    _run(listener, handshake, done, lambda: os.getppid() == parent)


def serve_reattach(answerer: Answerer, environment: Mapping[str, str], address: str) -> None:
    """Answer any Terraform process that finds this one through the variable printed here, until SIGINT or SIGTERM.

    For development and tests: one process serves many runs, without TLS. `address` is the provider's source address.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    listener = _listen(answerer, threading.Event(), environment, tls=False, reattached=True)
    hello = f"TF_REATTACH_PROVIDERS='{_reattach(listener, address)}'"
    _run(listener, hello, threading.Event(), lambda: True)


@contextlib.contextmanager
def reattachable(answerer: Answerer, environment: Mapping[str, str], address: str) -> Iterator[str]:
    """Answer, in this process and inside the block, any Terraform that has the yielded text as TF_REATTACH_PROVIDERS."""
    done = threading.Event()
    listener = _listen(answerer, done, environment, tls=False, reattached=True)
    try:
        yield _reattach(listener, address)
    finally:
        done.set()
        listener.close()


def _reattach(listener: _Listener, address: str) -> str:
    import json

    found = {"Network": "unix", "String": listener.socket}
    return json.dumps({address: {"Protocol": "grpc", "ProtocolVersion": 6, "Pid": os.getpid(), "Test": True, "Addr": found}})


def _run(listener: _Listener, hello: str, done: threading.Event, is_wanted: Callable[[], bool]) -> None:
    """Say `hello` on stdout, then serve until the event, a signal, or nobody wants the server any more.

    The signal's handler raises instead of setting the event: it may interrupt the wait while that holds the event's lock.
    """
    try:
        with contextlib.suppress(KeyboardInterrupt):
            print(hello, flush=True)
            while not done.wait(_CHECK_SECONDS) and is_wanted():
                pass
    finally:
        listener.close()


def _listen(
    answerer: Answerer, done: threading.Event, environment: Mapping[str, str], *, tls: bool, reattached: bool = False
) -> _Listener:
    folder = _private_folder(environment)
    socket = f"{folder}/s"
    limits = [("grpc.max_send_message_length", _MAX_MESSAGE_BYTES), ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES)]
    server = grpc.server(ThreadPoolExecutor(_THREADS, "call"), options=limits)
    # Each Terraform that reattaches opens connections of its own, and `terraform test` one for each of its runs: their streams
    # would take all threads.
    server.add_generic_rpc_handlers((_router(answerer, done, streams=not reattached),))
    encoded = ""
    if tls:
        # The client's certificate isn't checked: it is P-521, which gRPC's TLS refuses. The folder's mode keeps others out.
        ours = certificate.create()
        server.add_secure_port(f"unix:{socket}", grpc.ssl_server_credentials([(ours.key_pem, ours.pem)]))
        encoded = base64.b64encode(ours.der).rstrip(b"=").decode()
    else:
        server.add_insecure_port(f"unix:{socket}")
    server.start()
    return _Listener(server, folder, socket, encoded)


def _private_folder(environment: Mapping[str, str]) -> str:
    """A new folder that only this user can enter, under a path short enough for a socket."""
    parent = environment.get("PLUGIN_UNIX_SOCKET_DIR") or environment.get("TMPDIR") or "/tmp"  # noqa: S108 - a private folder in it
    name = f"tfplugin-{os.urandom(8).hex()}"
    if len(os.fsencode(f"{parent}/{name}/s")) > _MAX_SOCKET_PATH:
        parent = "/tmp"  # noqa: S108
    folder = f"{parent}/{name}"
    os.mkdir(folder, 0o700)  # noqa: PTH102
    return folder


def _router(answerer: Answerer, done: threading.Event, *, streams: bool) -> Any:
    """Routes a call by its path, from the compiled file's own list of calls. `streams`: the output's stream stays open."""
    handlers = {
        "/plugin.GRPCController/Shutdown": grpc.unary_unary_rpc_method_handler(lambda _request, _context: _shut_down(done)),
        "/plugin.GRPCStdio/StreamStdio": grpc.unary_stream_rpc_method_handler(
            lambda _request, context: _no_output(done, context, streams=streams)
        ),
    }
    for name, method in pb.DESCRIPTOR.services_by_name["Provider"].methods_by_name.items():
        kind = ("stream_" if method.client_streaming else "unary_") + ("stream" if method.server_streaming else "unary")
        make = getattr(grpc, f"{kind}_rpc_method_handler")
        request, response = method.input_type._concrete_class, method.output_type._concrete_class
        handlers[f"/tfplugin6.Provider/{name}"] = make(
            _behaviour(answerer, name), request.FromString, response.SerializeToString
        )

    class Router(grpc.GenericRpcHandler):  # type: ignore[misc] # grpcio ships no types
        def service(self, details: Any) -> Any:
            return handlers.get(details.method)

    return Router()


def _behaviour(answerer: Answerer, call: str) -> Callable[[Message, Any], Message]:
    return lambda request, _context: answerer.answer(call, request)


def _shut_down(done: threading.Event) -> bytes:
    done.set()
    return b""


def _no_output(done: threading.Event, context: Any, *, streams: bool) -> Iterator[bytes]:
    # Terraform wants this stream open for as long as the plugin that it started lives. Ours writes nothing to its standard
    # streams but logs, which reach Terraform through the pipe. A server that outlives its client gets the stream's thread back.
    while streams and context.is_active() and not done.wait(_CHECK_SECONDS):
        pass
    yield from ()
