"""`exclave registry`: runs a registry alone; and collects what nothing needs, in that one or in the IMS's own."""

import asyncio
from pathlib import Path

import click

from api.cli.session import ims_options, run, show_json
from api.client import ImsClient
from api.collection.report import public
from api.contract.registry import Collection
from api.registry.care import RegistryCare
from api.registry.collect import Collected
from api.registry.options import settings_options
from api.registry.s3 import S3UnusableError
from api.registry.settings import RegistrySettings
from api.registry.standalone import registry_command as run_command
from api.registry.storage import BlobsElsewhereError, StorageLockedError


def _run(**options: object) -> None:
    context = click.get_current_context()
    if context.invoked_subcommand is None:
        context.invoke(run_command, **options)


registry_command = click.Group(
    "registry", callback=_run, params=run_command.params, help=run_command.help, invoke_without_command=True
)


@registry_command.command("gc")
@click.option("--dry-run", is_flag=True, help="Remove nothing: show what would be removed.")
@click.option(
    "--data",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    help="The folder of a registry that runs alone, and is stopped now. Without it: the IMS's own registry, which may run.",
)
@settings_options
@ims_options
def collect_command(dry_run: bool, data: Path | None, settings: RegistrySettings, url: str, as_json: bool) -> None:
    """Remove what nothing needs any more.

    In the IMS's registry: artifacts that no release, install or open job needs. In a registry that runs alone, which doesn't
    know who needs its artifacts: blobs that no manifest lists. What was pushed or asked for lately always stays.
    """
    if data is None:
        path = f"/v1/registry/collections{'?dry_run=true' if dry_run else ''}"

        async def ask(ims: ImsClient) -> Collection:
            return await ims.call("POST", path, answer=Collection)

        collection = run(url, ask)
    else:
        collection = public(_collect_alone(data, settings, dry_run=dry_run), dry_run=dry_run)
    if as_json:
        show_json(collection)
        return
    verb = "Would remove" if dry_run else "Removed"
    for manifest in collection.manifests:
        click.echo(f"{manifest.repository}@{manifest.digest}")
    for skipped in collection.skipped:
        click.echo(f"{skipped.repository} is left alone: {skipped.reason}")
    click.echo(
        f"{verb} {len(collection.manifests)} manifests and {len(collection.blobs)} blobs of {collection.repositories} "
        f"repositories, {collection.freed_bytes / 2**20:.1f} MiB."
    )


def _collect_alone(data: Path, settings: RegistrySettings, *, dry_run: bool) -> Collected:
    try:
        storage = settings.open(data / "registry")
    except StorageLockedError:
        raise click.ClickException(f"a registry runs on {data}: stop it, or start it with --collect-hours") from None
    except (BlobsElsewhereError, S3UnusableError, OSError) as error:
        raise click.ClickException(str(error)) from None
    with storage:
        return asyncio.run(RegistryCare(storage, settings).collect(dry_run=dry_run))
