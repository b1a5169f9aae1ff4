"""`exclave up`: an IMS on this machine, and a build agent beside it."""

import asyncio
import contextlib
import os
import sys
from pathlib import Path

import click

from api.agents import service as agents
from api.contract.agents import EnrollmentCreate
from api.contract.resources import TokenCreated
from api.ims import Ims
from api.server import DataInUseError, listen, lock, serve
from api.settings import Intervals, Settings

_RESTART_SECONDS = 5.0
_AGENT_STOP_SECONDS = 20.0


@click.command("up")
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), envvar="EXCLAVE_DATA", default=Path("~/.exclave"))
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=8420, show_default=True, type=click.IntRange(0, 65535), help="0 takes any free port.")
@click.option("--public-url", help="Under which URL agents reach the IMS, if it isn't http://HOST:PORT (a proxy, TLS).")
@click.option("--url-file", type=click.Path(dir_okay=False, path_type=Path), help="Write the URL here once it answers.")
@click.option("--build-agent/--no-build-agent", default=True, show_default=True, help="Start a build agent beside the IMS.")
@click.option("--engine", envvar="EXCLAVE_ENGINE", help="The build agent's Terraform engine; found by itself if left out.")
@click.option("--lease-seconds", default=Intervals.lease, show_default=True, type=click.FloatRange(1), help="Of a job.")
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
        raise click.ClickException(f"can't listen on {host}:{port}: {error.strerror}. Choose another --port.") from None
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
            aside = url_file.with_suffix(".new")
            aside.write_text(url + "\n")
            aside.replace(url_file)  # whoever waits for the file must not read half of it
        if build_agent:
            await _run_build_agent(ims, url, engine)

    if url_file:
        url_file.unlink(missing_ok=True)  # an earlier server's URL
    asyncio.run(serve(settings, listener, ready=ready))
    click.echo("The IMS has stopped.")


async def _run_build_agent(ims: Ims, url: str, engine: str | None) -> None:
    """Keep a build agent running as a process of its own, until cancelled."""
    home = ims.settings.data / "build-agent"
    command = [sys.executable, "-m", "api.cli", "agent", "build", "--url", url, "--home", str(home), "--stop-with-stdin"]
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
        process = await asyncio.create_subprocess_exec(*with_token, stdin=asyncio.subprocess.PIPE)
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
