"""What a call is about, by the name that it gives."""

from collections.abc import Mapping
from typing import Protocol, TypeVar

from provider_bridge.framework.diagnostics import RefusedError, error
from provider_bridge.framework.resource import Call
from provider_bridge.framework.schema import Schema


class _HasSchema(Protocol):
    schema: Schema


_T = TypeVar("_T", bound=_HasSchema)


def find(offered: Mapping[str, _T], name: str, call: Call) -> _T:
    """What is called so; the call's diagnostics are about it. Raises RefusedError if nothing is."""
    if name not in offered:
        raise RefusedError(error("Unknown type", f"This provider has no {name!r} for what Terraform asked it to do."))
    found = offered[name]
    call.about = found.schema
    return found
