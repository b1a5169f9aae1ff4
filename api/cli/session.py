"""What commands that talk to an IMS share: where it is, the token, `--json`, and errors in plain words."""

import asyncio
import os
import re
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import IO, Any, TypeVar
from urllib.parse import quote

import click
from pydantic import BaseModel

from api.cli.stored_logins import stored_login
from api.client import ApiError, ImsClient, UnreachableError
from api.contract.base import Page

DEFAULT_URL = "http://127.0.0.1:8420"
_EXIT_CODES = {401: 5, 403: 5, 404: 4}
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T", bound=BaseModel)
_PAGE = 1000


class _NoTokenError(click.ClickException):
    exit_code = _EXIT_CODES[401]


def ims_options(command: F) -> F:
    """Add --url and --json to a command."""
    command = click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)
    return click.option("--url", envvar="EXCLAVE_URL", default=DEFAULT_URL, show_default=True, help="The IMS.")(command)


def _token(url: str) -> str:
    token, source = os.environ.get("EXCLAVE_TOKEN"), "EXCLAVE_TOKEN"
    if not token and (file := os.environ.get("EXCLAVE_TOKEN_FILE")):
        source = f"EXCLAVE_TOKEN_FILE: {file}"
        try:
            token = Path(file).read_bytes().decode(errors="replace").strip()
        except OSError as error:
            raise _NoTokenError(f"{source} can't be read: {error.strerror}") from None
    elif not token:
        token, source = stored_login(url), f"the login of {url}"
    if token is None:
        raise _NoTokenError(
            "No token. Set EXCLAVE_TOKEN, or EXCLAVE_TOKEN_FILE to the path of the IMS's admin.token. "
            "Or log in: `exclave login`."
        )
    if not re.fullmatch(r"[!-~]+", token):
        raise _NoTokenError(f"{source} doesn't hold a token. It is what the IMS's admin.token has in it.")
    return token


def segment(name: str) -> str:
    """An id or a name that a user typed, as one segment of a path."""
    return quote(name, safe="")


def run(url: str, work: Callable[[ImsClient], Awaitable[R]], *, token: Callable[[str], str | None] | None = None) -> R:
    """Run `work` with a client of the IMS. Ends the process with a plain message when the IMS refuses or can't be reached.

    The token is looked for where users put theirs, unless `token` says it.
    """
    if not re.match(r"https?://[^/\s]+", url):
        raise click.UsageError(f"--url {url!r} is not an address; write it like https://ims.example.com")

    async def within() -> R:
        async with ImsClient(url, (token or _token)(url)) as client:
            return await work(client)

    try:
        return asyncio.run(within())
    except ApiError as error:
        problem = error.problem
        remedies = dict.fromkeys([*(one.remedy for one in problem.errors), problem.remedy])  # each one once
        click.echo("\n".join([f"Error: {error}", *(remedy for remedy in remedies if remedy)]), err=True)
        sys.exit(_EXIT_CODES.get(problem.status, 1))
    except UnreachableError as error:
        click.echo(f"Error: {error}\n{error.remedy}", err=True)
        sys.exit(1)


def limit_option(default: int | None) -> Callable[[F], F]:
    """Add --limit to a command that lists."""
    told = str(default) if default else "all"
    return click.option("--limit", type=click.IntRange(1), default=default, help=f"At most so many.  [default: {told}]")


def release_option(what: str) -> Callable[[F], F]:
    """Add --release to a command that lists. See `which_release`."""
    return click.option("--release", help=f"{what}: its id, or its number in its app.")


def which_release(given: str | None) -> dict[str, str | None]:
    """The query parameter of a list of the API for what `--release` has."""
    return {"release_number" if given and given.isdecimal() else "release": given}


async def collect(
    ims: ImsClient, path: str, of: type[T], limit: int | None = None, params: Mapping[str, str | int] | None = None
) -> Page[T]:
    """The items of a collection, page after page, up to `limit`. `after` says where there would be more."""
    items: list[T] = []
    after: str | None = None
    while True:
        size = min(_PAGE, limit - len(items)) if limit else _PAGE
        sent = {**(params or {}), "limit": size, **({"after": after} if after else {})}
        found = await ims.call("GET", path, answer=Page[of], params=sent)  # type: ignore[valid-type]
        items += found.items
        after = found.after
        if after is None or len(items) == limit:
            return Page[of](items=items, after=after)  # type: ignore[valid-type]


def show_json(model: BaseModel) -> None:
    """Print a model as JSON."""
    click.echo(model.model_dump_json(indent=2))


def show_table(headings: list[str], rows: list[list[str]], *, empty: str) -> None:
    """Print rows in columns; `empty` says what to do when there are none."""
    if not rows:
        click.echo(empty)
        return
    widths = [max(len(row[at]) for row in [headings, *rows]) for at in range(len(headings))]
    for row in [headings, *rows]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def none_of(what: str, params: Mapping[str, str | int], remedy: str = "") -> str:
    """What an empty list says: that nothing is as `params` ask for, or that there is nothing yet, and what to do then."""
    asked = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in params.items() if name != "order")
    return f"No {what} with {asked}." if asked else f"No {what} yet. {remedy}".rstrip()


def open_private(file: Path) -> IO[str]:
    """A file that only its owner reads, also if it was there before with another mode."""
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError as error:
        raise click.ClickException(f"can't write --output {file}: {error.strerror}.") from None
    os.fchmod(handle, 0o600)
    return os.fdopen(handle, "w")
