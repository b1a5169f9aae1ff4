"""A provider on the framework alone: things in a dict, which a test may look into and change behind Terraform's back."""

import itertools
import json
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import sample_schemas as schemas

from provider_bridge.framework.diagnostics import Diagnostic, RefusedError, error, warning
from provider_bridge.framework.durations import seconds, timeout
from provider_bridge.framework.ephemeral import EphemeralResource, Opened, Renewed
from provider_bridge.framework.functions import Function, FunctionError, Parameter
from provider_bridge.framework.lazy import Lazy
from provider_bridge.framework.listing import Listed, ListResource
from provider_bridge.framework.resource import Call, DataSource, Provider, Resource
from provider_bridge.protocol.values import UNKNOWN, Object, Value

ADDRESS = "example/sample"
PREAMBLE = 'terraform {\n  required_providers {\n    sample = { source = "example/sample" }\n  }\n}\n'


@dataclass
class Store:
    """The objects by id, write-only values apart, and what has been called."""

    objects: dict[str, Object] = field(default_factory=dict)
    secrets: dict[str, Object] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    private: dict[str, Any] = field(default_factory=dict)
    """Private state as the last read found it, by id."""
    stopped: threading.Event = field(default_factory=threading.Event)
    renewed: threading.Event = field(default_factory=threading.Event)
    _ids: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def new_id(self) -> str:
        return f"id-{next(self._ids)}"

    def named(self, name: str) -> Object:
        found = [each for each in self.objects.values() if each["name"] == name]
        if not found:
            raise RefusedError(error("No such thing", f"There is no {name!r}.", path=("name",)))
        return found[0]


class Thing(Resource):
    """Does what a server does: hands out ids, and brings JSON, YAML and durations into a form of its own."""

    schema = schemas.THING

    def __init__(self, store: Store) -> None:
        self.store = store

    def validate(self, config: Object) -> Iterable[Diagnostic]:
        if config["note"] == "bad":
            yield error("Bad note", "It is bad.", remedy="Write a good one.", path=("note",))

    def plan(self, call: Call, config: Object, prior: Object | None, planned: Object) -> Object:
        if config["note"] == "unplannable":
            raise RefusedError(error("Unplannable", "The plan hook says so.", path=("note",)))
        if prior is not None and planned is not prior and planned["secret_version"] != prior["secret_version"]:
            return {**planned, "secret_length": UNKNOWN}
        return planned

    def plan_destroy(self, call: Call, prior: Object) -> None:
        if prior["note"] == "precious":
            call.diagnostics.append(warning("Precious", "This thing is precious."))

    def create(self, call: Call, planned: Object) -> Object | None:
        if planned["note"] == "crash":
            raise RuntimeError("a bug in create")
        call.private["made"] = planned["name"]
        return self._save(call, self.store.new_id(), planned, 1)

    def read(self, call: Call, state: Object) -> Object | None:
        self.store.calls.append("read")
        self.store.private[state["id"]] = dict(call.private)
        found = self.store.objects.get(state["id"])
        return None if found is None else {**found, "timeouts": state["timeouts"]}

    def update(self, call: Call, prior: Object, planned: Object) -> Object:
        if planned["note"] == "refuse":
            raise RefusedError(error("Refused", "The server says no.", path=("note",)))
        if planned["note"] == "forget":
            call.private.clear()
        return self._save(call, prior["id"], planned, prior["revision"] + 1)

    def delete(self, call: Call, prior: Object) -> None:
        self.store.objects.pop(prior["id"], None)

    def import_state(self, call: Call, import_id: str) -> Object:
        return self.store.objects[import_id] if import_id in self.store.objects else self.store.named(import_id)

    def import_by_identity(self, call: Call, identity: Object) -> Object:
        # A read follows, so the id is enough.
        return {"id": identity["id"]}

    def upgrade(self, version: int, state: Object) -> Object:
        return {**state, "note": state.pop("remark", None)} if version < 2 else state

    def _save(self, call: Call, new_id: str, planned: Object, revision: int) -> Object:
        assert call.config is not None
        secret = call.config["secret"]
        if secret is not None:
            self.store.secrets[new_id] = {"secret": secret, "registry": (call.config["registry"] or {}).get("password")}
        saved = _with_ids(planned, self.store)
        saved.update(id=new_id, revision=revision)
        if planned["secret_length"] is UNKNOWN:
            saved["secret_length"] = len(secret or "")
        if saved["document"] is not None:
            saved["document"] = json.dumps(json.loads(saved["document"]), indent=2, sort_keys=True)
        if saved["every"] is not None:
            saved["every"] = f"{seconds(saved['every']):g}s"
        self.store.objects[new_id] = saved
        return saved


def _with_ids(value: Value, store: Store) -> Any:
    """A plan with an id for each object in it that has none yet."""
    if isinstance(value, dict):
        return {
            key: store.new_id() if key == "id" and each is UNKNOWN else _with_ids(each, store) for key, each in value.items()
        }
    return [_with_ids(each, store) for each in value] if isinstance(value, list) else value


