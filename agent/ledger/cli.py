"""`exclave agent ledger`: look at what the agent did, and check it. Needs neither the IMS nor a running agent."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

if TYPE_CHECKING:
    from agent.ledger.entry import Entry

_home = click.option(
    "--home",
    envvar="EXCLAVE_AGENT_HOME",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder of the agent, which may be running.",
)
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("ledger")
def ledger_command() -> None:
    """Look at, check and export what the agent has done."""


@ledger_command.command("verify")
@_home
@click.option("--head", help="A hash that an earlier check printed: the ledger must still have it.")
@_as_json
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def verify_command(home: Path | None, head: str | None, as_json: bool, files: tuple[Path, ...]) -> None:
    """Check that no entry was changed, removed or put in. FILES are exported ledgers, if it isn't the one in --home.

    It ends with 1 and names the file and the line if the chain doesn't hold.
    """
    from agent.ledger.verify import verify

    verdict = verify(_files(home, files), head)
    last = verdict.last
    if as_json:
        document = {
            "ok": verdict.broken is None,
            "entries": verdict.entries,
            "first": verdict.first.seq if verdict.first else None,
            "last": last.seq if last else None,
            "head": last.hash if last else None,
            "torn": verdict.torn,
            "broken": verdict.broken.__dict__ if verdict.broken else None,
        }
        click.echo(json.dumps(document))
        sys.exit(1 if verdict.broken else 0)
    if verdict.broken:
        held = f" Up to entry {last.seq} it holds." if last else ""
        raise click.ClickException(f"{verdict.broken}.{held}")
    if last is None or verdict.first is None:
        click.echo("The ledger is empty.")
        return
    click.echo(f"{verdict.entries} entries, {verdict.first.seq} to {last.seq}: the chain holds.")
    if verdict.torn:
        click.echo("The last line was cut off by a crash; the agent's next entry notes it.")
    if verdict.first.seq > 1:
        click.echo(f"What came before entry {verdict.first.seq} was taken away to bound the ledger's size.")
    click.echo(f"head {last.hash}\nWrite it down elsewhere: with --head it shows later that nothing was cut off.")


@ledger_command.command("show")
@_home
@click.option("--last", "count", type=click.IntRange(1), default=50, show_default=True, help="So many entries.")
@click.option("--job", help="Only the entries about this job.")
@_as_json
def show_command(home: Path | None, count: int, job: str | None, as_json: bool) -> None:
    """Show the newest entries."""
    from agent.ledger.verify import entries

    found = [each for each in entries(_files(home, ())) if job in (None, each.data.get("job"))][-count:]
    for each in found:
        click.echo(each.line().decode().rstrip() if as_json else _told(each))


@ledger_command.command("export")
@_home
@click.option("--output", type=click.File("wb"), default="-", show_default=True, help="Where to.")
def export_command(home: Path | None, output: BinaryIO) -> None:
    """Write the whole ledger, byte for byte, into one file."""
    for file in _files(home, ()):
        output.write(file.read_bytes())


def _files(home: Path | None, files: tuple[Path, ...]) -> list[Path]:
    from agent.ledger.ledger import Ledger

    if files:
        return list(files)
    if home is None:
        raise click.UsageError("give --home, the agent's folder")
    return Ledger(home.absolute()).files()


def _told(entry: "Entry") -> str:
    said = " ".join(f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in entry.data.items())
    return f"{entry.seq:>6} {entry.at:%Y-%m-%d %H:%M:%SZ} {entry.event} {said}".rstrip()
