"""`exclave provider`: the commands about the Terraform provider. The `exclave` CLI loads this file when one of them is used."""

import json
from importlib.metadata import version
from pathlib import Path

import click

from provider_bridge import install as installation


@click.group("provider")
def provider_command() -> None:
    """Use Exclave from Terraform and OpenTofu."""


@provider_command.command("install")
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Another provider mirror than ~/.terraform.d/plugins, such as one that `terraform init -plugin-dir` names.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what is installed as JSON.")
def install_command(directory: Path | None, as_json: bool) -> None:
    """Put the provider where `terraform init` and `tofu init` find it."""
    target = (directory or installation.default_directory()).absolute()
    try:
        installed = installation.install(target, version("exclave"))
    except (installation.InstallError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(_as_json(installed) if as_json else _as_text(installed))


def _as_json(installed: installation.Installed) -> str:
    return json.dumps(
        {
            "source": installation.SOURCE,
            "version": installed.version,
            "platform": installed.platform,
            "directory": str(installed.directory),
            "launchers": [str(launcher) for launcher in installed.launchers],
            "changed": installed.changed,
        }
    )


def _as_text(installed: installation.Installed) -> str:
    what = "Installed" if installed.changed else "Already installed:"
    return f"""\
{what} the Exclave provider {installed.version} for {installed.platform} in {installed.directory}

Name it in your configuration; `terraform init` and `tofu init` find it there:

  terraform {{
    required_providers {{
      exclave = {{
        source  = "{installation.SOURCE}"
        version = "{installed.version}"
      }}
    }}
  }}

Tell it where your IMS is and who you are, in the configuration or in the environment:

  provider "exclave" {{
    url        = "http://127.0.0.1:8420" # or EXCLAVE_URL
    token_file = "path/of/the/token"     # or EXCLAVE_TOKEN_FILE, or EXCLAVE_TOKEN with the token itself
  }}

Run this again after you move or replace this Python; lock files stay valid."""
