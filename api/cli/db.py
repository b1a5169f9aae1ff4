"""`exclave db`."""

import json
import os
import sys
from pathlib import Path

import click

from api.cli.settings_options import effective_settings, settings_options
from api.db.schema import current_version, driver_of, newest_version, open_database
from api.server import DataInUseError, lock
from api.settings import Settings, UnusableDataError

_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def _say(facts: dict[str, str | bool | None], text: str, as_json: bool) -> None:
    click.echo(json.dumps(facts) if as_json else text)


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
@_as_json
def current(data: Path | None, config: Path | None, as_json: bool) -> None:
    """Print the version of the schema."""
    at = _current(_settings(data, config))
    _say({"version": at}, at or "none", as_json)


@db_command.command("check")
@settings_options
@_as_json
def check(data: Path | None, config: Path | None, as_json: bool) -> None:
    """Say whether the schema is the newest. Exit code 1 if it isn't."""
    at, newest = _current(_settings(data, config)), newest_version()
    text = f"The schema is at {at or 'none'}; this Exclave needs {newest}: run `exclave db upgrade`."
    if at == newest:
        text = f"The schema is at {at}, the newest."
    _say({"ok": at == newest, "version": at, "newest": newest}, text, as_json)
    sys.exit(at != newest)


@db_command.command("upgrade")
@settings_options
@_as_json
def upgrade(data: Path | None, config: Path | None, as_json: bool) -> None:
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
    text = f"The schema {done}." if before != newest_version() else f"The schema is at {before}, the newest."
    _say({"before": before, "version": newest_version()}, text, as_json)
