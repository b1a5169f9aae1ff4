"""`exclave_…_component`: the resource and the data source of every kind. What differs between the kinds is in their schemas."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from provider_bridge.framework.diagnostics import Diagnostic, Key, Path, RefusedError, error
from provider_bridge.framework.planning import changed
from provider_bridge.framework.resource import Call
from provider_bridge.framework.schema import Schema
from provider_bridge.problems import Json
from provider_bridge.protocol.values import UNKNOWN, Object, Value, is_known
from provider_bridge.resources.base import ApiDataSource, ApiResource, split_import_id
from provider_bridge.resources.connection import Connection
from provider_bridge.resources.plans import PlannedComponent, stand_in
from provider_bridge.resources.refusals import at_attribute, attribute_path
from provider_bridge.resources.wire import from_wire, is_text_map, map_from_wire, map_to_wire

if TYPE_CHECKING:
    from provider_bridge.client import Client

_OWN = ("id", "app_id", "name", "version", "source_digest")
"""Attributes that aren't part of the config."""
_SOURCE = ("path", "git")
"""Blocks that are the config's `source`; every other block is a field of the config."""
_WRONG = "This component can't be released so"
_IMAGE_KINDS = ("container_image", "docker_build")
"""Kinds that make an image: the IMS lets one become the other."""


class _Form:
    """How the config of one kind is written in HCL and on the wire."""

    def __init__(self, type_name: str, schema: Schema) -> None:
        self.kind = kind_of(type_name)
        self.schema = schema
        self.fields = [name for name in schema.attributes if name not in _OWN]
        self.config = (*self.fields, *(schema.blocks or _SOURCE))
        self.has_source = "source_digest" in schema.attributes

    def to_wire(self, planned: Object) -> Json:
        """The config in a plan, whose values are known, as the API takes it."""
        wire: Json = {"kind": self.kind}
        for name in self.config:
            value = planned.get(name)
            if name not in _SOURCE:
                wire[name] = map_to_wire(value) if self._is_map(name) else value
        if self.has_source:
            wire["source"] = _source_to_wire(planned)
        return wire

    def draft(self, planned: Object) -> Json:
        """The config in a plan as a draft: with stand-ins for what isn't known, and without looking into folders."""
        known = stand_in(self.schema, planned)
        unsure = self.has_source and planned["source_digest"] is UNKNOWN
        return self.to_wire({**known, "source_digest": None} if unsure else known)

    def is_known_at(self, planned: Object, field: str) -> bool:
        """Whether a plan knows what a field of the API's config is. What is told of a map is told of its keys."""
        path, _ = attribute_path(self.schema, field)
        value: Value = planned if path else [planned.get(name) for name in self.config]
        for part in path:
            if value is UNKNOWN or value is None:
                break
            value = value.get(part.name) if isinstance(part, Key) else value[part]
        of_keys = len(path) == 1 and self._is_map(str(path[0]))
        return value is not UNKNOWN if of_keys else is_known(value)

    def to_state(self, component: Json, before: Object | None) -> Object:
        """The component as state. Path, texts and app stay as written in `before`, where they mean the same."""
        before = before or {}
        state: Object = {
            "id": component["id"],
            "app_id": before.get("app_id") or component["app_id"],
            "name": component["name"],
            "version": component["version"],
        }
        if component["kind"] != self.kind:
            # Another kind, until the apply of a `moved` block: what has to be written differs in everything.
            return state
        config = component["config"]
        for name in self.fields:
            attribute = self.schema.attributes[name]
            value = config.get(name, attribute.default)  # what may be left out is left out where it is empty
            state[name] = map_from_wire(value, before.get(name)) if self._is_map(name) else from_wire(attribute, value)
        for name in self.config:
            if name not in self.fields and name not in _SOURCE:
                state[name] = config[name]
        if self.has_source:
            source = config["source"] or {"path": None, "git": None}
            path = source["path"]
            state["path"] = {"path": _path_to_state(path, before)} if path else None
            state["git"] = source["git"]
            state["source_digest"] = path["digest"] if path else None
        return state

    def _is_map(self, name: str) -> bool:
        return name in self.schema.attributes and is_text_map(self.schema.attributes[name])

    def texts(self, config: Object) -> Iterator[tuple[Path, str]]:
        """Every known text of a config that may hold references, with its path."""
        for name in self.fields:
            value = config[name]
            if self._is_map(name) and isinstance(value, dict):
                yield from (((name, Key(key)), text) for key, text in value.items() if isinstance(text, str))
            elif name == "manifest" and isinstance(value, str):
                yield (name,), value
            elif name == "probes" and isinstance(value, dict):
                known = ((key, kind, probe[kind]) for key, probe in value.items() if probe for kind in ("http", "tcp"))
                yield from (((name, Key(key), kind), text) for key, kind, text in known if isinstance(text, str))


