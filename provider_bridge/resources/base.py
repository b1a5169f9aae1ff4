"""What Exclave's resources have in common: a connection, and errors of the IMS shown on their attributes."""

import re
from abc import abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING

from provider_bridge.framework.diagnostics import Path, RefusedError, error
from provider_bridge.framework.resource import Call, DataSource, Resource
from provider_bridge.framework.schema import Schema
from provider_bridge.problems import Json, ProblemError
from provider_bridge.protocol.values import Object, is_known
from provider_bridge.resources.connection import Connection
from provider_bridge.resources.refusals import refusals

if TYPE_CHECKING:
    from provider_bridge.client import Client


_VERSION = "version"
"""Where private state keeps the object's version (its ETag), as it was last read."""

_COLLECTIONS = {"app_id": "apps", "install_id": "installs"}
"""Where to find what an attribute names, by id or by name."""


class ApiResource(Resource):
    """A resource that is one object of the API. Subclasses talk to the client; what it raises is translated here.

    Private state has the object's version as Terraform last saw it: `seen` keeps it, and `expected` gives it to the update, so
    that a change that somebody else has made since the plan is refused instead of overwritten.
    """

    def __init__(self, type_name: str, schema: Schema, connection: Connection) -> None:
        self.type_name = type_name
        self.schema = schema
        self.connection = connection

    def seen(self, call: Call, answer: Json) -> None:
        """Remember the version of an object of the API."""
        call.private[_VERSION] = answer["version"]

    def expected(self, call: Call) -> int | None:
        """The version that the plan was made for; None if none was seen."""
        return call.private.get(_VERSION)

    def replaces(self, prior: Object, planned: Object) -> Iterable[Path]:
        """See `Resource.replaces`. The id and the name of one app or install are the same: from one to the other isn't new."""
        with refusals(self.schema):
            return [path for path in super().replaces(prior, planned) if not self._same(path, prior, planned)]

    def _same(self, path: Path, prior: Object, planned: Object) -> bool:
        name = str(path[0])
        client, collection = self.connection.client, _COLLECTIONS.get(name)
        if client is None or collection is None or not is_known(planned[name]):
            return False
        try:
            return bool(client.get(collection, prior[name])["id"] == client.get(collection, planned[name])["id"])
        except ProblemError as problem:
            if problem.is_not_there:
                return False
            raise

    def create(self, call: Call, planned: Object) -> Object | None:
        """See `Resource.create`."""
        with refusals(self.schema), self.connection.activity.at_work():
            return self.api_create(call, self.connection.need(), planned)

    def read(self, call: Call, state: Object) -> Object | None:
        """See `Resource.read`. Unread while the provider's configuration isn't known."""
        client = self.connection.client
        if client is None:
            return state
        with refusals(self.schema):
            try:
                return self.api_read(call, client, state)
            except ProblemError as problem:
                if problem.is_not_there:
                    return None
                raise

    def update(self, call: Call, prior: Object, planned: Object) -> Object:
        """See `Resource.update`."""
        with refusals(self.schema), self.connection.activity.at_work():
            return self.api_update(call, self.connection.need(), prior, planned)

    def delete(self, call: Call, prior: Object) -> None:
        """See `Resource.delete`. What another apply of this run still uses is deleted once that lets go of it."""
        with refusals(self.schema), self.connection.activity.at_work():
            client = self.connection.need()
            while True:
                try:
                    return self.api_delete(call, client, prior)
                except ProblemError as problem:
                    if problem.is_not_there:
                        return None
                    if problem.code != "in_use" or not self.connection.activity.wait_for_others(call.stop):
                        raise

    def import_state(self, call: Call, import_id: str) -> Object:
        """See `Resource.import_state`."""
        with refusals(self.schema):
            return self.api_import(call, self.connection.need(), import_id)

    def import_by_identity(self, call: Call, identity: Object) -> Object:
        """See `Resource.import_by_identity`."""
        with refusals(self.schema):
            return self.api_import_by_identity(call, self.connection.need(), identity)

    def listed(self, call: Call, client: "Client", found: Json) -> Object:
        """The state that an import of an object would give, of what a list of the API says of it."""
        return self.api_import(call, client, found["id"])

    @abstractmethod
    def api_create(self, call: Call, client: "Client", planned: Object) -> Object | None:
        """Create through the API."""

    @abstractmethod
    def api_read(self, call: Call, client: "Client", state: Object) -> Object | None:
        """Read through the API; an answer of 404 means that the object is gone."""

    @abstractmethod
    def api_update(self, call: Call, client: "Client", prior: Object, planned: Object) -> Object:
        """Update through the API."""

    @abstractmethod
    def api_delete(self, call: Call, client: "Client", prior: Object) -> None:
        """Delete through the API; an answer of 404 is fine."""

    @abstractmethod
    def api_import(self, call: Call, client: "Client", import_id: str) -> Object:
        """Find through the API."""

    def api_import_by_identity(self, call: Call, client: "Client", identity: Object) -> Object:
        """Find by identity through the API: here, by its id."""
        return self.api_import(call, client, identity["id"])


class ApiDataSource(DataSource):
    """A data source that is one object of the API, or a list of them."""

    def __init__(self, type_name: str, schema: Schema, connection: Connection) -> None:
        self.type_name = type_name
        self.schema = schema
        self.connection = connection

    def read(self, call: Call, config: Object) -> Object:
        """See `DataSource.read`."""
        with refusals(self.schema):
            return self.api_read(self.connection.need(), config)

    @abstractmethod
    def api_read(self, client: "Client", config: Object) -> Object:
        """Read through the API."""


def split_import_id(import_id: str, form: str) -> tuple[str, str]:
    """The two parts of an import id such as `shop/network`. Raises RefusedError that shows the `form` otherwise."""
    match = re.fullmatch(r"([^/]+)/([^/]+)", import_id)
    if not match:
        raise RefusedError(error("Invalid import id", f"{import_id!r} doesn't have the form `{form}`."))
    return match[1], match[2]
