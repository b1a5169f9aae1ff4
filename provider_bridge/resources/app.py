"""`exclave_app`: the resource and the data source."""

import json
from typing import TYPE_CHECKING

from provider_bridge.framework.planning import changed
from provider_bridge.framework.resource import Call
from provider_bridge.problems import Json
from provider_bridge.protocol.values import UNKNOWN, Object, Value, is_known
from provider_bridge.resources.base import ApiDataSource, ApiResource
from provider_bridge.resources.wire import as_text, same_text

if TYPE_CHECKING:
    from provider_bridge.client import Client


class AppResource(ApiResource):
    """An app with its inputs. In HCL the inputs are a map by name; on the wire a list, sorted by name."""

    def plan(self, call: Call, config: Object, prior: Object | None, planned: Object) -> Object:
        """Have the IMS check the app while its own values are known."""
        self.connection.plans.note_app(prior["id"] if prior else None, planned["name"], _noted_inputs(planned["inputs"]))
        if prior is not None:
            self.connection.note_name(self.type_name, prior["name"])
            if not changed(prior, planned, "name", "description", "inputs", "labels"):
                return planned
            self.connection.note_app_changes(prior["id"], prior["name"])
        if not is_known([planned["name"], planned["description"], planned["inputs"], planned["labels"]]):
            return planned
        body = _to_wire(planned)
        if prior is None:
            taken = (self.type_name, planned["name"])
            self.connection.check(call, self.schema, lambda client: client.check_create("apps", body=body), creates=taken)
        elif prior["name"] == planned["name"]:
            app = prior["id"]
            self.connection.check(call, self.schema, lambda client: client.check_put("apps", app, body=_update(body)))
        return planned

    def api_create(self, call: Call, client: "Client", planned: Object) -> Object:
        """See `ApiResource`."""
        return self._written(call, client.create("apps", body=_to_wire(planned)), planned)

    def api_read(self, call: Call, client: "Client", state: Object) -> Object:
        """See `ApiResource`."""
        self.connection.note_name(self.type_name, state["name"])
        return self._seen(call, client.get("apps", state["id"]), state)

    def api_update(self, call: Call, client: "Client", prior: Object, planned: Object) -> Object:
        """See `ApiResource`."""
        body = _update(_to_wire(planned))
        return self._written(call, client.put("apps", prior["id"], body=body, version=self.expected(call)), planned)

    def _written(self, call: Call, app: Json, planned: Object) -> Object:
        self.connection.lists.forget()
        return self._seen(call, app, planned)

    def _seen(self, call: Call, app: Json, before: Object | None) -> Object:
        self.seen(call, app)
        return _to_state(app, before)

    def api_delete(self, call: Call, client: "Client", prior: Object) -> None:
        """See `ApiResource`."""
        client.delete("apps", prior["id"])

    def api_import(self, call: Call, client: "Client", import_id: str) -> Object:
        """By id or name."""
        return self._seen(call, client.get("apps", import_id), None)


class AppDataSource(ApiDataSource):
    """An app, by id or name."""

    def api_read(self, client: "Client", config: Object) -> Object:
        """See `ApiDataSource`."""
        return _to_state(client.get("apps", config["id"] or config["name"]), None)


def _to_wire(planned: Object) -> Json:
    inputs = _inputs_to_wire(planned["inputs"])
    return {"name": planned["name"], "description": planned["description"], "inputs": inputs, "labels": planned["labels"]}


def _inputs_to_wire(inputs: Object) -> list[Json]:
    return [
        {**spec, "name": name, "default": _default_to_wire(spec["type"], spec["default"])}
        for name, spec in sorted(inputs.items())
    ]


def _noted_inputs(inputs: Value) -> list[Json] | None:
    """The inputs, without what isn't known, as checks of other resources take them; None if it isn't known which there are."""
    if inputs is UNKNOWN:
        return None
    nothing = {"default": None}
    known = {name: nothing | {at: value for at, value in spec.items() if value is not UNKNOWN} for name, spec in inputs.items()
             if spec is not UNKNOWN}  # fmt: skip
    return _inputs_to_wire(known) if len(known) == len(inputs) and all("type" in spec for spec in known.values()) else None


def _update(body: Json) -> Json:
    return {name: value for name, value in body.items() if name != "name"}


def _default_to_wire(kind: str, written: str | None) -> Json:
    """The default as a value of its type. One that isn't goes as it is: the IMS says what is wrong, on the attribute."""
    if written is None or kind == "string":
        return written
    try:
        return json.loads(written)
    except ValueError:
        return written


def _to_state(app: Json, before: Object | None) -> Object:
    """The app as state. Defaults stay as they are written in `before`, if they mean the same."""
    written = (before or {}).get("inputs") or {}
    inputs = {}
    for spec in app["inputs"]:
        text = (written.get(spec["name"]) or {}).get("default")
        inputs[spec["name"]] = {
            **{name: value for name, value in spec.items() if name != "name"},
            "default": _default_to_state(spec["default"], text),
        }
    same = {name: app[name] for name in ("id", "name", "description", "labels")}
    return {**same, "inputs": inputs}


def _default_to_state(value: Json, written: str | None) -> Value:
    if value is None:
        return None
    return written if written is not None and same_text(written, value) else as_text(value)
