"""`exclave events`."""

import sys

import click

from api.cli.session import ims_options, run, show_json
from api.client import ImsClient
from api.contract.base import Page
from api.contract.resources import Event
from api.events.schemas import Verification


@click.group("events")
def events_command() -> None:
    """Read and verify the history."""


@events_command.command("list")
@click.option("--object", "object_id", help="Only of this object.")
@click.option("--action", help="Only of this action, such as ticket.refused.")
@ims_options
def list_events(object_id: str | None, action: str | None, url: str, as_json: bool) -> None:
    """Print the whole history, oldest first; --json prints one line (JSONL) for each event."""

    async def work(ims: ImsClient) -> None:
        after: str | None = None
        while True:
            params = {"limit": 1000, "after": after, "object_id": object_id, "action": action}
            given = {name: value for name, value in params.items() if value is not None}
            found = await ims.call("GET", "/v1/events", answer=Page[Event], params=given)
            for event in found.items:
                line = f"{event.seq:6} {event.at:%Y-%m-%d %H:%M:%SZ}  {event.action:24} {event.object_id}  by {event.actor}"
                click.echo(event.model_dump_json() if as_json else line)
            after = found.after
            if after is None:
                return

    run(url, work)


@events_command.command("verify")
@ims_options
def verify(url: str, as_json: bool) -> None:
    """Check that nobody has changed the history: exit code 1 if its hash chain is broken."""
    found = run(url, lambda ims: ims.call("GET", "/v1/events/verify", answer=Verification))
    if as_json:
        show_json(found)
    else:
        click.echo("The history is whole." if found.whole else f"The history is broken at line {found.broken_at}.")
    sys.exit(not found.whole)
