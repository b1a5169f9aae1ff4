"""`exclave_webhook`: the resource and the data source."""

from typing import TYPE_CHECKING

from provider_bridge.framework.planning import changed
from provider_bridge.framework.resource import Call
from provider_bridge.problems import Json
from provider_bridge.protocol.values import Object
from provider_bridge.resources import secret_files
from provider_bridge.resources.base import ApiDataSource, ApiResource
from provider_bridge.resources.wire import object_from_wire

if TYPE_CHECKING:
    from provider_bridge.client import Client

_SETTINGS = ("url", "events", "app_id", "install_id", "enabled", "description")
_WHOSE = ("app_id", "install_id")


class WebhookResource(ApiResource):
    """A webhook. Its signing secret goes to a file; another `secret_file` rotates it, because it is shown only when it is made.

    Private state has the ids of the app or install, which a config may name: a name that still means the same id stays.
    """

    def api_create(self, call: Call, client: "Client", planned: Object) -> Object:
        """See `ApiResource`."""
        body = {"name": planned["name"], **_settings(planned)}
        made = secret_files.make("secret_file", planned["secret_file"], lambda: client.create_once("webhooks", body=body))
        return self._written(call, made, planned)

    def api_read(self, call: Call, client: "Client", state: Object) -> Object:
        """See `ApiResource`."""
        webhook = client.get("webhooks", state["id"])
        self.seen(call, webhook)
        return self._to_state(call, webhook, state)

    def api_update(self, call: Call, client: "Client", prior: Object, planned: Object) -> Object:
        """See `ApiResource`."""
        webhook = client.put("webhooks", prior["id"], body=_settings(planned), version=self.expected(call))
        path = planned["secret_file"]
        if path is not None and changed(prior, planned, "secret_file"):
            webhook = secret_files.make(
                "secret_file", path, lambda: client.create_once("webhooks", prior["id"], "rotate", body={})
            )
            secret_files.remove(prior["secret_file"])
        return self._written(call, webhook, planned)

    def _written(self, call: Call, webhook: Json, planned: Object) -> Object:
        self.seen(call, webhook)
        call.private["whose"] = {name: webhook[name] for name in _WHOSE}
        return self._to_state(call, webhook, planned)

    def _to_state(self, call: Call, webhook: Json, before: Object) -> Object:
        state = {**object_from_wire(self.schema.attributes, webhook), "secret_file": before.get("secret_file")}
        if call.private.get("whose") == {name: webhook[name] for name in _WHOSE}:
            state |= {name: before[name] for name in _WHOSE}
        return state

    def api_delete(self, call: Call, client: "Client", prior: Object) -> None:
        """See `ApiResource`."""
        secret_files.remove(prior["secret_file"])
        client.delete("webhooks", prior["id"])

    def api_import(self, call: Call, client: "Client", import_id: str) -> Object:
        """By id or name. A configuration with a `secret_file` rotates the secret; the old one signs beside it for a day."""
        webhook = client.get("webhooks", import_id)
        return self._written(call, webhook, {name: webhook[name] for name in _WHOSE})


class WebhookDataSource(ApiDataSource):
    """A webhook, by id or name."""

    def api_read(self, client: "Client", config: Object) -> Object:
        """See `ApiDataSource`."""
        return object_from_wire(self.schema.attributes, client.get("webhooks", config["id"] or config["name"]))


def _settings(planned: Object) -> Json:
    return {name: planned[name] for name in _SETTINGS}