class ComponentResource(ApiResource):
    """A component of an app.

    A local folder is known by its content: `source_digest` is computed while planning, so that an edited file shows as a change
    and as a new version. The path as written says only where the files are. Terraform plans once more when it applies, so files
    that change after the plan that was shown end the apply.
    """

    def __init__(self, type_name: str, schema: Schema, connection: Connection) -> None:
        super().__init__(type_name, schema, connection)
        self.form = _Form(type_name, schema)

    def validate(self, config: Object) -> Iterator[Diagnostic]:
        """References must be readable, and lead to something else."""
        written = [(path, text) for path, text in self.form.texts(config) if "{{" in text]
        if not written:
            return
        from provider_bridge.resources.reference_grammar import malformed, readable

        for path, text in written:
            wrong = malformed(text)
            if wrong:
                yield error("Invalid reference", f"{wrong}.", remedy=wrong.remedy, path=path)
            elif config["name"] is not UNKNOWN:
                for ref in readable(text):
                    if ref.component == config["name"]:
                        yield error("Invalid reference", f"{ref} refers to its own component.", remedy="Remove it.", path=path)

    def plan(self, call: Call, config: Object, prior: Object | None, planned: Object) -> Object:
        """Hash the folder, decide whether this is a new version, and have the IMS check it."""
        if self.form.has_source:
            planned = {**planned, "source_digest": _planned_digest(planned)}
        if prior is not None:
            self.connection.note_name(self.type_name, prior["name"])
        changes = prior is None or changed(prior, planned, "app_id", "name", "source_digest", *self.form.config)
        ours = self._noted(planned, changes=changes)
        plans, app, name = self.connection.plans, planned["app_id"], planned["name"]
        if prior is not None and not changes:
            if plans.needs_changed(app, name, ours):
                self._check_among_others(call, planned, ours)
            return prior
        if prior is not None:
            planned = {**planned, "version": UNKNOWN if self._says_something_new(prior, planned) else prior["version"]}
        if not self._check(call, prior, planned) or self._is_built(prior) or plans.needs_noted(app, ours):
            self._check_among_others(call, planned, ours)
        return planned

    def _noted(self, planned: Object, *, changes: bool) -> PlannedComponent:
        """The component as others may need it, noted for them."""
        texts = [text for _, text in self.form.texts(planned) if "{{" in text]
        ours = PlannedComponent(self.form.draft(planned), texts, changes, lambda field: self.form.is_known_at(planned, field))
        self.connection.plans.note_component(planned["app_id"], planned["name"], ours)
        return ours

    def _is_built(self, prior: Object | None) -> bool:
        """Whether a build may have told which variables there are."""
        return prior is not None and self.form.kind == "terraform_module"

    def _check_among_others(self, call: Call, planned: Object, ours: PlannedComponent) -> None:
        """Have the IMS look at it as a part of its app, as far as that is planned."""
        app, name = planned["app_id"], planned["name"]
        if name is UNKNOWN:
            return
        plans = self.connection.plans
        found = self.connection.check(call, self.schema, lambda client: plans.check_component(client, app, name, ours))
        if found:
            wrong = (at_attribute(self.schema, _WRONG, each["field"], each["message"], each["remedy"]) for each in found)
            raise RefusedError(*wrong)

    def _says_something_new(self, prior: Object, planned: Object) -> bool:
        """Whether the IMS will count this as a new version: a path with the same content isn't one."""
        if changed(prior, planned, "source_digest", *(name for name in self.form.config if name not in _SOURCE)):
            return True
        same_content = planned.get("source_digest") is not None and prior.get("source_digest") is not None
        return not same_content and changed(prior, planned, *_SOURCE)

    def _check(self, call: Call, prior: Object | None, planned: Object) -> bool:
        """Have the IMS look at it alone. Says whether it did."""
        app, name = planned["app_id"], planned["name"]
        if not is_known([app, name, *(planned.get(each) for each in self.form.config)]):
            return False
        config = self.form.to_wire(planned)
        if prior is None:
            body = {"name": name, "config": config}
            answer = self.connection.check(
                call,
                self.schema,
                lambda client: client.check_create("apps", app, "components", body=body),
                app=app,
                creates=(self.type_name, name),
            )
            return answer is not None
        if changed(prior, planned, "app_id", "name"):
            return False
        component = prior["id"]
        answer = self.connection.check(
            call,
            self.schema,
            lambda client: client.check_put("apps", app, "components", component, body={"config": config}),
            app=app,
        )
        return answer is not None

    def api_create(self, call: Call, client: "Client", planned: Object) -> Object:
        """See `ApiResource`."""
        body = {"name": planned["name"], "config": self.form.to_wire(planned)}
        return self._written(call, client.create("apps", planned["app_id"], "components", body=body), planned)

    def api_read(self, call: Call, client: "Client", state: Object) -> Object | None:
        """See `ApiResource`. All components of the app are read at once."""
        self.connection.note_name(self.type_name, state["name"])
        path = ("apps", state["app_id"], "components")
        component = self.connection.lists.all_of(client, path).get(state["id"])
        if component is None:
            return None
        self.seen(call, component)
        return self.form.to_state(component, state)

    def api_update(self, call: Call, client: "Client", prior: Object, planned: Object) -> Object:
        """See `ApiResource`."""
        body = {"config": self.form.to_wire(planned)}
        path = ("apps", prior["app_id"], "components", prior["id"])
        return self._written(call, client.put(*path, body=body, version=self.expected(call)), planned)

    def _written(self, call: Call, component: Json, planned: Object) -> Object:
        self.connection.lists.forget()
        self.seen(call, component)
        return self.form.to_state(component, planned)

    def api_delete(self, call: Call, client: "Client", prior: Object) -> None:
        """See `ApiResource`."""
        try:
            client.delete("apps", prior["app_id"], "components", prior["id"])
        finally:
            self.connection.lists.forget()

    def api_import(self, call: Call, client: "Client", import_id: str) -> Object:
        """By `app/component`, each an id or a name."""
        app, name = split_import_id(import_id, "app/component")
        return self._imported(client.get("apps", app, "components", name))

    def api_import_by_identity(self, call: Call, client: "Client", identity: Object) -> Object:
        """By the component's id alone: every app is asked for its components, each with one request."""
        for app in self.connection.lists.all_of(client, ("apps",)):
            component = self.connection.lists.all_of(client, ("apps", app, "components")).get(identity["id"])
            if component is not None:
                return self._imported(component)
        raise RefusedError(error("No such component", f"There is no component {identity['id']!r}."))

    def _imported(self, component: Json) -> Object:
        must_be(component, self.form.kind)
        return self.form.to_state(component, None)

    def listed(self, call: Call, client: "Client", found: Json) -> Object:
        """See `ApiResource`."""
        return self._imported(found)

    def upgrade(self, version: int, state: Object) -> Object:
        """Version 0 had `path` and `git` in an attribute `source`."""
        source = state.get("source")
        if version > 0 or not source:
            return state
        return {**state, "path": {"path": source["path"]} if source["path"] else None, "git": source["git"]}

    def move(
        self, call: Call, source_provider: str, source_type: str, source_version: int, state: Object
    ) -> Object | None:  # fmt: skip
        """From one kind of image to the other: the component stays, with its history, and gets a new config."""
        if not source_provider.endswith("exclave/exclave") or {kind_of(source_type), self.form.kind} != set(_IMAGE_KINDS):
            return None
        return {name: state[name] for name in ("id", "app_id", "name", "version")}


