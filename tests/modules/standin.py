"""Stand-ins for cloud providers of Terraform: their real schemas, with the few types that the modules need brought to life.

No binary of the real providers can be had from a Python index. What a stand-in knows from the real one is its schema in
`schemas/`; which changes replace an object, and defaults, are written here from the providers' documentation. A type without a
handler can be planned and validated, and lives in the state alone.
"""

import json
from pathlib import Path
from typing import Any, ClassVar

from provider_bridge.framework.diagnostics import RefusedError, error
from provider_bridge.framework.resource import Call, DataSource, Provider, Resource
from provider_bridge.framework.schema import Schema, schema_from_json
from provider_bridge.protocol.values import Object

SCHEMAS = Path(__file__).with_name("schemas")
OLDEST = {
    "aws": "aws-5.31.0",
    "google": "google-5.11.0",
    "install-aws": "aws-5.99.1",
    "install-google": "google-6.38.0",
}
NEWEST = {"aws": "aws-6.69.1", "google": "google-8.7.0", "install-aws": "aws-6.69.1", "install-google": "google-8.7.0"}

Document = dict[str, Any]


def refused(summary: str, detail: str) -> RefusedError:
    """What the cloud said, as an error of Terraform's."""
    return RefusedError(error(summary, detail))


class Handler(Resource):
    """One type that lives. `replaces` and `defaults` are what a schema from the bindings doesn't say."""

    replaces_: ClassVar[tuple[str, ...]] = ()
    defaults: ClassVar[Document] = {}
    follows: ClassVar[tuple[str, ...]] = ()
    """Computed attributes that change with others."""

    json_: ClassVar[tuple[str, ...]] = ()
    """Attributes that hold JSON, which the cloud may lay out anew."""

    def __init__(self, provider: "StandIn", schema: Document) -> None:
        self.provider = provider
        self.schema = self.schema_of(schema["block"])

    def schema_of(self, block: Document) -> Schema:
        document = framework_schema(block)
        for name, attribute in document["attributes"].items():
            attribute["replaces"] = name in self.replaces_
            # As in the SDK that the real ones are made with: what only the cloud can say stays, whatever else changes.
            attribute["stable"] = attribute.get("computed", False) and name not in self.follows
            if name in self.defaults:
                attribute["default"] = self.defaults[name]
                attribute.pop("computed", None)
                attribute["stable"] = False
            if name in self.json_:
                attribute["normalized"] = "json"
        return schema_from_json(document)

    @property
    def clients(self) -> Any:
        """What `StandIn.connect` made of the provider's configuration."""
        return self.provider.clients

    def create(self, call: Call, planned: Object) -> Object | None:
        more = {"arn": "arn:aws:in-the-state-alone:::object"} if "arn" in planned else {}
        return {**known(planned), "id": "in-the-state-alone", **more}

    def read(self, call: Call, state: Object) -> Object | None:
        return state

    def update(self, call: Call, prior: Object, planned: Object) -> Object:
        return {**known(planned), "id": prior["id"]}

    def delete(self, call: Call, prior: Object) -> None:
        pass

    def import_state(self, call: Call, import_id: str) -> Object:
        raise refused("No import", "The stand-in imports nothing of this type.")


class Reader(DataSource):
    """A data source that lives."""

    def __init__(self, provider: "StandIn", schema: Document) -> None:
        self.provider = provider
        self.schema = schema_from_json(framework_schema(schema["block"]))

    def read(self, call: Call, config: Object) -> Object:
        raise refused("No data", "The stand-in has no such data source.")


class StandIn(Provider):
    """A provider with the schemas of a real one's version, such as `aws-6.69.1`."""

    address = ""
    handlers: ClassVar[dict[str, type[Handler]]] = {}
    readers: ClassVar[dict[str, type[Reader]]] = {}

    def __init__(self, version: str) -> None:
        document = json.loads((SCHEMAS / f"{version}.json").read_text())
        self.clients: Any = None
        self.schema = schema_from_json(framework_schema(document["provider"]["block"]))
        self.resources = {
            name: self.handlers.get(name, Handler)(self, schema) for name, schema in document["resource_schemas"].items()
        }
        self.data_sources = {
            name: self.readers.get(name, Reader)(self, schema) for name, schema in document["data_source_schemas"].items()
        }

    def configure(self, call: Call, config: Object) -> None:
        self.clients = self.connect(config)

    def connect(self, config: Object) -> Any:
        """Clients of the cloud's API, for a run's configuration."""
        return None


def framework_schema(block: Document) -> Document:
    """A block of `providers schema -json` as the bridge's framework takes it."""
    attributes = {
        name: {"description": "", **{key: each[key] for key in ("type", "required", "optional", "computed") if key in each}}
        for name, each in block["attributes"].items()
    }
    for name in attributes:
        if name.endswith("_wo"):  # so the real ones name what is write-only, which the bindings don't say
            attributes[name]["write_only"] = True
    blocks = {
        name: {
            **framework_schema(each["block"]),
            "nesting": each["nesting_mode"],
            "min_items": each.get("min_items", 0),
            "max_items": each.get("max_items", 0),
        }
        for name, each in block["block_types"].items()
    }
    return {"attributes": attributes, "blocks": blocks}


def known(planned: Object) -> Object:
    """A plan's values, with null for what only the cloud can say, however deep."""
    return {name: _known(value) for name, value in planned.items()}


def _known(value: Any) -> Any:
    from provider_bridge.protocol.values import UNKNOWN

    if value is UNKNOWN:
        return None
    if isinstance(value, dict):
        return {name: _known(each) for name, each in value.items()}
    return [_known(each) for each in value] if isinstance(value, list) else value
