"""`exclave up`: an IMS on this machine, and a build agent beside it."""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click

from api.agents import service as agents
from api.cli.settings_options import effective_settings, settings_options
from api.contract.access import TokenCreated
from api.contract.enrollment import EnrollmentCreate
from api.ims import Ims
from api.monitoring.log import configure_logging
from api.server import DataInUseError, listen, lock, serve
from api.settings import UnusableDataError

_RESTART_SECONDS = 5.0
_AGENT_STOP_SECONDS = 20.0
_FILE = click.Path(dir_okay=False, path_type=Path)
_EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - compared, not listened on


@click.command("up")
@settings_options
@click.option("--host", help="The address to listen on. [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="0 takes any free port. [default: 8420]")
@click.option("--public-url", help="Under which URL agents reach the IMS, if it isn't http://HOST:PORT (a proxy, TLS).")
@click.option("--tls-certificate", type=_FILE, help="A PEM file: the IMS speaks https itself, where no proxy does.")
@click.option("--tls-key", type=_FILE, help="A PEM file with the certificate's key.")
@click.option("--url-file", type=click.Path(dir_okay=False, path_type=Path), help="Write the URL here once it answers.")
@click.option("--build-agent/--no-build-agent", default=None, help="Start a build agent beside the IMS. [default: do]")
@click.option("--engine", help="The build agent's Terraform engine; found by itself if left out.")
@click.option(
    "--secrets-key",
    help="What encrypts the keys of secret values: file:PATH, awskms:KEY or gcpkms:KEY. [default: file:secrets.key in --data]",
)
@click.option(
    "--lease-seconds", type=click.FloatRange(1), help="So long may a job go without a sign of its agent. [default: 120]"
)
@click.option(
    "--webhooks-allow-private",
    multiple=True,
    metavar="CIDR",
    help="A network that isn't public, such as 10.1.0.0/16, to which webhooks may be sent all the same; also by plain http.",
)
@click.option(
    "--retention-jobs-days",
    type=click.IntRange(1),
    help="Forget jobs so many days after they ended; kept for ever if left out.",
)
def up_command(
    data: Path | None,
    config: Path | None,
    host: str | None,
    port: int | None,
    public_url: str | None,
    tls_certificate: Path | None,
    tls_key: Path | None,
    url_file: Path | None,
    build_agent: bool | None,
    engine: str | None,
    secrets_key: str | None,
    lease_seconds: float | None,
    webhooks_allow_private: tuple[str, ...],
    retention_jobs_days: int | None,
) -> None:
    """Start an IMS, with everything that it needs in one folder (--data).

    What isn't given here is taken from the environment (EXCLAVE_…), then from the settings file: see `exclave config`. The
    first start makes an admin token and writes it to admin.token in the data folder; a terminal is shown it, once.
    """
    os.umask(0o077)
    settings = effective_settings(
        config,
        data=data,
        host=host,
        port=port,
        public_url=public_url,
        tls_certificate=tls_certificate,
        tls_key=tls_key,
        build_agent=build_agent,
        engine=engine,
        secrets_key=secrets_key,
        webhooks_allow_private=webhooks_allow_private or None,
        retention_jobs_days=retention_jobs_days,
        intervals__lease=lease_seconds,
    )
    if not settings.public_url and settings.host in _EVERY_ADDRESS:
        raise click.UsageError(f"--host {settings.host} listens on every address: say with --public-url which one agents use.")
    if settings.build_agent and settings.engine:
        _check_engine(settings.engine)
    try:
        lock(settings.data)
    except DataInUseError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"can't use {settings.data}: {error.strerror}. Choose another folder with --data.") from None
    try:
        listener = listen(settings.host, settings.port)
    except OSError as error:
        raise click.ClickException(
            f"can't listen on {settings.host}:{settings.port}: {error.strerror}. Choose another --host or --port."
        ) from None
    named = f"[{settings.host}]" if ":" in settings.host else settings.host
    scheme = "https" if settings.tls_certificate else "http"
    url = settings.public_url or f"{scheme}://{named}:{listener.getsockname()[1]}"
    settings = replace(settings, public_url=url)

    configure_logging(settings)

    async def ready(ims: Ims, token: TokenCreated | None) -> None:
        click.echo(f"The IMS answers at {url}")
        if token and sys.stdout.isatty():  # what isn't a terminal may be a log, which others read
            click.echo(f"Admin token, shown only now: {token.secret}")
        if settings.admin_token.exists():  # it is with the replica that made it
            click.echo(f"Token file: {settings.admin_token}")
        if url_file:
            _write_url(url_file, url)
        if settings.build_agent:
            await _run_build_agent(ims, url, settings.engine)

    if url_file:
        url_file.unlink(missing_ok=True)  # an earlier server's URL
    try:
        with listener, asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(serve(settings, listener, ready=ready))
    except UnusableDataError as error:
        raise click.ClickException(str(error)) from None
    click.echo("The IMS has stopped.")


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop, which serves half as much again, where there is one for the platform."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _write_url(file: Path, url: str) -> None:
    aside = file.with_suffix(".new")
    try:
        aside.write_text(url + "\n")
        aside.replace(file)  # whoever waits for the file must not read half of it
    except OSError as error:
        raise click.ClickException(f"can't write --url-file {file}: {error.strerror}.") from None


def _check_engine(engine: str) -> None:
    """Ask the engine that the build agent is going to use for its version. Raises click.ClickException."""
    command = [sys.executable, "-P", "-m", "api.cli", "terraform", "version"]
    environment = os.environ | {"EXCLAVE_ENGINE": engine}
    asked = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if asked.returncode:
        said = asked.stderr.strip().removeprefix("Error: ")
        raise click.ClickException(f"--engine {engine} can't be used: {said}")


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