class Part(Resource):
    """What takes time: its id is saved before it is waited for, and a wait ends early when the user asks for it."""

    schema = schemas.PART

    def __init__(self, store: Store) -> None:
        self.store = store

    def create(self, call: Call, planned: Object) -> Object | None:
        self.store.calls.append("waiting")
        if planned["name"] == "after a renewal":
            self.store.renewed.wait(100)
        longest = timeout(planned, "create", 60)
        wanted = seconds(planned["takes"] or "0s")
        made = {**planned, "id": self.store.new_id(), "status": "ready"}
        if call.stop.wait(min(wanted, longest)):
            self.store.stopped.set()
            call.diagnostics.append(warning("Still being made", "It goes on without Terraform."))
            made["status"] = "pending"
        elif wanted > longest:
            raise RefusedError(error("Too slow", f"It has not ended within {longest:g} s.", path=("timeouts",)))
        self.store.objects[made["id"]] = made
        return made

    def read(self, call: Call, state: Object) -> Object | None:
        found = self.store.objects.get(state["id"])
        return None if found is None else {**state, "status": found.get("status", "ready"), "name": found["name"]}

    def update(self, call: Call, prior: Object, planned: Object) -> Object:
        self.store.objects[prior["id"]] = {**planned, "status": "ready"}
        return self.store.objects[prior["id"]]

    def delete(self, call: Call, prior: Object) -> None:
        self.store.objects.pop(prior["id"], None)

    def import_state(self, call: Call, import_id: str) -> Object:
        return self.store.objects[import_id]

    def move(self, call: Call, source_provider: str, source_type: str, source_version: int, state: Object) -> Object | None:
        if not source_provider.endswith("/example/sample") or source_type != "sample_thing":
            return None
        call.private["moved_from"] = source_type
        return {"id": state["id"], "name": state["name"], "status": "ready"}


class ThingData(DataSource):
    schema = schemas.THING_DATA

    def __init__(self, store: Store) -> None:
        self.store = store

    def read(self, call: Call, config: Object) -> Object:
        if config["id"] is not None:
            return self.store.objects[config["id"]]
        return self.store.named(config["name"])


class Token(EphemeralResource):
    schema = schemas.TOKEN

    def __init__(self, store: Store) -> None:
        self.store = store

    def open(self, call: Call, config: Object) -> Opened:
        self.store.calls.append("open")
        soon = datetime.now(UTC) + timedelta(seconds=0.2)
        return Opened({**config, "value": f"token-{config['scope']}"}, {"lease": config["scope"]}, soon)

    def renew(self, call: Call, private: Object) -> Renewed:
        self.store.calls.append(f"renew {private['lease']}")
        self.store.renewed.set()
        return Renewed({"lease": "renewed"})

    def close(self, call: Call, private: Object) -> None:
        self.store.calls.append(f"close {private['lease']}")


class Things(ListResource):
    schema = schemas.THINGS_LIST

    def __init__(self, store: Store) -> None:
        self.store = store

    def list(self, call: Call, config: Object, limit: int, include_resource: bool) -> Iterator[Listed]:
        for each in sorted(self.store.objects.values(), key=lambda each: each["name"]):
            if each["name"].startswith(config["prefix"] or ""):
                yield Listed(each["name"], {"id": each["id"]}, each if include_resource else None)
        if config["prefix"] == "broken":
            raise RefusedError(error("Broken", "The list breaks off."))


class Join(Function):
    summary = "Joins texts"
    description = "Joins texts with a separator."
    parameters = (Parameter("separator", "string", "What goes between.", nullable=True),)
    variadic = Parameter("parts", "string", "The parts.", unknown=True)
    returns = "string"

    def run(self, arguments: list[Value]) -> Value:
        separator, *parts = arguments
        if UNKNOWN in parts:
            return UNKNOWN
        for index, part in enumerate(parts, 1):
            if not part:
                raise FunctionError("a part is empty", index)
        return (separator or "").join(parts)


class Double(Function):
    summary = "Doubles a number"
    parameters = (Parameter("number", "number", "The number."),)
    returns = "number"

    def run(self, arguments: list[Value]) -> Value:
        if arguments[0] == 13:
            raise RuntimeError("a bug in double")
        return arguments[0] * 2


class Sample(Provider):
    def __init__(self) -> None:
        self.store = store = Store()
        self.schema = schemas.PROVIDER
        self.resources = Lazy({"sample_thing": lambda: Thing(store), "sample_part": lambda: Part(store)})
        self.data_sources = {"sample_thing": ThingData(store)}
        self.ephemeral_resources = {"sample_token": Token(store)}
        self.list_resources = {"sample_thing": Things(store)}
        self.functions = {"join": Join(), "double": Double()}

    def configure(self, call: Call, config: Object) -> None:
        if config["realm"] == "closed":
            raise RefusedError(error("Closed", "This realm is closed.", path=("realm",)))
