"""`exclave terraform`: the engine that Exclave found, and `generate`."""

import importlib
from pathlib import Path

import click
from pydantic import Field

from api.cli.definitions import Holdings, define
from api.cli.session import collect, ims_options, run, segment, show_json
from api.client import ImsClient
from api.contract.base import Model, Page
from api.contract.components import Component
from api.contract.resources import App, Deploy, Install, Release


class _EngineOrOurs(click.Group):
    """A group that hands on to the engine whatever isn't a command of ours: `exclave terraform -- plan`."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: object
    ) -> click.Context:
        if not args or args[0] in (*self.commands, "--help", "-h"):
            return super().make_context(info_name, args, parent, **extra)
        engine: click.Command = importlib.import_module("agent.cli").terraform_command
        return engine.make_context(info_name, args, parent, **extra)


@click.group("terraform", cls=_EngineOrOurs)
def terraform_command() -> None:
    """Write a definition of what the IMS has, or run the Terraform engine that Exclave found.

    For machines that have no engine on PATH: `exclave terraform -- ARGS`.
    """


class Unwritten(Model):
    """Something that isn't in the definition, and why."""

    what: str
    why: str


class Generated(Model):
    """What `exclave terraform generate` wrote."""

    folder: str
    files: list[str]
    imports: dict[str, str] = Field(description="Import ids by address.")
    left_out: list[Unwritten]


@terraform_command.command("generate")
@click.option("--app", "apps", multiple=True, help="Only this app, by id or name. May be repeated.  [default: all]")
@click.option(
    "--output",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder to write to. It is made if it isn't there.",
)
@click.option("--force", is_flag=True, help="Write into a folder that has files, over those of the same names.")
@ims_options
def generate_command(apps: tuple[str, ...], output: Path, force: bool, url: str, as_json: bool) -> None:
    """Write what is in the IMS as Terraform files.

    Applying them changes nothing: import blocks bring what is there into the state. Sensitive values aren't written; a variable
    stands for them.
    """
    if not force and output.is_dir() and any(output.iterdir()):
        raise click.ClickException(f"--output {output} has files in it. Name another folder, or say --force.")
    found = define(run(url, lambda ims: _read(ims, apps)), output)
    try:
        output.mkdir(parents=True, exist_ok=True)
        for name, text in found.files.items():
            (output / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"can't write to --output {output}: {error.strerror}.") from None
    if as_json:
        left_out = [Unwritten(what=one.what, why=one.why) for one in found.left_out]
        show_json(Generated(folder=str(output), files=sorted(found.files), imports=found.imported, left_out=left_out))
        return
    click.echo(f"Wrote {', '.join(sorted(found.files))} to {output}, for {len(found.imported)} objects.")
    for one in found.left_out:
        click.echo(f"Left out: {one.what}. {one.why[0].upper()}{one.why[1:]}.")
    click.echo("Next, in that folder: `exclave terraform -- init`, then `exclave terraform -- plan`, which only imports.")


async def _read(ims: ImsClient, apps: tuple[str, ...]) -> list[Holdings]:
    """All that belongs to these apps, or to all. Reads with the caller's token: what it may not see isn't there."""
    if apps:
        named = [await ims.call("GET", f"/v1/apps/{segment(app)}", answer=App) for app in apps]
        chosen = list({app.id: app for app in named}.values())
    else:
        chosen = (await collect(ims, "/v1/apps", App)).items
    installs = (await collect(ims, "/v1/installs", Install)).items
    found = []
    for app in chosen:
        own = [install for install in installs if install.app_id == app.id]
        found.append(
            Holdings(
                app=app,
                components=(await collect(ims, f"/v1/apps/{app.id}/components", Component)).items,
                releases=(await collect(ims, "/v1/releases", Release, params={"app": app.id})).items,
                installs=own,
                newest={install.id: deploy for install in own if (deploy := await _newest_deploy(ims, install))},
            )
        )
    return found


async def _newest_deploy(ims: ImsClient, install: Install) -> Deploy | None:
    params: dict[str, str | int] = {"install": install.id, "order": "desc", "limit": 1}
    found = await ims.call("GET", "/v1/deploys", answer=Page[Deploy], params=params)
    return found.items[0] if found.items else None
