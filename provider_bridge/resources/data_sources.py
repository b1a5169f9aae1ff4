"""Data sources that need no code of their own: one object by its id, and lists with filters."""

from typing import TYPE_CHECKING

from provider_bridge.framework.schema import Schema
from provider_bridge.protocol.values import Object
from provider_bridge.resources.base import ApiDataSource
from provider_bridge.resources.connection import Connection
from provider_bridge.resources.lists import all_pages
from provider_bridge.resources.wire import from_wire, object_from_wire

if TYPE_CHECKING:
    from provider_bridge.client import Client


class ObjectDataSource(ApiDataSource):
    """One object of a collection, by its id."""

    def __init__(self, type_name: str, schema: Schema, connection: Connection, collection: str) -> None:
        super().__init__(type_name, schema, connection)
        self._collection = collection

    def api_read(self, client: "Client", config: Object) -> Object:
        """See `ApiDataSource`."""
        return object_from_wire(self.schema.attributes, client.get(self._collection, config["id"]))


class ListDataSource(ApiDataSource):
    """The objects of a collection. `collection` may name an attribute of the config: `apps/{app_id}/components`.

    The attribute with nested objects takes what is found. Every other one that isn't in the path is a filter: of the API's, by
    the name of its query parameter, if `query` has it; otherwise what is found must have that value.
    """

    def __init__(self, type_name: str, schema: Schema, connection: Connection, collection: str, query: dict[str, str]) -> None:
        super().__init__(type_name, schema, connection)
        self._path = collection.split("/")
        self._query = query
        self._found = next(name for name, attribute in schema.attributes.items() if attribute.nested is not None)

    def api_read(self, client: "Client", config: Object) -> Object:
        """See `ApiDataSource`."""
        given = {name: value for name, value in config.items() if value is not None and name != self._found}
        path = [given.pop(part.strip("{}")) if part.startswith("{") else part for part in self._path]
        query = {self._query[name]: given.pop(name) for name in list(given) if name in self._query}
        items = all_pages(client, path, query)
        items = [each for each in items if all(each[name] == value for name, value in given.items())]
        return {**config, self._found: from_wire(self.schema.attributes[self._found], items)}
