"""`exclave config`."""

import json
import sys
from pathlib import Path

import click

from api.cli.session import show_table
from api.cli.settings_options import load_settings, settings_options


@click.group("config")
def config_command() -> None:
    """Check and show the settings of the IMS."""


@config_command.command("check")
@settings_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(data: Path | None, config: Path | None, as_json: bool) -> None:
    """Print what is set, and from where. Exit code 1 if anything is wrong."""
    loaded = load_settings(config, data=data)
    if as_json:
        changed = {name: {"value": value, "source": source} for name, value, source in loaded.rows() if source != "default"}
        click.echo(json.dumps({"ok": not loaded.problems, "settings": changed, "problems": loaded.problems}, indent=2))
        sys.exit(bool(loaded.problems))
    rows = [list(row) for row in loaded.rows() if row[2] != "default" or row[0] == "data"]
    show_table(["SETTING", "VALUE", "FROM"], rows, empty="")
    click.echo("All others have their defaults: exclave config show.")
    for problem in loaded.problems:
        click.echo(f"Error: {problem}", err=True)
    sys.exit(bool(loaded.problems))


@config_command.command("show")
@settings_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(data: Path | None, config: Path | None, as_json: bool) -> None:
    """Print every setting, its value and where it is from. Secrets are masked."""
    loaded = load_settings(config, data=data)
    if as_json:
        settings = {name: {"value": value, "source": source} for name, value, source in loaded.rows()}
        click.echo(json.dumps({"settings": settings, "problems": loaded.problems}, indent=2))
    else:
        show_table(["SETTING", "VALUE", "FROM"], [list(row) for row in loaded.rows()], empty="")
        for problem in loaded.problems:
            click.echo(f"Error: {problem}", err=True)
    sys.exit(bool(loaded.problems))