class ComponentDataSource(ApiDataSource):
    """A component, by its app and name."""

    def __init__(self, type_name: str, schema: Schema, connection: Connection) -> None:
        super().__init__(type_name, schema, connection)
        self._kind = kind_of(type_name)

    def api_read(self, client: "Client", config: Object) -> Object:
        """See `ApiDataSource`."""
        component = client.get("apps", config["app_id"], "components", config["name"])
        must_be(component, self._kind)
        read = {name: from_wire(self.schema.attributes[name], value) for name, value in component["config"].items()
                if name in self.schema.attributes}  # fmt: skip
        source = component["config"].get("source") or {"path": None, "git": None}
        if "source_digest" in self.schema.attributes:
            path = source["path"]
            read |= {"path": {"path": path["path"]} if path else None, "git": source["git"]}
            read["source_digest"] = path["digest"] if path else None
        own = {"id": component["id"], "version": component["version"]}
        return {**read, **own, "app_id": config["app_id"], "name": config["name"]}


def kind_of(type_name: str) -> str:
    """The kind of component that a type is about; what it is, if it is no component's."""
    return type_name.removeprefix("exclave_").removesuffix("_component")


def must_be(component: Json, kind: str) -> None:
    """Raises RefusedError for a component of another kind, with the type that is right."""
    if component["kind"] != kind:
        raise RefusedError(
            error(
                "Another kind of component",
                f"Component {component['name']!r} is of kind {component['kind']}, not {kind}.",
                remedy=f"Use `exclave_{component['kind']}_component`.",
            )
        )


