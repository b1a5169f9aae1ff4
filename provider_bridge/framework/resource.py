"""What a provider is made of: resources, data sources and the provider's own configuration.

What else it may offer is in `ephemeral`, `functions` and `listing`.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from provider_bridge.framework import planning
from provider_bridge.framework.diagnostics import Diagnostic, Path, RefusedError, error
from provider_bridge.framework.schema import Body, Schema
from provider_bridge.protocol.values import Object, Value, is_known

if TYPE_CHECKING:
    from provider_bridge.framework.ephemeral import EphemeralResource
    from provider_bridge.framework.functions import Function
    from provider_bridge.framework.listing import ListResource


class Call:
    """One call of Terraform's. `diagnostics` is what the user will be told.

    `private` is JSON that Terraform keeps with the resource's state and shows to nobody; what is in it at the call's end is
    kept, and an empty one clears it. `stop` is set when the user asks Terraform to stop: whatever waits then ends early.

    `config` is the resource's configuration in a plan, create and update: the one place that has write-only values.
    `write_only_allowed` says whether Terraform knows those (1.11 and newer). `identity` is the object's identity so far.
    """

    config: Object | None = None
    write_only_allowed: bool = True
    identity: Object | None = None
    about: Body | None = None
    """The schema that the diagnostics' paths are in. The framework sets it."""

    def __init__(self, stop: threading.Event) -> None:
        self.stop = stop
        self.diagnostics: list[Diagnostic] = []
        self.private: dict[str, Value] = {}


class Resource(ABC):
    """One managed resource type. Every method may raise RefusedError.

    `validate`, `upgrade`, `upgrade_identity`, `move` and `generate_config` are called before the provider is configured, so
    they reach nothing but their arguments. The states that they and the others return needn't be in the schema's full form:
    what is missing becomes null, what the schema doesn't know goes, and write-only values are dropped.
    """

    schema: Schema

    def validate(self, config: Object) -> Iterable[Diagnostic]:
        """What is wrong with `config` beyond its schema's rules, which it satisfies. Values may be unknown."""
        return ()

    def plan(self, call: Call, config: Object, prior: Object | None, planned: Object) -> Object:
        """The planned state, from one with defaults and unknowns filled in. Called for creates and updates.

        If nothing changes, `planned` is `prior` itself. Neither may be changed in place.
        """
        return planned

    def plan_destroy(self, call: Call, prior: Object) -> None:  # noqa: B027 - most have nothing to say
        """Called when a plan destroys the object; not for a replacement. Diagnostics warn, or refuse the plan."""

    def replaces(self, prior: Object, planned: Object) -> Iterable[Path]:
        """The attributes whose planned change makes a new object."""
        return planning.replacing_paths(self.schema, prior, planned)

    @abstractmethod
    def create(self, call: Call, planned: Object) -> Object | None:
        """Make the object. Returns its state, or None if an error was added and nothing is to be remembered.

        A state that is returned together with an error is tainted: Terraform replaces the object the next time.
        """

    @abstractmethod
    def read(self, call: Call, state: Object) -> Object | None:
        """The object as it is now, or None if it is gone. Called with what an import returned, too."""

    @abstractmethod
    def update(self, call: Call, prior: Object, planned: Object) -> Object:
        """Change the object. Returns its new state, also after an error that left it half-way. Raising keeps `prior`."""

    @abstractmethod
    def delete(self, call: Call, prior: Object) -> None:
        """Remove the object; one that is gone already is fine. Raising keeps it in the state."""

    @abstractmethod
    def import_state(self, call: Call, import_id: str) -> Object:
        """The state of the object that a user names so. Raises RefusedError if there is none."""

    def import_by_identity(self, call: Call, identity: Object) -> Object:
        """The state of the object that has this identity. Raises RefusedError if there is none."""
        raise RefusedError(error("Import by identity isn't supported", 'Import this resource by its id: `id = "…"`.'))

    def identity(self, state: Object) -> Object | None:
        """What tells the object of this state from all others, for the object's life; None as long as it isn't known.

        Here: the attributes of the same names.
        """
        attributes = self.schema.identity
        identity = {name: state.get(name) for name in attributes}
        lacks = any(attributes[name].required and value is None for name, value in identity.items())
        return identity if identity and is_known(identity) and not lacks else None

    def upgrade(self, version: int, state: Object) -> Object:
        """A state stored under an older `version` of the schema, in today's form."""
        return state

    def upgrade_identity(self, version: int, identity: Object) -> Object:
        """An identity stored under an older version, in today's form."""
        return identity

    def move(self, call: Call, source_provider: str, source_type: str, source_version: int, state: Object) -> Object | None:
        """The state of a resource of another type (a `moved` block) as one of this type; None if that can't be.

        `source_provider` is an address such as `registry.terraform.io/hashicorp/null`. `state` has the form of that type, at
        that version of its schema. It is read before it is planned, so an id is enough. `call.private` is the source's.
        """
        return None

    def generate_config(self, state: Object) -> Object:
        """The configuration for an imported object, in `terraform plan -generate-config-out` (1.14 and newer).

        Here: what a user may set and isn't at its default.
        """
        return planning.config_of(self.schema, state)


class DataSource(ABC):
    """One data source type. Both methods may raise RefusedError. `validate` runs on an unconfigured provider."""

    schema: Schema

    def validate(self, config: Object) -> Iterable[Diagnostic]:
        """What is wrong with `config` beyond its schema's rules, which it satisfies. Values may be unknown."""
        return ()

    @abstractmethod
    def read(self, call: Call, config: Object) -> Object:
        """The data. Raises RefusedError if there is none."""


class Provider(ABC):
    """The provider: its own configuration and everything that it offers, by type name (functions: by their own name).

    A mapping may be a `Lazy` one: half of a command's processes need only a few types.
    """

    schema: Schema
    resources: Mapping[str, Resource]
    data_sources: Mapping[str, DataSource]
    ephemeral_resources: "Mapping[str, EphemeralResource]" = {}  # noqa: RUF012 - never changed
    functions: "Mapping[str, Function]" = {}  # noqa: RUF012
    list_resources: "Mapping[str, ListResource]" = {}  # noqa: RUF012

    def prepared(self, call: str) -> bytes | None:
        """The answer to a call that asks for nothing but schemas, as it was encoded ahead; None: it is made of them now."""
        return None

    @abstractmethod
    def configure(self, call: Call, config: Object) -> None:
        """Take the configuration of one Terraform run. `call.stop` is that run's."""
