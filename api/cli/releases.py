"""`exclave releases`."""

import click

from api.cli.session import ims_options, run, segment, show_json, show_table
from api.contract.base import Page
from api.contract.resources import Release


@click.group("releases")
def releases_command() -> None:
    """Read releases. They are made with Terraform."""


@releases_command.command("list")
@click.option("--app", help="Only of this app.")
@ims_options
def list_releases(app: str | None, url: str, as_json: bool) -> None:
    """List the releases, newest first."""
    params: dict[str, str | int] = {"limit": 100, "order": "desc", **({"app": app} if app else {})}
    found = run(url, lambda ims: ims.call("GET", "/v1/releases", answer=Page[Release], params=params))
    if as_json:
        show_json(found)
        return
    rows = [
        [str(release.number), release.status, release.id, f"{release.created_at:%Y-%m-%d %H:%M:%SZ}"] for release in found.items
    ]
    show_table(["NUMBER", "STATUS", "ID", "MADE"], rows, empty="No releases yet. Make one with exclave_release.")


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
    for build in found.builds:
        reused = ", used again" if build.reused else ""
        click.echo(
            f"  {build.component} v{build.component_version}: {build.status}{reused}  {build.digest or build.waiting_for}"
        )
        if build.failure:
            click.echo(f"    {build.failure.message}\n    {build.failure.remedy}".rstrip())
    if found.failure:
        click.echo(f"Failed: {found.failure.message}\n{found.failure.remedy}".rstrip())
