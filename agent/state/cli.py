"""`exclave agent state`: what the customer can see and do of the states that their install agent keeps.

Nothing but the agent's home is needed: it remembers where states are. Values leave only by `export`.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from agent.install.terraform_module.kept_state import KeptStates

Command = TypeVar("Command", bound=Callable[..., None])

_home = click.option(
    "--home",
    required=True,
    envvar="EXCLAVE_AGENT_HOME",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder of the install agent.",
)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_version = click.option("--version", "version", help="One that `versions` lists; else the current state.")


@click.group("state")
def state_command() -> None:
    """Look after Terraform's state, which the customer keeps. Run it on the install agent's machine."""


@state_command.command("list")
@_home
@_json
def list_command(home: Path, as_json: bool) -> None:
    """List the components that have a state, and who holds its lock."""
    with _kept(home) as kept:
        rows = [
            {
                "component": one.component,
                "serial": one.serial,
                "objects": one.objects,
                "lineage": one.lineage,
                "locked_by": str(one.locked_by) if one.locked_by else None,
            }
            for one in kept.list()
        ]
        _print(rows, as_json, ("component", "serial", "objects", "locked_by"))
        if not as_json:
            click.echo(f"In {kept.place}.", err=True)


@state_command.command("versions")
@click.argument("component")
@_home
@_json
def versions_command(component: str, home: Path, as_json: bool) -> None:
    """List the versions that are kept, newest first."""
    with _kept(home) as kept:
        rows = [
            {"version": one.name, "serial": one.serial, "at": one.at.isoformat(), "job": one.job_id}
            for one in kept.versions(component)
        ]
        _print(rows, as_json, ("version", "serial", "at", "job"))


@state_command.command("show")
@click.argument("component")
@_version
@_home
@click.option("--redacted", is_flag=True, default=True, hidden=True, help="As always: no value is shown.")
def show_command(component: str, version: str | None, home: Path, redacted: bool) -> None:
    """Show what a state knows of, without values.

    Addresses, names of attributes, names and types of outputs.
    """
    with _kept(home) as kept:
        click.echo(json.dumps(kept.outline(component, version), indent=2))


@state_command.command("export")
@click.argument("component")
@_version
@_home
@click.option("--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The file to write, mode 0600.")
def export_command(component: str, version: str | None, home: Path, output: Path) -> None:
    """Write a state to a file, in the clear.

    It is as Terraform knows it, with every value and every secret.
    """
    with _kept(home) as kept:
        kept.export(component, version, output)
        click.echo(f"{output} has the state of {component}, secrets included. Remove it when you are done.", err=True)


@state_command.command("restore")
@click.argument("component")
@click.option("--version", help="One that `versions` lists.")
@click.option("--file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A state as Terraform writes it.")
@_home
@click.option("--yes", is_flag=True, help="Don't ask.")
def restore_command(component: str, version: str | None, file: Path | None, home: Path, yes: bool) -> None:
    """Make a version or a file the current state.

    It gets a serial of its own, and what was current is kept. Whatever was made or destroyed since then, Terraform no longer
    knows.
    """
    if (version is None) == (file is None):
        raise click.UsageError("give --version or --file")
    if not yes:
        click.confirm(f"Replace the state of {component}?", abort=True)
    with _kept(home) as kept:
        serial = kept.restore(component, version, file)
        click.echo(f"The state of {component} is now at serial {serial}. Deploy, or look for drift, to see what it means.")


@state_command.command("move")
@click.option("--to", required=True, help="Where states are kept from now on: as --state of `exclave agent install`.")
@_home
def move_command(to: str, home: Path) -> None:
    """Move all states to another place.

    The agent has to be stopped. States stay sealed on the way.
    """
    with _kept(home, alone=True) as kept:
        moved = kept.move(to)
        click.echo(
            f"{moved} objects are now in {to}, and are removed from {kept.place}. The agent uses them from its next start."
        )


@state_command.command("rotate-key")
@click.option("--to", help="Another key: awskms:KEY, gcpkms:projects/…/cryptoKeys/K, or `file`; else a new one in the file.")
@_home
def rotate_key_command(to: str | None, home: Path) -> None:
    """Seal all states with a new key.

    The agent has to be stopped. Keys of its file that nothing needs any more are removed.
    """
    with _kept(home, alone=True) as kept:
        sealed, dropped = kept.rotate(to)
        click.echo(f"{sealed} states are sealed anew; {dropped} old keys are removed from the file.")


@contextmanager
def _kept(home: Path, *, alone: bool = False) -> Iterator["KeptStates"]:
    """The states of a home; `alone`, while its agent is stopped. Errors are said as the command's."""
    from agent.failure import JobFailedError
    from agent.identity import Home, HomeInUseError, IdentityError
    from agent.install.terraform_module.kept_state import KeptStates

    try:
        place = Home(home, make=False)
        identity = place.identity()
        if identity is None or identity.enrolled.kind != "install":
            raise click.ClickException(f"--home {home} is not the folder of an install agent that has enrolled.")
        kept = KeptStates(place.folder, identity.enrolled.install_id or "", identity.enrolled.agent_id)
        if not alone:
            yield kept
            return
        with place.occupied():
            yield kept
    except (HomeInUseError, IdentityError) as error:
        raise click.ClickException(f"{error}.") from None
    except JobFailedError as error:
        raise click.ClickException(f"{error}. {error.failure.remedy}".strip()) from None
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}.") from None


def _print(rows: list[dict[str, Any]], as_json: bool, columns: tuple[str, ...]) -> None:
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    table = [columns, *(tuple("-" if row[name] is None else str(row[name]) for name in columns) for row in rows)]
    widths = [max(len(line[at]) for line in table) for at in range(len(columns))]
    for line in table:
        click.echo("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
