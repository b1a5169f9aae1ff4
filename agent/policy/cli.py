"""`exclave agent policy`, `pause` and `resume`: what the customer says, on the agent's own machine and without the IMS."""

import getpass
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from agent.ledger.entry import Event
    from agent.policy.document import PolicyDocument, Rule, Window
    from agent.policy.pause import Paused

_home = click.option(
    "--home",
    required=True,
    envvar="EXCLAVE_AGENT_HOME",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder of the install agent, which may be running.",
)
_file = click.option(
    "--policy",
    envvar="EXCLAVE_POLICY",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The policy file, if it isn't policy.yaml in --home.",
)
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("policy")
def policy_command() -> None:
    """Look at the customer's rules for this agent. The IMS can't change them."""


@policy_command.command("check")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), default=Path("policy.yaml"))
def check_command(file: Path) -> None:
    """Check a policy file, without putting it in force. FILE is policy.yaml if it is left out.

    It ends with 1 and says line, field and remedy if the file can't be used.
    """
    from agent.policy.policy import PolicySource
    from agent.policy.read import PolicyFileError

    try:
        policy = PolicySource(file.absolute().parent, file).load()
    except PolicyFileError as error:
        raise click.ClickException(f"{error}\n{error.failure.remedy}") from None
    if policy.document.rego:
        if missing := [each for each in policy.document.rego.files if not (policy.folder / each).exists()]:
            raise click.ClickException(f"{file}: rego.files: {policy.folder / missing[0]} isn't there: no plan could be judged")
        if shutil.which(policy.document.rego.opa) is None:
            click.echo(f"Note: this machine has no program {policy.document.rego.opa}; that of the agent needs it.", err=True)
    click.echo(f"{file} is right: {_counted(len(policy.document.rules), 'rule')}.")


@policy_command.command("show")
@_home
@_file
@_as_json
def show_command(home: Path, policy: Path | None, as_json: bool) -> None:
    """Show what the agent may do now."""
    from agent.policy.policy import PolicySource
    from agent.policy.read import PolicyFileError

    source = PolicySource(home.absolute(), policy)
    try:
        found = source.load()
    except PolicyFileError as error:
        raise click.ClickException(f"{error}\nUntil it is right, nothing runs. {error.failure.remedy}") from None
    if as_json:
        document = found.document.model_dump_json(by_alias=True, exclude_defaults=True)
        paused = found.paused.model_dump_json() if found.paused else "null"
        digest = f'"{found.digest}"' if found.digest else "null"
        click.echo(f'{{"digest": {digest}, "paused": {paused}, "policy": {document}}}')
        return
    click.echo(f"{source.path}: {found.digest or 'not there; everything that the vendor has signed is allowed'}")
    for line in _told(found.document, found.paused):
        click.echo(f"  {line}")


@click.command("pause")
@_home
@click.option("--reason", default="", help="Why; the vendor sees it.")
def pause_command(home: Path, reason: str) -> None:
    """Let the agent begin nothing new. What runs goes on to its end."""
    from agent.policy.pause import KillSwitch, Paused

    paused = Paused(by=getpass.getuser(), since=datetime.now(UTC), reason=reason)
    try:
        KillSwitch(home.absolute()).pause(paused)
    except OSError as error:
        raise click.ClickException(
            f"NOT paused: {home} can't be written: {error.strerror}. Run this as the agent's user, or stop the agent."
        ) from None
    if not (home / "identity.json").exists():
        click.echo(f"Warning: no agent has enrolled in {home}. If that isn't its folder, it goes on.", err=True)
    _note(home, "agent.paused", by=paused.by, reason=reason)
    click.echo("Paused. What runs goes on to its end; nothing else begins until `exclave agent resume`.")


@click.command("resume")
@_home
def resume_command(home: Path) -> None:
    """Let a paused agent begin jobs again. What was refused in between isn't done by itself."""
    from agent.policy.pause import KillSwitch

    try:
        resumed = KillSwitch(home.absolute()).resume()
    except OSError as error:
        raise click.ClickException(
            f"still paused: {home} can't be written: {error.strerror}. Run this as the agent's user."
        ) from None
    if not resumed:
        click.echo("The agent wasn't paused.")
        return
    _note(home, "agent.resumed", by=getpass.getuser())
    click.echo("Resumed.")


def _note(home: Path, event: "Event", **data: str) -> None:
    """Write it down. A full disk must not keep anybody from pausing an agent."""
    from agent.ledger.ledger import Ledger, LedgerUnwritableError

    try:
        Ledger(home.absolute()).append(event, **data)
    except LedgerUnwritableError as error:
        click.echo(f"Warning: {error}", err=True)


def _told(policy: "PolicyDocument", paused: "Paused | None") -> list[str]:
    told = [f"NOTHING BEGINS: {paused}"] if paused else []
    if policy.mode == "read_only":
        told.append("mode: read_only: it may sync and plan, but neither apply nor destroy")
    if policy.kinds is not None:
        told.append(f"kinds: {', '.join(policy.kinds) or 'none'}")
    if policy.components != ("*",):
        told.append(f"components: {', '.join(policy.components)}")
    told += [f"revoked: {digest}" for digest in policy.revoked]
    if policy.releases != "any":
        back = "" if policy.releases == "signed" else ", and none older than what was applied"
        told.append(f"releases: {policy.releases}: only what the vendor has signed as a whole{back}")
    told += [_rule(rule) for rule in policy.rules]
    if policy.rego:
        told.append(f"Rego: {policy.rego.query} of {', '.join(policy.rego.files)}")
    told += [_window(window) for window in policy.windows]
    told.append(_updates(policy))
    told += [f"not in logs: {text}" for text in policy.redact]
    told += [f"environment of {name}: {', '.join(sorted(given))}" for name, given in policy.environment.items()]
    return told


def _updates(policy: "PolicyDocument") -> str:
    said = {"off": "none", "ask": "brought here, tried with your yes", "auto": "tried as they come"}[policy.updates.mode]
    only = "" if policy.updates.versions == ("*",) else f"; only {', '.join(policy.updates.versions)}"
    return f"updates of the agent: {said}{only}"


def _rule(rule: "Rule") -> str:
    what = "asks for your yes" if rule.effect == "ask" else "refuses"
    return f"rule {(rule.name or rule.use)!r} {what}: {rule.message or '-'}"


def _window(window: "Window") -> str:
    return f"{', '.join(window.operations)} only {', '.join(window.days)} {window.begins}-{window.ends} {window.time_zone}"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
