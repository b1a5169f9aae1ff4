"""`exclave agent build`, `exclave agent install` and `exclave terraform`."""

import asyncio
import os
import platform
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from agent.engine.find import EngineNotFoundError, find_engine
from agent.failure import CodedError
from agent.identity import Home, HomeInUseError, IdentityError
from agent.job import Executor
from agent.own_log import log_to_stderr
from agent.serve import Machine, Start, StartError, serve
from agent.worker import Limits
from api.client import ApiError, UnreachableError
from api.contract.base import AgentKind

Command = TypeVar("Command", bound=Callable[..., None])


@click.group("agent")
def agent_command() -> None:
    """Run a build agent (the vendor's) or an install agent (a customer's). Both make outbound calls only."""


def _options(command: Command) -> Command:
    """The options that both kinds of agent share."""
    for option in reversed(
        [
            click.option("--url", required=True, envvar="EXCLAVE_URL", help="The IMS's address."),
            click.option("--token", envvar="EXCLAVE_AGENT_TOKEN", help="The one-time enrolment token; for the first start."),
            click.option(
                "--token-file",
                type=click.Path(dir_okay=False, path_type=Path),
                help="A file with the token, which keeps it out of the process list.",
            ),
            click.option(
                "--home",
                required=True,
                type=click.Path(file_okay=False, path_type=Path),
                help="The agent's own folder: its key, its journal, and what it works on. Made if it isn't there.",
            ),
            click.option("--name", help="How the agent is shown; else made from this machine's name."),
            click.option("--engine", envvar="EXCLAVE_ENGINE", help="The Terraform or OpenTofu program; else found by itself."),
            click.option("--slots", type=click.IntRange(1, 64), default=Limits.slots, show_default=True, help="Jobs at once."),
            click.option("--once", is_flag=True, help="Stop when there is nothing left to do."),
        ]
    ):
        command = option(command)
    return command


@agent_command.command("build")
@_options
def build_command(
    url: str,
    token: str | None,
    token_file: Path | None,
    home: Path,
    name: str | None,
    engine: str | None,
    slots: int,
    once: bool,
) -> None:
    """Build components, sign them, and push them into the vendor's registry."""
    from agent.build_executor import BuildExecutor
    from agent.oci.vendor_key import VendorKey

    def vendor_key(at: Home) -> VendorKey:
        return VendorKey.load_or_create(at.folder / "vendor.key")

    def executor(machine: Machine) -> Executor:
        work = machine.home.folder / "builds"
        return BuildExecutor(work, vendor_key(machine.home), machine.registries, engine, os.environ)

    _run(
        _start("build", url, token, token_file, home, name, slots, once),
        engine,
        lambda at: vendor_key(at).public_pem,
        executor,
    )


@agent_command.command("install")
@_options
@click.option(
    "--registry-credentials",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The writer's file that `exclave registry` makes: url, username and password of the customer's registry.",
)
def install_command(
    url: str,
    token: str | None,
    token_file: Path | None,
    home: Path,
    name: str | None,
    engine: str | None,
    slots: int,
    once: bool,
    registry_credentials: Path,
) -> None:
    """Bring deploys into the customer's account that this machine is in."""
    from agent.install.executor import InstallExecutor
    from agent.install.site import RegistryWriter, Site
    from agent.install.workspace import Components

    try:
        registry = RegistryWriter.read(registry_credentials)
    except (OSError, ValueError) as error:
        raise click.ClickException(
            f"--registry-credentials {registry_credentials} can't be read: {_first_line(error)}. "
            "Give the writer.json in the data folder of `exclave registry`."
        ) from None

    def executor(machine: Machine) -> Executor:
        enrolled = machine.identity.enrolled
        return InstallExecutor(
            Site(
                install_id=enrolled.install_id or "",
                components=Components(machine.home.folder),
                registry=registry,
                vendor_keys=tuple(enrolled.vendor_keys),
                engine=engine,
                env=os.environ,
                http=machine.registries,
            )
        )

    _run(_start("install", url, token, token_file, home, name, slots, once), engine, lambda _: None, executor)


@click.command("terraform", context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def terraform_command(arguments: tuple[str, ...]) -> None:
    """Run the Terraform engine that Exclave found, for machines that have none on PATH: `exclave terraform -- ARGS`."""
    try:
        command = [*find_engine(None, os.environ).argv(), *arguments]
    except EngineNotFoundError as error:
        raise click.ClickException(f"{error}. {error.remedy}") from None
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted


def _start(
    kind: AgentKind, url: str, token: str | None, token_file: Path | None, home: Path, name: str | None, slots: int, once: bool
) -> Start:
    if not re.match(r"https?://[^/]", url):
        raise click.ClickException(f"--url {url!r} is not an address; write it like https://ims.example.com")

    def read_token() -> str | None:
        if token or not token_file:
            return token
        try:
            return token_file.read_text().strip()
        except OSError as error:
            raise StartError(f"--token-file {token_file} can't be read: {error.strerror}") from None

    return Start(kind, url, home, name or _machine_name(kind), read_token, Limits(slots=slots), once, click.echo)


def _run(
    start: Start,
    engine: str | None,
    vendor_key: Callable[[Home], str | None],
    executor: Callable[[Machine], Executor],
) -> None:
    os.umask(0o077)
    own_log = log_to_stderr()
    try:
        start.say(f"Engine: {find_engine(engine, os.environ)}")
    except EngineNotFoundError as error:
        if engine:
            raise click.ClickException(f"--engine {engine}: {error}. {error.remedy}") from None
        start.say(f"Engine: {error}. Only bundles that carry their own can be run. {error.remedy}")
    try:
        asyncio.run(serve(start, own_log, vendor_key, executor))
    except (StartError, HomeInUseError, IdentityError) as error:
        raise click.ClickException(str(error)) from None
    except ApiError as error:
        raise click.ClickException(" ".join(filter(None, (str(error), error.problem.remedy)))) from None
    except UnreachableError as error:
        raise click.ClickException(f"{error}. {error.remedy}") from None
    except CodedError as error:
        raise click.ClickException(f"{error}. {error.failure.remedy}") from None


def _machine_name(kind: AgentKind) -> str:
    host = re.sub(r"[^a-z0-9-]+", "-", platform.node().lower()).strip("-")
    return f"{kind}-{host}"[:63].rstrip("-")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
