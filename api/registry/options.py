"""The settings of a registry as options of a command."""

import functools
from collections.abc import Callable
from typing import Any

import click
from pydantic import ValidationError

from api.registry.settings import RegistrySettings

_OPTIONS = (
    ("--quota", str, "How much room all blobs may take, such as 500GiB."),
    ("--repository-quota", str, "How much room the blobs of one repository may take."),
    ("--upload-idle", float, "Give up an upload to which nothing is written for so many seconds."),
    ("--blobs", str, "`disk`, or s3://BUCKET/PREFIX."),
    ("--s3-endpoint", str, "The address of an S3 that isn't Amazon's."),
    ("--s3-region", str, "The bucket's region."),
    ("--s3-redirect/--no-s3-redirect", None, "Whether clients get blobs from the bucket itself."),
    ("--collect-hours", float, "Remove blobs that no manifest lists, so often."),
    ("--collect-grace-hours", float, "What was pushed or asked for within so many hours stays."),
    ("--read-only/--read-write", None, "Whether pushes and deletions are refused."),
)


def settings_options(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command `settings`, made of options that are named as the IMS's settings `registry.…`."""
    names = [declaration.split("/")[0].removeprefix("--").replace("-", "_") for declaration, _, _ in _OPTIONS]

    @functools.wraps(command)
    def with_settings(**given: Any) -> None:
        chosen = {name: value for name in names if (value := given.pop(name)) is not None}
        try:
            settings = RegistrySettings(**chosen)
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]
            option = str(problem["loc"][0]).replace("_", "-")
            raise click.UsageError(f"--{option}: {problem['msg']}") from None
        command(settings=settings, **given)

    wrapped: Callable[..., None] = with_settings
    for declaration, kind, text in reversed(_OPTIONS):
        wrapped = click.option(declaration, type=kind, default=None, help=text)(wrapped)
    return wrapped
