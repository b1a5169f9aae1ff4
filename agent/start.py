"""Start an agent from what its user typed. Every error names the option, the value and the remedy."""

import asyncio
import os
import platform
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click
from click.core import ParameterSource

from agent.closed_memory import close_memory
from agent.engine.find import EngineNotFoundError, find_engine
from agent.failure import CodedError
from agent.identity import Home, HomeInUseError, IdentityError
from agent.job import Executor
from agent.options import AgentOptions
from agent.outbound import OutboundError, settle_environment
from agent.own_log import log_to_stderr
from agent.serve import Machine, Start, StartError, rotate_key, serve
from agent.update.supervised import Supervised
from agent.worker import Limits
from api.client import ApiError, UnreachableError
from api.contract.base import AgentKind


def run_agent(
    kind: AgentKind,
    options: AgentOptions,
    vendor_key: Callable[[Home], str | None],
    executor: Callable[[Machine], Executor],
    supervised: Supervised | None = None,
) -> None:
    """Run an agent until it is told to stop.

    `vendor_key` gives the public key that a build agent enrols with, `executor` what does its jobs, once it knows who it is.
    Raises click.ClickException.
    """
    close_memory()
    os.umask(0o077)
    start = replace(_start(kind, options), supervised=supervised)
    if options["stop_with_stdin"]:
        threading.Thread(target=_stop_with_stdin, name="stdin", daemon=True).start()
    own_log = log_to_stderr()
    _say_engine(options["engine"])
    with _plain_errors():
        settle_environment(os.environ, options["ca_file"], options["home"].absolute())
        asyncio.run(serve(start, own_log, vendor_key, executor))


def rotate_agent_key(url: str, home: Path, ca_file: Path | None = None) -> None:
    """Give a stopped agent a new key."""
    os.umask(0o077)
    _check_url(url)
    with _plain_errors():
        settle_environment(os.environ, ca_file, home.absolute())
        click.echo(f"Agent {asyncio.run(rotate_key(url, home))} has a new key.")


@contextmanager
def _plain_errors() -> Iterator[None]:
    try:
        yield
    except (StartError, HomeInUseError, IdentityError, OutboundError) as error:
        raise click.ClickException(str(error)) from None
    except ApiError as error:
        raise click.ClickException(f"{error}. {error.problem.remedy}".strip()) from None
    except UnreachableError as error:
        raise click.ClickException(f"{error}. {error.remedy}") from None
    except CodedError as error:
        raise click.ClickException(f"{error}. {error.failure.remedy}") from None


def _check_url(url: str) -> None:
    if not re.match(r"https?://[^/]", url):
        raise click.ClickException(f"--url {url!r} is not an address; write it like https://ims.example.com")


def _start(kind: AgentKind, options: AgentOptions) -> Start:
    if click.get_current_context().get_parameter_source("token") is ParameterSource.COMMANDLINE:
        click.echo("Warning: --token can be seen in the process list; use --token-file, or EXCLAVE_AGENT_TOKEN.", err=True)
    if options["stop_with_stdin"] and str(options["token_file"]) == "-":
        raise click.UsageError("--token-file - and --stop-with-stdin both read standard input; give a file")
    url, token, token_file = options["url"], options["token"], options["token_file"]
    _check_url(url)

    def read_token() -> str | None:
        if token or not token_file:
            return token
        if str(token_file) == "-":
            return sys.stdin.readline().strip()
        try:
            return token_file.read_text(encoding="ascii").strip()
        except UnicodeDecodeError:
            raise StartError(
                f"--token-file {token_file} has no token: it isn't plain text. Give the file that has the enrolment token."
            ) from None
        except OSError as error:
            raise StartError(
                f"--token-file {token_file} can't be read: {error.strerror}. Give the file that has the enrolment token."
            ) from None

    return Start(
        kind=kind,
        url=url,
        home=options["home"],
        name=options["name"] or _machine_name(kind),
        token=read_token,
        limits=Limits(slots=options["slots"]),
        once=options["once"],
        key_days=options["rotate_key_days"],
        say=click.echo,
    )


def _stop_with_stdin() -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _say_engine(configured: str | None) -> None:
    try:
        click.echo(f"Engine: {find_engine(configured, os.environ)}")
    except EngineNotFoundError as error:
        if configured:
            raise click.ClickException(f"--engine {configured}: {error}. {error.remedy}") from None
        click.echo(f"Engine: {error}. Only bundles that carry their own can be run. {error.remedy}")


def _machine_name(kind: AgentKind) -> str:
    host = re.sub(r"[^a-z0-9-]+", "-", platform.node().lower()).strip("-")
    return f"{kind}-{host}"[:63].rstrip("-")
