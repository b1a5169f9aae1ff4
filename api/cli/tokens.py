"""`exclave tokens`."""

import asyncio
import re
from pathlib import Path
from typing import get_args

import click
from pydantic import ValidationError

from api.cli.session import collect, ims_options, run, segment, show_json, show_table
from api.contract.access import SCOPE_PATTERN, ServiceRole, Token, TokenCreate, TokenCreated

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _seconds(_: click.Context, __: click.Parameter, text: str | None) -> int | None:
    if text is None:
        return None
    match = re.fullmatch(r"([1-9][0-9]{0,8})([smhd])", text)
    if match is None:
        raise click.BadParameter(f"{text!r} is no time; write it like 12h or 30d")
    return int(match[1]) * _UNITS[match[2]]


@click.group("tokens")
def tokens_command() -> None:
    """Make, list and revoke service tokens."""


@tokens_command.command("create")
@click.argument("name")
@click.option("--role", type=click.Choice(get_args(ServiceRole)), required=True, help="What the token may do.")
@click.option("--scope", default="all", show_default=True, help="Where: all, app:NAME or install:NAME.")
@click.option("--expires-in", callback=_seconds, help="For how long, such as 12h or 30d; for ever if left out.")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Work on this data folder; its IMS is stopped. It needs no token: the way back in for who has none left.",
)
@ims_options
def create(
    name: str, role: ServiceRole, scope: str, expires_in: int | None, data: Path | None, url: str, as_json: bool
) -> None:
    """Make a token. Its secret is shown once."""
    if not re.fullmatch(SCOPE_PATTERN, scope):
        raise click.UsageError(f"--scope {scope!r} is not one of: all, app:NAME, install:NAME")
    if expires_in is not None and not 60 <= expires_in <= 10 * 366 * 86400:
        raise click.UsageError("--expires-in is between 60s and 3660d")
    body = TokenCreate.model_construct(name=name, role=role, scope=scope, expires_in=expires_in)  # the IMS checks the name
    if data is None:
        made = run(url, lambda ims: ims.call("POST", "/v1/tokens", body=body, answer=TokenCreated))
    else:
        made = _create_offline(data, body)
    if as_json:
        show_json(made)
    else:
        until = f", until {made.expires_at:%Y-%m-%d %H:%M:%SZ}" if made.expires_at else ""
        click.echo(f"Token {made.name}, {made.role} of {_where(made)}{until}. Shown only now: {made.secret}")


def _create_offline(data: Path, body: TokenCreate) -> TokenCreated:
    from api.cli.settings_options import effective_settings
    from api.contract.problems import ProblemError
    from api.server import DataInUseError
    from api.settings import UnusableDataError
    from api.tokens import offline

    try:
        checked = TokenCreate.model_validate(body.model_dump())
        return asyncio.run(offline.create(effective_settings(None, data=data), checked))
    except ValidationError as error:
        raise click.UsageError(f"NAME can't be {body.name!r}: {error.errors()[0]['msg']}") from None
    except ProblemError as error:
        raise click.ClickException("\n".join(filter(None, [error.detail, error.remedy]))) from None
    except (DataInUseError, UnusableDataError) as error:
        raise click.ClickException(str(error)) from None


@tokens_command.command("list")
@ims_options
def list_tokens(url: str, as_json: bool) -> None:
    """List the tokens, without their secrets."""
    found = run(url, lambda ims: collect(ims, "/v1/tokens", Token))
    if as_json:
        show_json(found)
        return
    rows = [[one.name, one.role, _where(one), _used(one), _state(one)] for one in found.items]
    show_table(["NAME", "ROLE", "SCOPE", "LAST USED", "STATE"], rows, empty="No tokens yet.")


@tokens_command.command("revoke")
@click.argument("token")
@ims_options
def revoke(token: str, url: str, as_json: bool) -> None:
    """End a token at once, by name or id."""
    run(url, lambda ims: ims.call("DELETE", f"/v1/tokens/{segment(token)}"))
    click.echo("{}" if as_json else f"Token {token} is revoked.")


def _where(token: Token) -> str:
    return f"{token.scope.partition(':')[0]}:{token.scope_name}" if token.scope_name else token.scope


def _used(token: Token) -> str:
    return f"{token.last_used_at:%Y-%m-%d %H:%M:%SZ}" if token.last_used_at else "never"


def _state(token: Token) -> str:
    if token.revoked_at:
        return "revoked"
    return f"until {token.expires_at:%Y-%m-%d %H:%M:%SZ}" if token.expires_at else "works"
