"""`exclave registry`: the built-in registry alone, as the registry of one customer's account.

The data folder has the storage in `registry/`, the key of its tokens, and the credentials (see `file_credentials`).
"""

import asyncio
import contextlib
import functools
import ipaddress
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import FrameType

import click
import uvicorn
from starlette.applications import Starlette

from api.registry import durable
from api.registry.app import create_registry
from api.registry.care import RegistryCare
from api.registry.collect import Collected
from api.registry.file_credentials import FileCredentials
from api.registry.options import settings_options
from api.registry.s3 import S3UnusableError
from api.registry.settings import RegistrySettings
from api.registry.storage import BlobsElsewhereError, RegistryStorage, StorageLockedError
from api.registry.tokens import TokenSigner

SERVICE = "exclave-registry"
"""What the registry calls itself: the audience and the issuer of its tokens."""

_GRACE_SECONDS = 10
"""So long may transfers go on after the signal to stop."""


@click.command("registry")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder for blobs, credentials and the token key; made if need be.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="The port; 0 takes any free one.")
@click.option(
    "--port-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the port into this file once the registry listens.",
)
@settings_options
def registry_command(data: Path | None, host: str, port: int, port_file: Path | None, settings: RegistrySettings) -> None:
    """Run an OCI registry for one customer's account.

    Two users are made on the first start: DATA/writer.json is for the install's agent, DATA/reader.json for everybody who
    pulls. Stop it with SIGTERM or Ctrl-C; transfers under way may end first.
    """
    if data is None:  # not `required`: `exclave registry gc` goes without
        raise click.UsageError("Missing option '--data'.")
    # Uvicorn ends its work on these signals and then raises them again, for whoever handled them before it: here, a clean exit.
    signal.signal(signal.SIGTERM, _exit)
    signal.signal(signal.SIGINT, _exit)
    try:
        storage = settings.open(data / "registry")
    except (StorageLockedError, BlobsElsewhereError, S3UnusableError) as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"can't keep a registry in {data}: {error.strerror}") from error
    with storage:
        try:
            listener = _listen(host, port)
        except OSError as error:
            raise click.ClickException(f"can't listen on {host} port {port}: {error.strerror or error}") from error
        with listener:
            _serve(storage, settings, listener, data, port_file)


def _serve(
    storage: RegistryStorage, settings: RegistrySettings, listener: socket.socket, data: Path, port_file: Path | None
) -> None:
    url = _url(listener)
    try:
        signer = TokenSigner.open(data / "token-key.pem", issuer=SERVICE)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    credentials = FileCredentials.open(data, url=url)
    care = RegistryCare(storage, settings)
    app = create_registry(
        storage,
        signer,
        credentials,
        service=SERVICE,
        under_way=care.uploads,
        read_only=settings.read_only,
        lifespan=functools.partial(_looked_after, care),
    )
    config = uvicorn.Config(
        app,
        lifespan="on",
        ws="none",
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    if port_file is not None:
        durable.write_file(port_file, f"{listener.getsockname()[1]}\n".encode())
    click.echo(f"The registry listens on {url}; the agent's credential is in {data / 'writer.json'}")
    uvicorn.Server(config).run(sockets=[listener])


@contextlib.asynccontextmanager
async def _looked_after(care: RegistryCare, _: Starlette) -> AsyncIterator[None]:
    async def tell(collected: Collected) -> None:
        click.echo(f"Removed {len(collected.blobs)} blobs that no manifest lists, {collected.freed} bytes.")

    task = asyncio.create_task(care.run(tell), name="registry-care")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _listen(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listener = socket.socket(family, kind, protocol)  # asyncio sets TCP_NODELAY only on a socket that names its protocol
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener


def _url(listener: socket.socket) -> str:
    """Where a client on this machine reaches the registry, also if it listens on every address."""
    host, port = listener.getsockname()[:2]
    address = ipaddress.ip_address(host)
    if address.is_unspecified:
        address = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
    return f"http://{address}:{port}" if address.version == 4 else f"http://[{address}]:{port}"


def _exit(number: int, frame: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    registry_command()
