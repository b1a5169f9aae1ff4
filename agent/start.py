"""Start an agent from what its user typed. Every error names the option, the value and the remedy."""

import asyncio
import os
import platform
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import click
from click.core import ParameterSource

from agent.closed_memory import close_memory
from agent.engine.find import EngineNotFoundError, find_engine
from agent.failure import CodedError
from agent.identity import VERSION, Home, HomeInUseError, IdentityError
from agent.install.approvals import Approvals, Mode
from agent.install.executor import InstallExecutor
from agent.install.registries import CustomerRegistry, cloud_of, read_writer
from agent.install.site import Site
from agent.install.workspace import Components
from agent.job import Executor
from agent.oci.kms_key import open_key
from agent.oci.vendor_key import VendorKey
from agent.options import AgentOptions
from agent.outbound import OutboundError, settle_environment
from agent.own_log import log_to_stderr
from agent.policy.read import PolicyFileError
from agent.secrets.resolve import ENV_PREFIX, Resolver
from agent.serve import Machine, Start, StartError, rotate_key, serve
from agent.state.backend import read_backend
from agent.state.place import chosen, open_states
from agent.trust.notices import Notices, read_revocations
from agent.update.job import Updates, note_end
from agent.update.supervised import Supervised
from agent.update.versions import Versions
from agent.worker import Limits
from api.client import ApiError, UnreachableError
from api.contract.base import AgentKind


def start_build_agent(
    options: AgentOptions,
    signing_key: str | None = None,
    allowed_sources: Sequence[str] = (),
    previous_key: str | None = None,
    revoked: Path | None = None,
) -> None:
    """Run a build agent until it is told to stop. `signing_key` as in `open_key`, `allowed_sources` as in `check_origins`.

    `previous_key` and the file `revoked` are what it says with its signatures, see `Notices`. Raises click.ClickException.
    """
    from agent.build_executor import BuildExecutor  # 3 MB, for which an install agent has no use
    from agent.bundle.hcl import warm_up

    opened: list[VendorKey] = []

    def key(home: Home) -> VendorKey:
        if not opened:
            opened.append(open_key(signing_key, home.folder))
        return opened[0]

    def executor(machine: Machine) -> Executor:
        work = machine.home.folder / "builds"
        return BuildExecutor(
            work,
            key(machine.home),
            machine.registries,
            options["engine"],
            os.environ,
            sealing_key=machine.identity.sealing_key,
            resolver=Resolver(os.environ, ENV_PREFIX, machine.home.folder / "secrets"),
            allowed_sources=allowed_sources,
            notices=Notices(
                previous=open_key(previous_key, machine.home.folder) if previous_key else None,
                revoked=read_revocations(revoked) if revoked else (),
            ),
        )

    threading.Thread(target=warm_up, name="warm-up", daemon=True).start()  # or the first build waits a second for it
    _run("build", options, lambda home: key(home).public_pem, executor)


def start_install_agent(
    options: AgentOptions,
    registry_credentials: Path,
    approval: Mode | None,
    secrets_dir: Path | None = None,
    secrets_env_prefix: str = ENV_PREFIX,
    policy: Path | None = None,
    kubeconfig: Path | None = None,
    kube_context: str | None = None,
    state: str | None = None,
    state_key: str | None = None,
) -> None:
    """Run an install agent until it is told to stop. `approval`, `state` and `state_key` None keep what an earlier start said.

    A policy that can't be used doesn't keep the agent from starting: each job fails and says why, until it can.
    Raises click.ClickException.
    """
    try:
        writer = read_writer(registry_credentials)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it isn't such a file"
        raise click.ClickException(
            f"--registry-credentials {registry_credentials} can't be read: {reason}. "
            "Give the writer.json in the data folder of `exclave registry`, or a file that names your cloud's registry."
        ) from None

    def executor(machine: Machine) -> Executor:
        enrolled = machine.identity.enrolled
        approvals = Approvals(machine.home.folder)
        if approval:
            approvals.choose(approval)
        folder, install = machine.home.folder, enrolled.install_id or ""
        place = chosen(folder, install, enrolled.agent_id, state, state_key)
        site = Site(
            install_id=install,
            app_name=enrolled.app_name or "",  # an install has one; no name at all fits no signature
            components=Components(machine.home.folder),
            registry=CustomerRegistry(writer, machine.registries, cloud_of(writer)),
            vendor_keys=tuple(enrolled.vendor_keys),
            engine=options["engine"],
            env=os.environ,
            http=machine.registries,
            approvals=approvals,
            sealing_key=machine.identity.sealing_key,
            resolver=Resolver(os.environ, secrets_env_prefix, secrets_dir or machine.home.folder / "secrets"),
            states=None if place.backend else open_states(place, folder, install, enrolled.agent_id),
            backend=read_backend(place.backend, install) if place.backend else None,
            policy_file=policy.absolute() if policy else None,
            kubeconfig=kubeconfig.absolute() if kubeconfig else None,
            kube_context=kube_context,
        )
        _say_rules(site)
        site.ledger.append("agent.started", agent=enrolled.agent_id, install=enrolled.install_id, version=VERSION)
        updates = Updates(Versions(folder), supervised)
        note_end(updates.versions, site.ledger)
        if supervised:
            supervised.when_held = partial(note_end, updates.versions, site.ledger)
        return InstallExecutor(site, updates)

    supervised = Supervised.of_environment(os.environ)
    _run("install", options, lambda _: None, executor, supervised)


def _run(
    kind: AgentKind,
    options: AgentOptions,
    vendor_key: Callable[[Home], str | None],
    executor: Callable[[Machine], Executor],
    supervised: Supervised | None = None,
) -> None:
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


def _say_rules(site: Site) -> None:
    try:
        policy = site.rules.load()
    except PolicyFileError as error:
        click.echo(f"Policy: {error}\nNothing runs until it is right. {error.failure.remedy}", err=True)
        return
    click.echo(
        f"Policy: {site.rules.path} is {policy.digest}" if policy.digest else "Policy: none; all that is signed may run."
    )
    if policy.paused:
        click.echo(f"The agent is {policy.paused}. Nothing begins until `exclave agent resume`.")


def _machine_name(kind: AgentKind) -> str:
    host = re.sub(r"[^a-z0-9-]+", "-", platform.node().lower()).strip("-")
    return f"{kind}-{host}"[:63].rstrip("-")
