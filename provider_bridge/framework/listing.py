"""List resources: what `terraform query` (1.14 and newer) finds, so that it can be imported."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from provider_bridge.framework.diagnostics import Diagnostic
from provider_bridge.framework.resource import Call
from provider_bridge.framework.schema import Schema
from provider_bridge.protocol.values import Object


@dataclass(frozen=True)
class Listed:
    """One object that was found: its identity, and its state if that was asked for."""

    display_name: str
    identity: Object
    resource: Object | None = None


class ListResource(ABC):
    """What finds the objects of the managed resource type of the same name, which has an identity.

    `schema` is that of the list's `config` block.
    """

    schema: Schema

    def validate(self, config: Object) -> Iterable[Diagnostic]:
        """What is wrong with `config` beyond its schema's rules, which it satisfies. Values may be unknown."""
        return ()

    @abstractmethod
    def list(self, call: Call, config: Object, limit: int, include_resource: bool) -> Iterator[Listed]:
        """At most `limit` objects, with their state if `include_resource`. May raise RefusedError at any point.

        What is added to `call.diagnostics` is told with the next object, or at the end.
        """
