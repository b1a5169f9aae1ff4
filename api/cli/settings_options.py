"""How commands that work on the data folder get the settings: `--data`, `--config`, and refusals in plain words."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from api.configuration import Loaded, load
from api.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])


def settings_options(command: F) -> F:
    """Add --data and --config to a command."""
    folder = click.Path(file_okay=False, path_type=Path)
    command = click.option("--data", type=folder, help="The folder of the IMS. [default: EXCLAVE_DATA, else ~/.exclave]")(
        command
    )
    file = click.Path(dir_okay=False, path_type=Path)
    return click.option(
        "--config", type=file, help="The settings file. [default: EXCLAVE_CONFIG, else exclave.toml in the data folder]"
    )(command)


def load_settings(config: Path | None, **flags: Any) -> Loaded:
    """What all sources say; a flag that is None wasn't given. In a flag's name `__` parts groups, as in a variable's."""
    given = {name.replace("__", "."): value for name, value in flags.items() if value is not None}
    return load(config=config, env=os.environ, flags=given)


def effective_settings(config: Path | None, **flags: Any) -> Settings:
    """The settings. Raises click.ClickException that lists everything that is wrong with them."""
    loaded = load_settings(config, **flags)
    if loaded.settings is None:
        raise click.ClickException("\n".join(["these settings can't be used:", *(f"  {one}" for one in loaded.problems)]))
    return loaded.settings
