"""`exclave apps`."""

import click

from api.cli.session import collect, ims_options, run, segment, show_json, show_table
from api.contract.components import Component
from api.contract.resources import App


@click.group("apps")
def apps_command() -> None:
    """Read apps. They are defined with Terraform."""


@apps_command.command("list")
@ims_options
def list_apps(url: str, as_json: bool) -> None:
    """List the apps."""
    found = run(url, lambda ims: collect(ims, "/v1/apps", App))
    if as_json:
        show_json(found)
        return
    rows = [[app.name, app.id, f"v{app.version}", app.description] for app in found.items]
    show_table(["NAME", "ID", "VERSION", "DESCRIPTION"], rows, empty="No apps yet. Define one with the resource exclave_app.")


@apps_command.command("components")
@click.argument("app")
@ims_options
def list_components(app: str, url: str, as_json: bool) -> None:
    """List the components of APP."""
    path = f"/v1/apps/{segment(app)}/components"
    found = run(url, lambda ims: collect(ims, path, Component))
    if as_json:
        show_json(found)
        return
    rows = [[component.name, component.kind, f"v{component.version}", component.id] for component in found.items]
    show_table(["NAME", "KIND", "VERSION", "ID"], rows, empty=f"App {app} has no components yet.")
