"""`exclave provider`: the commands about the Terraform provider. The `exclave` CLI loads this file when one of them is used."""

import hashlib
import json
import platform
from collections.abc import Iterable
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
    except installation.InstallError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(
            f"can't write {error.filename or target}: {error.strerror}. Name another mirror with --directory."
        ) from error
    click.echo(_as_json(installed) if as_json else _as_text(installed))


@provider_command.command("package")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="The folder for the packages, such as `packages` in the data folder of the IMS.",
)
@click.option(
    "--platform", "platforms", multiple=True, help="linux_amd64, linux_arm64, darwin_amd64, darwin_arm64; else this one."
)
@click.option(
    "--python",
    "pythons",
    multiple=True,
    help="A Python that it shall run on: 3.12, or an interpreter's path. [default: this one; with --platform, all on PATH]",
)
@click.option("--self-contained", is_flag=True, help="With a Python of its own in it; for this platform, by PyInstaller.")
@click.option("--json", "as_json", is_flag=True, help="Print what was made as JSON.")
def package_command(
    output: Path, platforms: tuple[str, ...], pythons: tuple[str, ...], self_contained: bool, as_json: bool
) -> None:
    """Make the zips that a registry or a mirror serves.

    Without --platform and --python, the libraries are those installed here. Else pip fetches them as wheels, in the same
    versions. A package made twice is the same, byte for byte.
    """
    # Here, for `install` needs none of it.
    from provider_bridge.packaging.build import build, choose_pythons
    from provider_bridge.packaging.contents import PackageError, Target
    from provider_bridge.packaging.self_contained import build_self_contained

    if self_contained and (platforms or pythons):
        raise click.UsageError("--self-contained is for this platform and this Python: leave --platform and --python out.")
    try:
        here = installation.terraform_platform(platform.system(), platform.machine())
        name = installation.terraform_version(version("exclave"))
        if self_contained:
            made = [build_self_contained(name, here, output)]
        else:
            interpreters = choose_pythons(pythons, every=bool(platforms))
            targets = [Target(one, tuple(interpreters)) for one in platforms or (here,)]
            made = [build(target, interpreters, name, here, output) for target in targets]
    except (installation.InstallError, PackageError) as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"can't write {error.filename or output}: {error.strerror}.") from error
    click.echo(
        _packages_as_json(made) if as_json else "\n".join(f"{path}  {path.stat().st_size / 1e6:.1f} MB" for path in made)
    )


def _packages_as_json(made: Iterable[Path]) -> str:
    return json.dumps(
        [
            {"file": str(path), "size": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
            for path in made
        ]
    )


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
