"""List resources: what `terraform query` finds of Exclave's objects, with the states that an import would give them."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from provider_bridge.framework.listing import Listed, ListResource
from provider_bridge.framework.resource import Call
from provider_bridge.framework.schema import Schema
from provider_bridge.problems import Json
from provider_bridge.protocol.values import Object
from provider_bridge.resources.base import ApiResource
from provider_bridge.resources.component import kind_of
from provider_bridge.resources.connection import Connection
from provider_bridge.resources.lists import all_pages
from provider_bridge.resources.refusals import refusals

if TYPE_CHECKING:
    from provider_bridge.client import Client

Find = Callable[["Client", Object, int], Iterator[Json]]
"""The objects that a list's config asks for: client, config, at most so many."""


class ApiListResource(ListResource):
    """What finds the objects of one resource type."""

    def __init__(self, schema: Schema, connection: Connection, resource: Callable[[], ApiResource], find: Find) -> None:
        self.schema = schema
        self.connection = connection
        self._resource = resource
        self._find = find

    def list(self, call: Call, config: Object, limit: int, include_resource: bool) -> Iterator[Listed]:
        """See `ListResource`."""
        resource = self._resource()
        with refusals(self.schema):
            client = self.connection.need()
            for found in self._find(client, config, limit):
                state = resource.listed(call, client, found) if include_resource else None
                yield Listed(_name(found), {"id": found["id"]}, state)


def _name(found: Json) -> str:
    return str(found["name"] if "name" in found else f"release {found['number']}")


def apps(client: "Client", config: Object, limit: int) -> Iterator[Json]:
    """Apps: all, the one of a name, or those with certain labels."""
    yield from all_pages(client, ["apps"], _given(config, name="name", selector="selector"), at_most=limit)


def installs(client: "Client", config: Object, limit: int) -> Iterator[Json]:
    """Installs, of one app or with certain labels."""
    yield from all_pages(client, ["installs"], _given(config, app_id="app", selector="selector"), at_most=limit)


def releases(client: "Client", config: Object, limit: int) -> Iterator[Json]:
    """Releases, of one app or of all."""
    yield from all_pages(client, ["releases"], _given(config, app_id="app"), at_most=limit)


def components(type_name: str) -> Find:
    """What finds the components of one kind, of one app or of all."""

    def find(client: "Client", config: Object, limit: int) -> Iterator[Json]:
        kind, left = kind_of(type_name), limit
        owners = [config["app_id"]] if config["app_id"] else [app["id"] for app in all_pages(client, ["apps"], {})]
        for owner in owners:
            for component in all_pages(client, ["apps", owner, "components"], {}):
                if component["kind"] == kind and left > 0:
                    left -= 1
                    yield component

    return find


def _given(config: Object, **queries: str) -> dict[str, str]:
    return {query: config[name] for name, query in queries.items() if config[name] is not None}
