"""Ephemeral resources: values that exist for one Terraform run and are in no plan and no state."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from provider_bridge.framework.diagnostics import Diagnostic
from provider_bridge.framework.resource import Call
from provider_bridge.framework.schema import Schema
from provider_bridge.protocol.values import Object

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True)
class Opened:
    """`result` is the config with what is computed filled in. `private` is JSON for `renew` and `close`, seen by nobody else.

    `renew_at`, with a time zone, is when Terraform calls `renew` if it still needs the value; None: never.
    """

    result: Object
    private: Object = field(default_factory=dict)
    renew_at: "datetime | None" = None


@dataclass(frozen=True)
class Renewed:
    """What the next `renew` or `close` gets, and when the next is due; None: never."""

    private: Object
    renew_at: "datetime | None" = None


class EphemeralResource(ABC):
    """One ephemeral resource type. Every method may raise RefusedError. `validate` runs on an unconfigured provider."""

    schema: Schema

    def validate(self, config: Object) -> Iterable[Diagnostic]:
        """What is wrong with `config` beyond its schema's rules, which it satisfies. Values may be unknown."""
        return ()

    @abstractmethod
    def open(self, call: Call, config: Object) -> Opened:
        """Make the value. `config` is wholly known."""

    def renew(self, call: Call, private: Object) -> Renewed:
        """Make the value last longer. Called only if `renew_at` was given."""
        return Renewed(private)

    def close(self, call: Call, private: Object) -> None:  # noqa: B027 - most values need no end
        """The value isn't needed any more."""
