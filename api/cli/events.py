"""`exclave events`."""

import asyncio
import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import click

from api.cli.session import ims_options, run, show_json
from api.client import ApiError, ImsClient, UnreachableError
from api.contract.base import Page
from api.contract.resources import Event
from api.events.lines import START, End, Line, follow
from api.events.schemas import Verification

_STREAM_SILENCE = 45  # the server says something every 15 s


@click.group("events")
def events_command() -> None:
    """Read, follow, export and verify the history."""


def _filters(command: Any) -> Any:
    """Add the options that narrow the history down."""
    for name, text in [
        ("--until", "Only before this moment, such as 2026-11-21T09:00:00Z."),
        ("--since", "Only from this moment on."),
        ("--actor", "Only by this actor, such as token:admin."),
        ("--action", "Only this action, such as ticket.refused, or all of an object: 'deploy.*'."),
        ("--install", "Only of this install."),
        ("--app", "Only of this app and its installs."),
    ]:
        command = click.option(name, help=text)(command)
    return click.option("--object", "object_id", help="Only of this object, by its id.")(command)


def _given(after: int | str | None, filters: dict[str, str | None]) -> dict[str, str | int]:
    return {name: value for name, value in {"after": after, **filters}.items() if value is not None}


def _show(event: Event, as_json: bool) -> None:
    line = f"{event.seq:6} {event.at:%Y-%m-%d %H:%M:%SZ}  {event.action:24} {event.object_id}  by {event.actor}"
    click.echo(event.model_dump_json() if as_json else line)


@events_command.command("list")
@_filters
@ims_options
def list_events(url: str, as_json: bool, **filters: str | None) -> None:
    """Print the whole history, oldest first. --json prints one line (JSONL) for each event."""

    async def work(ims: ImsClient) -> None:
        after: str | None = None
        while True:
            params = {"limit": 1000, **_given(after, filters)}
            found = await ims.call("GET", "/v1/events", answer=Page[Event], params=params)
            for event in found.items:
                _show(event, as_json)
            after = found.after
            if after is None:
                return

    run(url, work)


@events_command.command("follow")
@click.option("--after", type=click.IntRange(0), help="Begin after the event of this number; with the next one if left out.")
@_filters
@ims_options
def follow_events(after: int | None, url: str, as_json: bool, **filters: str | None) -> None:
    """Print events as they happen, until you press Ctrl-C."""

    async def work(ims: ImsClient) -> None:
        last: str | None = None
        tries = 0
        while True:
            headers = {"Last-Event-ID": last} if last else {}
            try:
                async with ims.stream(
                    "/v1/events/stream", params=_given(after, filters), headers=headers, silence=_STREAM_SILENCE
                ) as response:
                    tries = 0
                    async for line in response.aiter_lines():
                        if line.startswith("data: "):
                            event = Event.model_validate_json(line.removeprefix("data: "))
                            last = str(event.seq)
                            _show(event, as_json)
                        elif line.startswith("id: ") and last is None:
                            last = line.removeprefix("id: ")  # where it begins: nothing is missed if it ends before an event
            except UnreachableError:
                if last is None and tries == 0:
                    raise  # it never answered: the address is wrong, rather than the server away for a moment
                tries += 1
                if tries > 5:
                    raise
            except ApiError as error:
                if not error.retryable:
                    raise
            await asyncio.sleep(min(2**tries, 20))

    with contextlib.suppress(KeyboardInterrupt):
        run(url, work)


@events_command.command("export")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="The file to write; stdout if left out.")
@click.option("--after", type=click.IntRange(0), help="Only what comes after the event of this number.")
@_filters
@ims_options
def export(output: Path | None, after: int | None, url: str, as_json: bool, **filters: str | None) -> None:
    """Write the history as JSONL, one event a line.

    Without filters the file can be verified by itself: `exclave events verify FILE`. To go on later, give the number of its
    last event to --after.
    """
    aside = output.with_name(output.name + ".part") if output else None

    async def work(ims: ImsClient) -> int:
        lines = 0
        async with ims.stream("/v1/events/export", params=_given(after, filters)) as response:
            with _open(aside) as file:
                async for chunk in response.aiter_bytes():
                    file.write(chunk)
                    lines += chunk.count(b"\n")
                    if output and sys.stderr.isatty():
                        click.echo(f"\r{lines} events", nl=False, err=True)
        return lines

    try:
        lines = run(url, work)
        if output and aside:
            aside.replace(output)  # whole or not at all
    finally:
        if aside:
            aside.unlink(missing_ok=True)
    if output:
        text = json.dumps({"output": str(output), "events": lines}) if as_json else f"\r{lines} events are in {output}."
        click.echo(text)


@contextlib.contextmanager
def _open(file: Path | None) -> Iterator[IO[bytes]]:
    if file is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        opened = file.open("wb")
    except OSError as error:
        raise click.ClickException(f"can't write {file}: {error.strerror}.") from None
    with opened:
        yield opened


@events_command.command("verify")
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@ims_options
def verify(file: Path | None, url: str, as_json: bool) -> None:
    """Check that nobody has changed the history. Exit code 1 if its hash chain is broken.

    With FILE, an export is checked, without asking any server; one that begins in the middle, from its first line on.
    """
    found = _verify_file(file) if file else run(url, lambda ims: ims.call("GET", "/v1/events/verify", answer=Verification))
    if as_json:
        show_json(found)
    elif found.whole:
        lines = "1 line" if found.lines == 1 else f"{found.lines} lines"
        pruned = f" The {found.pruned} before those were pruned, as a checkpoint in the chain tells." if found.pruned else ""
        click.echo(f"The history is whole. It has {lines}; the last one's hash is {found.last_hash}{pruned}")
    else:
        click.echo(f"The history is broken at line {found.broken_at}: its text, or the line before it, was changed or removed.")
    sys.exit(not found.whole)


def _verify_file(file: Path) -> Verification:
    end, lines = None, 0
    with file.open("rb") as opened:
        for number, text in enumerate(opened, 1):
            try:
                event = Event.model_validate_json(text)
            except ValueError:
                raise click.ClickException(
                    f"line {number} of {file} isn't an event. Give a file that `exclave events export` wrote."
                ) from None
            line = Line(*(getattr(event, name) for name in Line._fields))
            end = end or (START if line.seq == 1 else End(line.seq - 1, line.previous_hash))
            end, broken = follow(end, [line])
            if broken is not None:
                return Verification(whole=False, broken_at=broken, lines=lines, last_hash=end.hash)
            lines += 1
    if end is None:
        raise click.ClickException(f"{file} is empty: there is nothing to verify.")
    return Verification(whole=True, broken_at=None, lines=lines, last_hash=end.hash)
