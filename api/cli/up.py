"""`exclave up`: an IMS on this machine, and a build agent beside it."""

import asyncio
import contextlib
import os
import re
import sys
from pathlib import Path

import click

from api.agents import service as agents
from api.contract.access import TokenCreated
from api.contract.agents import EnrollmentCreate
from api.ims import Ims
from api.server import DataInUseError, listen, lock, serve
from api.settings import Intervals, Settings, UnusableDataError

_RESTART_SECONDS = 5.0
_AGENT_STOP_SECONDS = 20.0
_EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - compared, not listened on


@click.command("up")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="EXCLAVE_DATA",
    default=Path("~/.exclave"),
    show_default=True,
    help="The folder for the database, the keys and the registry.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=8420, show_default=True, type=click.IntRange(0, 65535), help="0 takes any free port.")
@click.option("--public-url", help="Under which URL agents reach the IMS, if it isn't http://HOST:PORT (a proxy, TLS).")
@click.option("--url-file", type=click.Path(dir_okay=False, path_type=Path), help="Write the URL here once it answers.")
@click.option("--build-agent/--no-build-agent", default=True, show_default=True, help="Start a build agent beside the IMS.")
@click.option("--engine", envvar="EXCLAVE_ENGINE", help="The build agent's Terraform engine; found by itself if left out.")
@click.option(
    "--lease-seconds",
    default=Intervals.lease,
    show_default=True,
    type=click.FloatRange(1),
    help="So long may a job go without a sign of its agent.",
)
def up_command(
    data: Path,
    host: str,
    port: int,
    public_url: str | None,
    url_file: Path | None,
    build_agent: bool,
    engine: str | None,
    lease_seconds: float,
) -> None:
    """Start an IMS, with everything that it needs in one folder (--data).

    The first start makes an admin token, shows it once, and writes it to admin.token in that folder.
    """
    os.umask(0o077)
    if public_url is None and host in _EVERY_ADDRESS:
        raise click.UsageError(f"--host {host} listens on every address: say with --public-url which one agents use.")
    if public_url is not None and not re.match(r"https?://[^/\s]+", public_url):
        raise click.UsageError(f"--public-url {public_url!r} is not an address; write it like https://ims.example.com")
    data = data.expanduser().absolute()
    try:
        lock(data)
    except DataInUseError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"can't use {data}: {error.strerror}. Choose another folder with --data.") from None
    try:
        listener = listen(host, port)
    except OSError as error:
        raise click.ClickException(
            f"can't listen on {host}:{port}: {error.strerror}. Choose another --host or --port."
        ) from None
    url = public_url or f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
    heartbeat = min(Intervals.heartbeat, lease_seconds / 4)
    intervals = Intervals(lease=lease_seconds, heartbeat=heartbeat, unknown_before_requeue=min(30, lease_seconds))
    settings = Settings(data=data, public_url=url, intervals=intervals)

    async def ready(ims: Ims, token: TokenCreated | None) -> None:
        click.echo(f"The IMS answers at {url}")
        if token:
            click.echo(f"Admin token, shown only now: {token.secret}")
        click.echo(f"Token file: {settings.admin_token}")
        if url_file:
            _write_url(url_file, url)
        if build_agent:
            await _run_build_agent(ims, url, engine)

    if url_file:
        url_file.unlink(missing_ok=True)  # an earlier server's URL
    try:
        with listener:
            asyncio.run(serve(settings, listener, ready=ready))
    except UnusableDataError as error:
        raise click.ClickException(str(error)) from None
    click.echo("The IMS has stopped.")


def _write_url(file: Path, url: str) -> None:
    aside = file.with_suffix(".new")
    try:
        aside.write_text(url + "\n")
        aside.replace(file)  # whoever waits for the file must not read half of it
    except OSError as error:
        raise click.ClickException(f"can't write --url-file {file}: {error.strerror}.") from None


async def _run_build_agent(ims: Ims, url: str, engine: str | None) -> None:
    """Keep a build agent running as a process of its own, until cancelled."""
    home = ims.settings.data / "build-agent"
    # -P: a folder `api` where the user happens to stand must not be imported instead of ours.
    command = [sys.executable, "-P", "-m", "api.cli", "agent", "build", "--url", url, "--home", str(home), "--stop-with-stdin"]
    if engine:
        command += ["--engine", engine]
    while True:
        token = ims.settings.data / "build-agent.token"
        with_token = command
        if not (home / "identity.json").exists():
            made = await ims.db.write(
                "system",
                agents.create_enrollment,
                EnrollmentCreate(kind="build"),
                seconds=ims.settings.intervals.enrollment,
            )
            token.write_text(made.secret + "\n")
            with_token = [*command, "--token-file", str(token)]
        # The pipe is never written to: it closes when this process ends, be it by kill -9, and the agent then stops.
        # A session of its own: Ctrl-C reaches the IMS alone, which then stops the agent.
        process = await asyncio.create_subprocess_exec(*with_token, stdin=asyncio.subprocess.PIPE, start_new_session=True)
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            await _stop(process)
            raise
        finally:
            token.unlink(missing_ok=True)
        click.echo(f"The build agent ended with code {code}; it is started again in {_RESTART_SECONDS:g} s.", err=True)
        await asyncio.sleep(_RESTART_SECONDS)


async def _stop(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _AGENT_STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
