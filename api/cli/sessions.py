"""`exclave sessions`."""

import click

from api.cli.session import collect, ims_options, run, segment, show_json, show_table
from api.contract.access import Session


@click.group("sessions")
def sessions_command() -> None:
    """List and end the logins of people."""


@sessions_command.command("list")
@ims_options
def list_sessions(url: str, as_json: bool) -> None:
    """List the logins that haven't ended."""
    found = run(url, lambda ims: collect(ims, "/v1/sessions", Session))
    if as_json:
        show_json(found)
        return
    rows = [[one.id, one.name, one.role, _where(one), f"{one.expires_at:%Y-%m-%d %H:%M:%SZ}"] for one in found.items]
    show_table(["ID", "NAME", "ROLE", "SCOPE", "UNTIL"], rows, empty="Nobody is logged in.")


@sessions_command.command("revoke")
@click.argument("session")
@ims_options
def revoke(session: str, url: str, as_json: bool) -> None:
    """End a login at once, by id; or all of a person, by name."""
    run(url, lambda ims: ims.call("DELETE", f"/v1/sessions/{segment(session)}"))
    click.echo("{}" if as_json else f"Ended: {session}.")


def _where(session: Session) -> str:
    return f"{session.scope.partition(':')[0]}:{session.scope_name}" if session.scope_name else session.scope
