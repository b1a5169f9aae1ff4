"""`exclave releases`."""

import importlib

import click

from api.cli.session import collect, ims_options, limit_option, none_of, run, segment, show_json, show_table
from api.contract.resources import Release


class _WithSign(click.Group):
    """A group with `sign`, which is the agent's part: loaded when it is used (docs/decisions/0002)."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), "sign"]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name != "sign":
            return super().get_command(ctx, cmd_name)
        command: click.Command = importlib.import_module("agent.trust.sign_cli").sign_command
        return command


@click.group("releases", cls=_WithSign)
def releases_command() -> None:
    """Read releases, and sign them. They are made with Terraform."""


@releases_command.command("list")
@click.option("--app", help="Only of this app.")
@click.option("--number", type=click.IntRange(1), help="Only those of this number.")
@limit_option(100)
@ims_options
def list_releases(app: str | None, number: int | None, limit: int, url: str, as_json: bool) -> None:
    """List the releases, newest first."""
    given = {"order": "desc", "app": app, "number": number}
    params = {name: value for name, value in given.items() if value}

    found = run(url, lambda ims: collect(ims, "/v1/releases", Release, limit, params))
    if as_json:
        show_json(found)
        return
    rows = [
        [
            one.app_name or one.app_id,
            str(one.number),
            one.status,
            one.id,
            f"{one.created_at:%Y-%m-%d %H:%M:%SZ}",
            one.signed_by[:19] if one.signed_by else "-",
        ]
        for one in found.items
    ]
    columns = ["APP", "NUMBER", "STATUS", "ID", "MADE", "SIGNED BY"]
    show_table(columns, rows, empty=none_of("releases", params, "Make one with exclave_release."))


@releases_command.command("show")
@click.argument("release")
@ims_options
def show_release(release: str, url: str, as_json: bool) -> None:
    """Show one release with its builds, by id."""
    found = run(url, lambda ims: ims.call("GET", f"/v1/releases/{segment(release)}", answer=Release))
    if as_json:
        show_json(found)
        return
    click.echo(f"Release {found.number} ({found.id}): {found.status}")
    if found.signed_by:
        click.echo(f"  signed as a whole by {found.signed_by}")
    for build in found.builds:
        reused = ", used again" if build.reused else ""
        click.echo(
            f"  {build.component} v{build.component_version}: {build.status}{reused}  {build.digest or build.waiting_for}"
        )
        if build.failure:
            click.echo(f"    {build.failure.message}\n    {build.failure.remedy}".rstrip())
    if found.failure:
        click.echo(f"Failed: {found.failure.message}\n{found.failure.remedy}".rstrip())
