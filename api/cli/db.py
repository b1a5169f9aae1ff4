"""`exclave db`."""

import os
import sys
from pathlib import Path

import click

from api.cli.settings_options import effective_settings, settings_options
from api.db.schema import current_version, driver_of, newest_version, open_database
from api.server import DataInUseError, lock
from api.settings import Settings, UnusableDataError


@click.group("db")
def db_command() -> None:
    """Check and upgrade the database's schema. `exclave up` upgrades it, too."""


def _settings(data: Path | None, config: Path | None) -> Settings:
    settings = effective_settings(config, data=data)
    if settings.database == "sqlite" and not settings.database_file.exists():
        raise click.ClickException(f"there is no database {settings.database_file}: say with --data where it is.")
    return settings


def _current(settings: Settings) -> str | None:
    try:
        driver = driver_of(settings)
        try:
            return current_version(driver.reader, settings.database_name)
        finally:
            driver.close()
    except UnusableDataError as error:
        raise click.ClickException(str(error)) from None


@db_command.command("current")
@settings_options
def current(data: Path | None, config: Path | None) -> None:
    """Print the version of the schema."""
    click.echo(_current(_settings(data, config)) or "none")


@db_command.command("check")
@settings_options
def check(data: Path | None, config: Path | None) -> None:
    """Say whether the schema is the newest. Exit code 1 if it isn't."""
    at = _current(_settings(data, config))
    if at == newest_version():
        click.echo(f"The schema is at {at}, the newest.")
        return
    click.echo(f"The schema is at {at or 'none'}; this Exclave needs {newest_version()}: run `exclave db upgrade`.")
    sys.exit(1)


@db_command.command("upgrade")
@settings_options
def upgrade(data: Path | None, config: Path | None) -> None:
    """Bring the schema to the newest version. The IMS must not run on it; make a backup first."""
    os.umask(0o077)
    settings = _settings(data, config)
    try:
        before = _current(settings)
        handle = lock(settings.data)
        try:
            open_database(settings).close()
        finally:
            os.close(handle)
    except (DataInUseError, UnusableDataError) as error:
        raise click.ClickException(str(error)) from None
    done = f"was at {before or 'none'}, and is at {newest_version()}"
    click.echo(f"The schema {done}." if before != newest_version() else f"The schema is at {before}, the newest.")
