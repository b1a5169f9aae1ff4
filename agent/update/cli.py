"""`exclave agent update` for the customer, `exclave agent publish` for the vendor, and what the supervisor calls."""

import asyncio
import getpass
import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from agent.options import AgentOptions

if TYPE_CHECKING:
    from agent.update.state import State
    from agent.update.versions import Versions

T = TypeVar("T")

_ca_file = click.option("--ca-file", envvar="EXCLAVE_CA_FILE", type=click.Path(dir_okay=False, path_type=Path), hidden=True)


def become_supervisor(options: AgentOptions) -> None:
    """Go on as the supervisor of the agent that was asked for."""
    from agent.identity import VERSION

    if options["once"] or options["stop_with_stdin"]:
        raise click.UsageError("--self-update is for an agent that stays: leave out --once and --stop-with-stdin")
    command = [sys.executable, "-P", "-m", "agent.update.supervise", "--base", VERSION]
    command += ["--home", str(options["home"]), "--url", options["url"]]
    command += ["--ca-file", str(options["ca_file"])] if options["ca_file"] else []
    os.execv(command[0], [*command, "--", *sys.argv[1:]])  # noqa: S606 - no shell is wanted


@click.command("update")
@click.option(
    "--home",
    required=True,
    envvar="EXCLAVE_AGENT_HOME",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder of the install agent, which may be running.",
)
@click.option("--check", is_flag=True, help="Only say what runs, what lies ready, and how the last update ended.")
@click.option("--to", "version", help="This version, of those that lie here, also an older one; `base` is what was installed.")
@click.option("--rollback", is_flag=True, help="Go back to what ran before; what runs now isn't tried again by itself.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def update_command(home: Path, check: bool, version: str | None, rollback: bool, as_json: bool) -> None:
    """Try the version that lies ready.

    Run it on the machine of the install agent. The vendor has signed the version. The agent ends what it does first, and what
    runs now comes back if the new version doesn't hold.
    """
    from agent.update.state import StateUnreadableError
    from agent.update.versions import Versions

    if check + rollback + (version is not None) > 1:
        raise click.UsageError("give one of --check, --to and --rollback")
    versions = Versions(home.absolute())
    try:
        if not check:
            _begin(versions, version, rollback)
        _tell(versions, as_json)
    except StateUnreadableError as error:
        raise click.ClickException(f"{versions.folder / 'state.json'} can't be read: {error}. Remove it.") from None


def _begin(versions: "Versions", version: str | None, rollback: bool) -> None:
    from agent.ledger.ledger import Ledger, LedgerUnwritableError
    from agent.update import state
    from agent.update.state import BASE, Trial

    now, current = versions.read(), versions.current()
    if not (versions.folder / "supervisor.lock").exists():
        raise click.ClickException("This agent isn't started with --self-update, and is updated by whoever starts it.")
    if now.trial:
        raise click.ClickException(f"An update to Exclave {now.trial.version} is under way.")
    target = version or (now.previous if rollback else now.offered.version if now.offered else "")
    if not target:
        raise click.ClickException("Nothing ran before." if rollback else "No version lies ready.")
    if target == now.base:
        target = BASE
    if target == current:
        raise click.ClickException(f"Exclave {target} is what runs.")
    if target != BASE and target not in versions.there():
        there = ", ".join([*versions.there(), BASE])
        raise click.ClickException(f"Exclave {target} doesn't lie here; there are: {there}.")
    if problem := versions.problem(target):
        raise click.ClickException(f"Exclave {target} can't be tried: {problem}.")
    trial = Trial(target, now.base if target == BASE else target, versions.digest(target), current)
    left = versions.digest(current) if rollback else ""
    try:
        Ledger(versions.home).append("update.begun", version=trial.version, digest=trial.digest, by=getpass.getuser())
    except LedgerUnwritableError as error:
        click.echo(f"Warning: {error}", err=True)
    versions.change(lambda found: state.staged(state.refusing(found, left), trial))


def _tell(versions: "Versions", as_json: bool) -> None:
    now, current = versions.read(), versions.current()
    if as_json:
        from dataclasses import asdict

        click.echo(json.dumps({"current": current, "there": versions.there(), **asdict(now)}))
        return
    for line in _told(now, current):
        click.echo(line)


def _told(now: "State", current: str) -> list[str]:
    from agent.update.state import BASE

    told = [f"runs      Exclave {f'{now.base or BASE}, as it was installed' if current == BASE else current}"]
    if now.previous:
        told.append(f"before    Exclave {now.base if now.previous == BASE else now.previous}")
    if now.offered:
        told.append(f"ready     Exclave {now.offered.version} ({now.offered.digest}): `exclave agent update` tries it")
    if now.trial:
        state = "is tried now" if now.trial.trying else "is tried once the agent has ended what it does"
        told.append(f"update    Exclave {now.trial.version} {state}")
    if now.last:
        outcome = "held" if now.last.outcome == "updated" else f"was put back: {now.last.reason}"
        told.append(f"last      Exclave {now.last.version} {outcome}")
    return told


@click.command("publish")
@click.argument("wheels", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--url", envvar="EXCLAVE_URL", help="The IMS's address, for its registry. An admin's token: EXCLAVE_TOKEN(_FILE)."
)
@click.option(
    "--registry-credentials",
    type=click.Path(dir_okay=False, path_type=Path),
    help="url, username and password of the vendor's registry, if it isn't the IMS's.",
)
@click.option(
    "--signing-key",
    required=True,
    envvar="EXCLAVE_SIGNING_KEY",
    help="The vendor's key: a file such as the build agent's vendor.key, awskms:KEY, or gcpkms:projects/…",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def publish_command(
    wheels: tuple[Path, ...], url: str | None, registry_credentials: Path | None, signing_key: str, as_json: bool
) -> None:
    """Sign a version of the agent, and push it.

    It goes to the vendor's registry. WHEELS are that of Exclave, and those of packages that must be newer than what the
    customers' machines have.
    """
    from agent.airgap.cli import TOKEN_USER, service_token
    from agent.install.registries import RegistryWriter, read_writer
    from agent.oci.client import RegistryClient
    from agent.oci.kms_key import open_key
    from agent.oci.token import Credential
    from agent.outbound import outbound_client
    from agent.update.artifact import Published, publish

    if registry_credentials:
        writer = read_writer(registry_credentials)
        if not isinstance(writer, RegistryWriter):
            raise click.UsageError("--registry-credentials needs a file with url, username and password here")
        address, login = writer.url, Credential(writer.username, writer.password)
    elif url:
        address, login = url, Credential(TOKEN_USER, service_token())
    else:
        raise click.UsageError("give --url, or --registry-credentials")

    async def work() -> Published:
        async with outbound_client() as http:
            key = await asyncio.to_thread(open_key, signing_key, Path.cwd())
            registry = RegistryClient(address, login, http)
            return await publish(wheels, registry, key, registry.url.netloc.decode())

    made = _run(work)
    if as_json:
        click.echo(json.dumps({"version": made.version, "digest": made.digest}))
        return
    click.echo(f"Exclave {made.version}: {made.digest}")
    click.echo(f"Offer it to agents: exclave agents update --to {made.version} --digest {made.digest} AGENT...")


@click.command("probe", hidden=True)
@click.option("--home", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--url", required=True, envvar="EXCLAVE_URL")
@click.option("--job", help="The job of the update, whose lease is renewed.")
@click.option("--attempt", type=int, default=0)
@_ca_file
def probe_command(home: Path, url: str, job: str | None, attempt: int, ca_file: Path | None) -> None:
    """Sign in once as the agent in --home, which isn't running, and have one call answered."""
    from agent.outbound import settle_environment
    from agent.update.probe import probe

    async def work() -> str:
        settle_environment(os.environ, ca_file, home.absolute())
        return await probe(home, url, job, attempt)

    click.echo(f"Exclave {_run(work)} reaches the IMS.")


def _run(work: Callable[[], Awaitable[T]]) -> T:
    from agent.failure import JobFailedError
    from agent.identity import HomeInUseError, IdentityError
    from agent.outbound import OutboundError
    from agent.serve import StartError
    from api.client import ApiError, UnreachableError

    async def within() -> T:
        return await work()

    try:
        return asyncio.run(within())
    except JobFailedError as error:
        raise click.ClickException(f"{error}. {error.failure.remedy}".strip()) from None
    except ApiError as error:
        raise click.ClickException(f"{error}. {error.problem.remedy}".strip()) from None
    except UnreachableError as error:
        raise click.ClickException(f"{error}. {error.remedy}") from None
    except (OutboundError, StartError, HomeInUseError, IdentityError) as error:
        raise click.ClickException(str(error)) from None
