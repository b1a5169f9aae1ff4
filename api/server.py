"""Runs one IMS: the socket, uvicorn, the lock on the data folder, and a stop that keeps nobody waiting."""

import asyncio
import contextlib
import fcntl
import gc
import os
import socket
import ssl
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.server import HANDLED_SIGNALS

from api.app import create_app
from api.contract.access import TokenCreated
from api.db.doorbell import Doorbell
from api.db.transaction import Write
from api.ims import Ims
from api.settings import Settings, UnusableDataError
from api.tokens import service as tokens

STOP_SECONDS = 10
"""How long a stop waits for requests that are being answered."""


class DataInUseError(Exception):
    """Another process serves this data folder."""


def lock(data: Path) -> int:
    """`sole-writer` across processes: hold the folder until the process ends, however it ends. Returns the descriptor.

    Raises DataInUseError, which names the process that holds it, and OSError.
    """
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(data / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(handle, 20, 0).decode(errors="replace").strip()
        os.close(handle)
        who = f"another process (pid {holder})" if holder.isdigit() else "another process"
        raise DataInUseError(f"{who} serves {data}: stop it, or choose another folder with --data") from None
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)  # for people: the lock itself is what counts
    return handle


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any free one. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio sets TCP_NODELAY only then: 40 ms a request.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


class _Server(uvicorn.Server):
    """Says when it has started, and ends long polls as soon as it is asked to stop: uvicorn would wait for them.

    Unlike uvicorn's own, it doesn't raise the signal again when it has stopped: that would end the process before what runs
    beside the server is stopped, too.
    """

    def __init__(self, config: uvicorn.Config, doorbell: Doorbell) -> None:
        super().__init__(config)
        self._doorbell = doorbell
        self.answering = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.answering.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in HANDLED_SIGNALS:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in HANDLED_SIGNALS:
                loop.remove_signal_handler(number)

    def stop(self) -> None:
        """Stop as SIGTERM does."""
        self._doorbell.close()
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._doorbell.close()
        super().handle_exit(sig, frame)


async def ensure_admin_token(ims: Ims) -> TokenCreated | None:
    """Make the first admin token and write it to its file (mode 0600). None if the IMS has tokens already.

    The file comes before the commit: a kill in between leaves an IMS without a token, never one that nobody can enter.
    """

    def make(tx: Write) -> TokenCreated | None:
        token = tokens.first_admin(tx)
        if token:
            handle = os.open(ims.settings.admin_token, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "w") as file:
                file.write(token.secret + "\n")
                file.flush()
                os.fsync(file.fileno())
        return token

    return await ims.db.write("system", make)


def collect_seldom() -> None:
    """Tell the garbage collector that what the start has made will stay, and that rows come and go by the thousand.

    With its usual thresholds it takes a third of the time in which a busy IMS reads and writes rows. Its two young generations
    stay small, because it stops the process while it looks through one: what thousands of waiting agents have, 70 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 2, 100)
    sys.setswitchinterval(0.0005)


async def serve(
    settings: Settings,
    listener: socket.socket,
    *,
    ready: Callable[[Ims, TokenCreated | None], Coroutine[Any, Any, None]],
) -> None:
    """Serve until SIGINT or SIGTERM. `ready` runs beside the server, from its first answer on, and is cancelled by the stop.

    If `ready` fails, the server stops, and the error is raised. Raises UnusableDataError before anything is served.
    """
    doorbell = Doorbell()
    app = create_app(settings, doorbell=doorbell)
    ims: Ims = app.state.ims
    token = await ensure_admin_token(ims)
    config = uvicorn.Config(
        app,
        log_config=None,  # `configure_logging` has said where to, and what
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=[str(network) for network in settings.trusted_proxies],
        timeout_keep_alive=75,  # longer than an agent is silent between two polls, or its connection breaks under it
        timeout_graceful_shutdown=STOP_SECONDS,
        backlog=4096,
        ssl_certfile=settings.tls_certificate.expanduser() if settings.tls_certificate else None,
        ssl_keyfile=settings.tls_key.expanduser() if settings.tls_key else None,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise UnusableDataError(f"tls_certificate and tls_key can't be used: {error}") from None
    server = _Server(config, doorbell)
    beside = asyncio.create_task(_when_started(server, lambda: ready(ims, token)), name="beside-server")
    beside.add_done_callback(lambda task: server.stop() if not task.cancelled() and task.exception() else None)
    try:
        await server.serve(sockets=[listener])
    finally:
        beside.cancel()
        await asyncio.wait([beside])
    if not beside.cancelled():
        beside.result()


async def _when_started(server: _Server, ready: Callable[[], Coroutine[Any, Any, None]]) -> None:
    await server.answering.wait()
    collect_seldom()
    await ready()
