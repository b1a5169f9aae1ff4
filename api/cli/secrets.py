"""`exclave secrets`. A value is never an argument: it would stand in the process list and in the shell's history."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import click
from pydantic import BaseModel

from api.cli.session import ims_options, run, segment, show_json, show_table
from api.client import ApiError, ImsClient
from api.contract.base import Page
from api.contract.secrets import Rotation, Secret, SecretCreate, SecretUpdate

Say = Callable[[Rotation], None]


class _Named(BaseModel):
    """As much of an app or an install as is needed here."""

    id: str


@click.group("secrets")
def secrets_command() -> None:
    """Set, list, delete and rotate secrets. Their values are never shown again."""


@secrets_command.command("set")
@click.argument("name")
@click.option("--from-file", type=click.Path(path_type=Path, allow_dash=True), help="Take the value from this file, as it is.")
@click.option("--app", help="Only this app may use it.")
@click.option("--install", help="Only this install may use it.")
@ims_options
def set_secret(name: str, from_file: Path | None, app: str | None, install: str | None, url: str, as_json: bool) -> None:
    """Make the secret NAME, or give it a new value.

    The value is read from standard input, without its last line end; on a terminal it is asked for, and not shown. Components
    refer to it as {{ secrets.NAME }}; installs get a new value with their next deploy.
    """
    if app and install:
        raise click.UsageError("give --app or --install, not both")
    value = _value(name, from_file)

    async def work(ims: ImsClient) -> Secret:
        try:
            body = SecretCreate(name=name, value=value, app_id=app, install_id=install)
            return await ims.call("POST", "/v1/secrets", body=body, answer=Secret)
        except ApiError as error:
            if error.code != "name_taken":
                raise
        known = await _find(ims, name, app, install)
        return await ims.call("PUT", f"/v1/secrets/{known}", body=SecretUpdate(value=value), answer=Secret)

    found = run(url, work)
    if as_json:
        show_json(found)
    else:
        click.echo(f"Secret {found.name} ({found.id}) is at version {found.version}.")


def _value(name: str, from_file: Path | None) -> str:
    try:
        if from_file and str(from_file) != "-":
            value = from_file.read_text()
        elif sys.stdin.isatty():
            value = click.prompt(f"Value of {name}", hide_input=True, confirmation_prompt=True)
        else:
            value = sys.stdin.read().removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise click.ClickException(f"--from-file {from_file} can't be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise click.ClickException("the value isn't UTF-8 text; encode it, for example in base64.") from None
    if not value:
        raise click.ClickException("the value is empty; give it on standard input, or with --from-file FILE.")
    return value


async def _find(ims: ImsClient, name: str, app: str | None, install: str | None) -> str:
    """The id of the secret of this name in the scope that was asked for."""
    scope: tuple[str | None, str | None] = (None, None)
    if app:
        scope = ((await ims.call("GET", f"/v1/apps/{segment(app)}", answer=_Named)).id, None)
    elif install:
        scope = (None, (await ims.call("GET", f"/v1/installs/{segment(install)}", answer=_Named)).id)
    for secret in await _all(ims):
        if secret.name == name and (secret.app_id, secret.install_id) == scope:
            return secret.id
    raise click.ClickException(f"secret {name} was deleted meanwhile; set it again.")


async def _all(ims: ImsClient) -> list[Secret]:
    found: list[Secret] = []
    after: str | None = ""
    while after is not None:
        params: dict[str, str | int] = {"limit": 1000, **({"after": after} if after else {})}
        page = await ims.call("GET", "/v1/secrets", answer=Page[Secret], params=params)
        found, after = found + page.items, page.after
    return found


@secrets_command.command("list")
@ims_options
def list_secrets(url: str, as_json: bool) -> None:
    """List the secrets, without their values."""
    items = run(url, _all)
    if as_json:
        show_json(Page[Secret](items=items))
        return
    rows = [
        [
            secret.name,
            secret.id,
            f"v{secret.version}",
            secret.app_id or secret.install_id or "all",
            ", ".join(dict.fromkeys(f"{use.app}/{use.component}" for use in secret.used_by)) or "-",
            f"{secret.updated_at:%Y-%m-%d %H:%M:%SZ}",
        ]
        for secret in items
    ]
    empty = "No secrets yet. Set one with `exclave secrets set NAME`."
    show_table(["NAME", "ID", "VERSION", "FOR", "USED BY", "SET"], rows, empty=empty)


@secrets_command.command("delete")
@click.argument("secret")
@ims_options
def delete_secret(secret: str, url: str, as_json: bool) -> None:
    """Delete SECRET (a name or an id), if nothing uses it."""

    async def work(ims: ImsClient) -> Secret:
        found = await ims.call("GET", f"/v1/secrets/{segment(secret)}", answer=Secret)
        await ims.call("DELETE", f"/v1/secrets/{found.id}")
        return found

    found = run(url, work)
    if as_json:
        show_json(found)
    else:
        click.echo(f"Secret {found.name} is deleted.")


@secrets_command.command("rotate")
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="Work on this data folder; its IMS is stopped.")
@click.option("--secrets-key", help="With --data: the key that the IMS has now, if the settings don't say it.")
@click.option(
    "--to", metavar="KEY", help="With --data: wrap the data keys under this key (file:…, awskms:…, gcpkms:…) instead."
)
@click.option("--key-file", type=click.Path(dir_okay=False, path_type=Path), help="The same as --to file:KEY_FILE.")
@ims_options
def rotate(data: Path | None, secrets_key: str | None, to: str | None, key_file: Path | None, url: str, as_json: bool) -> None:
    """Seal every value anew, or change the secrets key.

    Without --to and --key-file, every value is sealed with a new data key; with one of them, the data keys are wrapped under a
    new secrets key.

    The first works while the IMS runs, and may be stopped at any time: the same command goes on. The second needs --data, and
    the IMS stopped; it changes no sealed value, and the IMS is then started with --secrets-key KEY.
    """
    if to and key_file:
        raise click.UsageError("give --to or --key-file, not both")
    target = to or (f"file:{key_file.expanduser().absolute()}" if key_file else None)
    if target and not data:
        raise click.UsageError("to wrap the data keys under another key, stop the IMS, and give its folder with --data")
    shown = _Progress(quiet=as_json)
    if data is None:
        _end(run(url, lambda ims: _online(ims, shown)), as_json)
        return
    from api.cli.settings_options import effective_settings
    from api.secrets import offline
    from api.server import DataInUseError
    from api.settings import UnusableDataError

    settings = effective_settings(None, data=data, secrets_key=secrets_key)
    try:
        if target:
            count = asyncio.run(offline.rewrap(settings, target))
            click.echo(f"{count} keys are wrapped under {target} now. Start the IMS with --secrets-key {target}", err=as_json)
        else:
            _end(asyncio.run(offline.rotate(settings, shown)), as_json)
    except (DataInUseError, UnusableDataError) as error:
        raise click.ClickException(str(error)) from None


async def _online(ims: ImsClient, say: Say) -> Rotation:
    state = await ims.call("POST", "/v1/secrets/rotation", answer=Rotation)
    while not state.done:
        say(state)
        state = await ims.call("POST", "/v1/secrets/rotation/steps", answer=Rotation)
    return state


class _Progress:
    """Says on stderr how far a rotation is."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet

    def __call__(self, state: Rotation) -> None:
        if not self._quiet:
            click.echo(f"{state.values_done} of {state.values} values are sealed anew", err=True)


def _end(state: Rotation, as_json: bool) -> None:
    if as_json:
        show_json(state)
    else:
        click.echo(f"All {state.values} values are sealed with the data key {state.data_key}.")
