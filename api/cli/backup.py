"""`exclave backup` and `exclave restore`."""

import asyncio
import os
from pathlib import Path

import click

from api.app import utc_now
from api.backup.make import make_backup, note_of, summary_json, unpacked
from api.backup.manifest import BackupError, Manifest
from api.backup.restore import Restored, restore_backup, verify_backup
from api.cli.settings_options import effective_settings, settings_options
from api.server import DataInUseError, lock


def _in_words(manifest: Manifest) -> str:
    count = len(manifest.files) + len(manifest.links)
    head = f", history up to line {manifest.head.seq}" if manifest.head else ""
    return f"{count} files, {manifest.size / 2**20:.1f} MiB{head}, made {manifest.made_at:%Y-%m-%d %H:%M:%SZ}"


@click.command("backup")
@click.argument("destination", type=click.Path(path_type=Path))
@settings_options
@click.option("--without-keys", is_flag=True, help="Leave out keys, tokens and settings: keep those elsewhere.")
@click.option("--offline", is_flag=True, help="Fail if an IMS runs on the folder, and keep others from starting meanwhile.")
@click.option("--verify", is_flag=True, help="Make none: check every sum of the backup DESTINATION.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def backup_command(
    destination: Path, data: Path | None, config: Path | None, without_keys: bool, offline: bool, verify: bool, as_json: bool
) -> None:
    """Copy everything an IMS needs to DESTINATION, while it runs.

    DESTINATION is a new folder, or one file if its name ends with .tar. Run it on the IMS's own machine, as its own user.
    """
    os.umask(0o077)
    destination = destination.absolute()
    try:
        if verify:
            with unpacked(destination, destination) as folder:
                manifest = verify_backup(folder)
            click.echo(summary_json(manifest, verified=True) if as_json else f"The backup is whole: {_in_words(manifest)}.")
            return
        settings = effective_settings(config, data=data)
        handle = lock(settings.data) if offline else None
        try:
            manifest = make_backup(settings, destination, keys=not without_keys, now=utc_now())
        finally:
            if handle is not None:
                os.close(handle)
    except (BackupError, DataInUseError, OSError) as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(summary_json(manifest, path=str(destination)))
    else:
        click.echo("\n".join([f"{destination}: {_in_words(manifest)}.", *note_of(settings, manifest)]))
    if manifest.damaged:
        listed = "\n  ".join(manifest.damaged)
        raise click.ClickException(f"the backup is made, but these were damaged in the registry already:\n  {listed}")


@click.command("restore")
@click.argument("source", type=click.Path(path_type=Path, exists=True))
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), required=True, help="A new or empty folder.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def restore_command(source: Path, data: Path, as_json: bool) -> None:
    """Make the data folder of an IMS of the backup SOURCE. Every sum and the history are checked."""
    os.umask(0o077)
    data = data.expanduser().absolute()

    async def work() -> Restored:
        with unpacked(source.absolute(), data) as folder:
            return await restore_backup(folder, data, clock=utc_now)

    try:
        restored = asyncio.run(work())
    except (BackupError, DataInUseError, OSError) as error:
        raise click.ClickException(str(error)) from None
    manifest = restored.manifest
    if as_json:
        click.echo(summary_json(manifest, path=str(data), missing_keys=restored.missing_keys))
        return
    click.echo(f"Restored to {data}: {_in_words(manifest)}. The history is whole.")
    if manifest.database == "postgresql":
        click.echo("Restore the database from its own dump (pg_restore) before you start the IMS.")
    if restored.missing_keys:
        click.echo(
            f"The backup has no keys. Put these into {data} before you start the IMS: {', '.join(restored.missing_keys)}."
        )
    click.echo(f"Start it with: exclave up --data {data}")
