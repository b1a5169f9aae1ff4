"""What a provider is made of: resources, data sources and the provider's own configuration."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from provider_bridge.framework import planning
from provider_bridge.framework.diagnostics import Diagnostic, Path
from provider_bridge.framework.schema import Schema
from provider_bridge.protocol.values import Object, Value


@dataclass
class Call:
    """One call of Terraform's. `diagnostics` is what the user will be told.

    `private` is JSON that Terraform keeps with the resource's state and shows to nobody; what is in it at the call's end is
    kept. `stop` is set when the user asks Terraform to stop: whatever waits then ends early.
    """

    stop: threading.Event
    diagnostics: list[Diagnostic] = field(default_factory=list)
    private: dict[str, Value] = field(default_factory=dict)


class Resource(ABC):
    """One managed resource type. Every method may raise RefusedError.

    `validate` and `upgrade` are called before the provider is configured, so they reach nothing but their arguments.
    """

    schema: Schema

    def validate(self, config: Object) -> Iterable[Diagnostic]:
        """What is wrong with `config` beyond its schema's rules, which it satisfies. Values may be unknown."""
        return ()

    def plan(self, call: Call, config: Object, prior: Object | None, planned: Object) -> Object:
        """The planned state, from one with defaults and unknowns filled in. Called for creates and updates."""
        return planned

    def replaces(self, prior: Object, planned: Object) -> Iterable[Path]:
        """The attributes whose planned change makes a new object."""
        return planning.replacing_paths(self.schema.attributes, prior, planned)

    @abstractmethod
    def create(self, call: Call, planned: Object) -> Object | None:
        """Make the object. Returns its state, or None if an error was added and nothing is to be remembered."""

    @abstractmethod
    def read(self, call: Call, state: Object) -> Object | None:
        """The object as it is now, or None if it is gone."""

    @abstractmethod
    def update(self, call: Call, prior: Object, planned: Object) -> Object:
        """Change the object. Returns its new state, also after an error that left it half-way. Raising keeps `prior`."""

    @abstractmethod
    def delete(self, call: Call, prior: Object) -> None:
        """Remove the object; one that is gone already is fine. Raising keeps it in the state."""

    @abstractmethod
    def import_state(self, call: Call, import_id: str) -> Object:
        """The state of the object that a user names so. Raises RefusedError if there is none."""

    def upgrade(self, version: int, state: Object) -> Object:
        """A state stored under an older `version` of the schema, in today's form."""
        return state


class DataSource(ABC):
    """One data source type."""

    schema: Schema

    @abstractmethod
    def read(self, call: Call, config: Object) -> Object:
        """The data. Raises RefusedError if there is none."""


class Provider(ABC):
    """The provider: its own configuration and everything that it offers, by type name."""

    schema: Schema
    resources: Mapping[str, Resource]
    data_sources: Mapping[str, DataSource]

    @abstractmethod
    def configure(self, call: Call, config: Object) -> None:
        """Take the configuration of one Terraform run. `call.stop` is that run's."""