def _planned_digest(planned: Object) -> Value:
    """The digest of the folder that a plan names; null for any other source, unknown while the path is."""
    block = planned["path"]
    if block is UNKNOWN:
        return UNKNOWN
    if block is None:
        return UNKNOWN if planned["git"] is UNKNOWN else None
    return UNKNOWN if block["path"] is UNKNOWN else _digest(block["path"])


def _digest(path: str) -> str:
    from provider_bridge.resources.source_digest import SourceError, source_digest

    if not os.path.isdir(path):  # noqa: PTH112 - pathlib costs start time here
        raise RefusedError(
            error(
                "No such folder",
                f"There is no folder {path!r} (in {os.getcwd()}).",  # noqa: PTH109
                remedy="Check the path. One relative to the module's own folder is written `${path.module}/…`.",
                path=("path", "path"),
            )
        )
    try:
        return source_digest(path)
    except (OSError, SourceError) as reason:
        raise RefusedError(error("The folder can't be read", f"{path!r}: {reason}", path=("path", "path"))) from reason


def _source_to_wire(planned: Object) -> Json:
    if planned["path"] is None:
        return None if planned["git"] is None else {"git": planned["git"]}
    digest = planned["source_digest"]
    path = os.path.abspath(planned["path"]["path"])  # noqa: PTH100
    return {"path": {"path": path, "digest": _digest(path) if digest is UNKNOWN else digest}}


def _path_to_state(path: Json, before: Object) -> str:
    written = before["path"]["path"] if before.get("path") else None
    same_content = path["digest"] is not None and before.get("source_digest") in (path["digest"], UNKNOWN)
    if written is not None and (same_content or os.path.abspath(written) == path["path"]):  # noqa: PTH100
        return str(written)
    return _as_module_path(path["path"])


def _as_module_path(path: str) -> str:
    """An absolute path as a root module writes it, `${path.module}/…`, if it is in the current folder."""
    here = os.getcwd()  # noqa: PTH109
    return f".{path.removeprefix(here)}" if path.startswith(f"{here}/") else path
