"""Files for what the IMS shows only once: a token, or a signing secret, which must not be in Terraform's state."""

import os
import tempfile
from collections.abc import Callable

from provider_bridge.framework.diagnostics import RefusedError, error
from provider_bridge.problems import Json


def make(attribute: str, path: str | None, create: Callable[[], Json]) -> Json:
    """Make an object and write its `secret` to `path`, with mode 0600; without a path, only make it.

    The file is begun first: a folder that can't be written to raises RefusedError before anything is made.
    """
    if path is None:
        return create()
    whole = os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111 - pathlib costs start time in the provider
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=".exclave-", dir=os.path.dirname(whole))  # noqa: PTH120
    except OSError as reason:
        raise RefusedError(
            error(
                "The file can't be written",
                f"{path!r}: {reason.strerror}.",
                remedy="Give a path in a folder that exists and may be written to.",
                path=(attribute,),
            )
        ) from reason
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            made = create()
            file.write(made["secret"] + "\n")
        os.replace(temporary, whole)  # noqa: PTH105
    except BaseException:
        os.unlink(temporary)  # noqa: PTH108
        raise
    return made


def remove(path: str | None) -> None:
    """Remove a file that was written; one that isn't there, or not on this machine, is fine."""
    if path is not None:
        try:
            os.unlink(os.path.abspath(os.path.expanduser(path)))  # noqa: PTH100, PTH108, PTH111
        except OSError:
            return
