"""`exclave apps`."""

import json

import click

from api.cli.session import collect, ims_options, run, segment, show_json, show_table
from api.client import ImsClient
from api.contract.base import Page
from api.contract.components import Component
from api.contract.inputs import InputSpec
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


@apps_command.command("show")
@click.argument("app")
@ims_options
def show_app(app: str, url: str, as_json: bool) -> None:
    """Show one app with its inputs and components, by id or name."""

    async def work(ims: ImsClient) -> tuple[App, Page[Component]]:
        found = await ims.call("GET", f"/v1/apps/{segment(app)}", answer=App)
        return found, Page[Component](items=[]) if as_json else await _components(ims, found.id)

    found, components = run(url, work)
    if as_json:
        show_json(found)
        return
    click.echo(f"App {found.name} ({found.id}), version {found.version}")
    if found.description:
        click.echo(f"  {found.description}")
    if found.labels:
        click.echo("  labels: " + ", ".join(f"{key}={value}" for key, value in sorted(found.labels.items())))
    for spec in found.inputs:
        click.echo(f"  input {spec.name}: {_told(spec)}")
    for component in components.items:
        click.echo(f"  component {component.name}: {component.kind}, version {component.version}")


def _told(spec: InputSpec) -> str:
    said: list[str] = [spec.type]
    if spec.sensitive:
        said.append("sensitive")
    if spec.default is not None:
        said.append(f"default {json.dumps(spec.default)}")
    elif not spec.required:
        said.append("optional")
    return ", ".join(said) + (f". {spec.description}" if spec.description else "")


async def _components(ims: ImsClient, app: str) -> Page[Component]:
    return await collect(ims, f"/v1/apps/{segment(app)}/components", Component)


@apps_command.command("components")
@click.argument("app")
@ims_options
def list_components(app: str, url: str, as_json: bool) -> None:
    """List the components of APP."""
    found = run(url, lambda ims: _components(ims, app))
    if as_json:
        show_json(found)
        return
    rows = [[component.name, component.kind, f"v{component.version}", component.id] for component in found.items]
    show_table(["NAME", "KIND", "VERSION", "ID"], rows, empty=f"App {app} has no components yet.")
