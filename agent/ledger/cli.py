"""`exclave agent ledger`: look at what the agent did, and check it. Needs neither the IMS nor a running agent."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

if TYPE_CHECKING:
    from agent.ledger.entry import Entry
    from agent.ledger.verify import LedgerFile
    from api.contract.base import Json

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

    Entries of kinds that only a later version knows are links of the chain as all others. It ends with 1 and names the file and
    the line if the chain doesn't hold.
    """
    from agent.ledger.verify import verify

    with _files(home, files) as opened:
        verdict = verify(opened, head)
    last = verdict.last
    missing = "" if verdict.entries or verdict.broken else _missing(home, files)
    if as_json:
        document = {
            "ok": verdict.broken is None and not missing,
            "entries": verdict.entries,
            "first": verdict.first.seq if verdict.first else None,
            "last": last.seq if last else None,
            "head": last.hash if last else None,
            "torn": verdict.torn,
            "unknown": dict(verdict.unknown),
            "broken": verdict.broken.__dict__ if verdict.broken else None,
        }
        click.echo(json.dumps(document))
        sys.exit(1 if verdict.broken or missing else 0)
    if verdict.broken:
        held = f" Up to entry {last.seq} it holds." if last else ""
        raise click.ClickException(f"{verdict.broken}.{held}")
    if missing:
        raise click.ClickException(missing)
    if last is None or verdict.first is None:
        click.echo("The ledger is empty.")
        return
    click.echo(f"{verdict.entries} entries, {verdict.first.seq} to {last.seq}: the chain holds.")
    if verdict.unknown:
        said = ", ".join(f"{count} {_plain(event)}" for event, count in sorted(verdict.unknown.items()))
        click.echo(f"Of kinds that this version doesn't know: {said}.")
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

    with _files(home, ()) as opened:
        found = [each for each in entries(opened) if job in (None, each.data.get("job"))][-count:]
    for each in found:
        click.echo(each.line().decode().rstrip() if as_json else _told(each))


@ledger_command.command("export")
@_home
@click.option("--output", type=click.File("wb"), default="-", show_default=True, help="Where to.")
def export_command(home: Path | None, output: BinaryIO) -> None:
    """Write the whole ledger, byte for byte, into one file."""
    from agent.ledger.verify import contents

    with _files(home, ()) as opened:
        for line in contents(opened):
            output.write(line)


def _missing(home: Path | None, files: tuple[Path, ...]) -> str:
    """Why there should be an entry, where there is none; empty if there need be none."""
    if files:
        return f"{files[0]} has no entry: it is no exported ledger, or nothing is left of it."
    if home is not None and (home / "identity.json").exists():
        return f"An agent has enrolled in {home}, and its ledger has no entry: it never ran, or its ledger was taken away."
    return ""


@contextmanager
def _files(home: Path | None, files: tuple[Path, ...]) -> "Iterator[list[LedgerFile]]":
    """The files to look at; those of an agent as they are at one moment."""
    from agent.ledger.ledger import Ledger

    if not files and home is None:
        raise click.UsageError("give --home, the agent's folder")
    try:
        if files or home is None:
            yield list(files)
            return
        with Ledger(home.absolute()).held() as held:
            yield list(held)
    except PermissionError as error:
        raise click.ClickException(f"{error.filename} can't be read: {error.strerror}. Run this as the agent's user.") from None


def _told(entry: "Entry") -> str:
    from agent.ledger.entry import KNOWN

    said = " ".join(f"{_plain(name)}={_plain(value)}" for name, value in entry.data.items())
    event = entry.event if entry.event in KNOWN else f"{_plain(entry.event)} (unknown to this version)"
    return f"{entry.seq:>6} {entry.at:%Y-%m-%d %H:%M:%SZ} {event} {said}".rstrip()


def _plain(value: "Json") -> str:
    """As text; with escapes if something in it would do more to a terminal than be shown. Some of it comes from the vendor."""
    return value if isinstance(value, str) and value.isprintable() else json.dumps(value)
