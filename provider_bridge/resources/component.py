"""`exclave_terraform_module_component`: the resource and the data source."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from provider_bridge.framework.diagnostics import Diagnostic, Key, RefusedError, error
from provider_bridge.framework.planning import changed
from provider_bridge.framework.resource import Call
from provider_bridge.problems import Json
from provider_bridge.protocol.values import UNKNOWN, Object, Value, is_known
from provider_bridge.resources import references
from provider_bridge.resources.base import ApiDataSource, ApiResource, split_import_id
from provider_bridge.resources.wire import map_from_wire, map_to_wire

if TYPE_CHECKING:
    from provider_bridge.client import Client

TYPE = "exclave_terraform_module_component"
_KIND = "terraform_module"
_PATH = ("source", "path")


class ComponentResource(ApiResource):
    """A Terraform module of an app.

    A local folder is known by its content: `source_digest` is computed while planning, so that an edited file shows as a change
    and as a new version. The path as written says only where the files are. Terraform plans once more when it applies, so files
    that change after the plan that was shown end the apply.
    """

    def validate(self, config: Object) -> Iterator[Diagnostic]:
        """References in variables must be readable."""
        variables = config["variables"]
        for name, text in (variables if isinstance(variables, dict) else {}).items():
            for reference in references.malformed(text) if isinstance(text, str) else ():
                yield error(
                    "Invalid reference",
                    f"{reference} is not a reference.",
                    remedy=f"Write one of {references.ALLOWED}.",
                    path=("variables", Key(name)),
                )

    def plan(self, call: Call, config: Object, prior: Object | None, planned: Object) -> Object:
        """Hash the folder, decide whether this is a new version, and have the IMS check it."""
        planned = {**planned, "source_digest": _planned_digest(planned["source"])}
        if prior is not None:
            self.connection.note_name(TYPE, prior["name"])
            if not changed(prior, planned, "app_id", "name", "source", "source_digest", "variables", "bundle_engine"):
                return prior
            planned["version"] = UNKNOWN if _says_something_new(prior, planned) else prior["version"]
        self._check(call, prior, planned)
        return planned

    def _check(self, call: Call, prior: Object | None, planned: Object) -> None:
        attributes, app = self.schema.attributes, planned["app_id"]
        needed = [app, planned["name"], planned["source"], planned["variables"], planned["bundle_engine"]]
        if not is_known(needed):
            return
        config = _to_wire(planned)
        if prior is None:
            name = planned["name"]
            body = {"name": name, "config": config}
            self.connection.check(
                call,
                attributes,
                lambda client: client.check_create("apps", app, "components", body=body),
                app=app,
                creates=(TYPE, name),
            )
        elif not changed(prior, planned, "app_id", "name"):
            component = prior["id"]
            self.connection.check(
                call,
                attributes,
                lambda client: client.check_put("apps", app, "components", component, body={"config": config}),
                app=app,
            )

    def api_create(self, call: Call, client: "Client", planned: Object) -> Object:
        """See `ApiResource`."""
        body = {"name": planned["name"], "config": _to_wire(planned)}
        component = client.create("apps", planned["app_id"], "components", body=body)
        self.connection.components.forget()
        return _to_state(component, planned)

    def api_read(self, call: Call, client: "Client", state: Object) -> Object | None:
        """See `ApiResource`. All components of the app are read at once."""
        self.connection.note_name(TYPE, state["name"])

        def fetch(app: str, cursor: str | None) -> Json:
            more: dict[str, str | int] = {"after": cursor} if cursor else {}
            return client.get("apps", app, "components", limit=1000, **more)

        component = self.connection.components.of_app(state["app_id"], fetch).get(state["id"])
        return None if component is None else _to_state(component, state)

    def api_update(self, call: Call, client: "Client", prior: Object, planned: Object) -> Object:
        """See `ApiResource`."""
        body = {"config": _to_wire(planned)}
        component = client.put("apps", prior["app_id"], "components", prior["id"], body=body)
        self.connection.components.forget()
        return _to_state(component, planned)

    def api_delete(self, call: Call, client: "Client", prior: Object) -> None:
        """See `ApiResource`."""
        client.delete("apps", prior["app_id"], "components", prior["id"])
        self.connection.components.forget()

    def api_import(self, call: Call, client: "Client", import_id: str) -> Object:
        """By `app/component`, each an id or a name."""
        app, name = split_import_id(import_id, "app/component")
        component = client.get("apps", app, "components", name)
        _must_be_a_module(component)
        return _to_state(component, None)


class ComponentDataSource(ApiDataSource):
    """A component, by its app and name."""

    def api_read(self, client: "Client", config: Object) -> Object:
        """See `ApiDataSource`."""
        component = client.get("apps", config["app_id"], "components", config["name"])
        _must_be_a_module(component)
        return {**_to_state(component, None), "app_id": config["app_id"], "name": config["name"]}


def _must_be_a_module(component: Json) -> None:
    if component["kind"] != _KIND:
        raise RefusedError(
            error("Another kind of component", f"Component {component['name']!r} is of kind {component['kind']}, not {_KIND}.")
        )


def _planned_digest(source: Value) -> Value:
    """The digest of the folder that a planned source names; null for git, unknown while the path is."""
    if source is UNKNOWN or source["path"] is UNKNOWN:
        return UNKNOWN
    if source["path"] is None:
        return UNKNOWN if source["git"] is UNKNOWN else None
    return _digest(source["path"])


def _digest(path: str) -> str:
    from provider_bridge.resources.source_digest import SourceError, source_digest

    if not os.path.isdir(path):  # noqa: PTH112 - pathlib costs start time here
        raise RefusedError(
            error(
                "No such folder",
                f"There is no folder {path!r} (in {os.getcwd()}).",  # noqa: PTH109
                remedy="Check the path. One relative to the module's own folder is written `${path.module}/…`.",
                path=_PATH,
            )
        )
    try:
        return source_digest(path)
    except (OSError, SourceError) as reason:
        raise RefusedError(error("The folder can't be read", f"{path!r}: {reason}", path=_PATH)) from reason


def _says_something_new(prior: Object, planned: Object) -> bool:
    """Whether the IMS will count this as a new version: a path with the same content isn't one."""
    if changed(prior, planned, "variables", "bundle_engine", "source_digest"):
        return True
    same_content = planned["source_digest"] is not None and prior["source_digest"] is not None
    return not same_content and changed(prior, planned, "source")


def _to_wire(planned: Object) -> Json:
    source = planned["source"]
    if source["path"] is not None:
        digest = planned["source_digest"]
        path = os.path.abspath(source["path"])  # noqa: PTH100
        wire: Json = {"path": {"path": path, "digest": _digest(path) if digest is UNKNOWN else digest}}
    else:
        wire = {"git": source["git"]}
    return {
        "kind": _KIND,
        "source": wire,
        "variables": map_to_wire(planned["variables"]),
        "bundle_engine": planned["bundle_engine"],
    }


def _to_state(component: Json, before: Object | None) -> Object:
    """The component as state. Path, variables and app stay as written in `before`, where they mean the same."""
    config = component["config"]
    before = before or {"app_id": component["app_id"], "source": None, "source_digest": None, "variables": None}
    path = config["source"]["path"]
    digest = path["digest"] if path else None
    return {
        "id": component["id"],
        "app_id": before["app_id"],
        "name": component["name"],
        "version": component["version"],
        "source": {"path": _path_to_state(path, before) if path else None, "git": config["source"]["git"]},
        "source_digest": digest,
        "variables": map_from_wire(config["variables"], before["variables"]),
        "bundle_engine": config["bundle_engine"],
    }


def _path_to_state(path: Json, before: Object) -> str:
    written = before["source"]["path"] if before["source"] else None
    same_content = path["digest"] is not None and before["source_digest"] in (path["digest"], UNKNOWN)
    if written is not None and (same_content or os.path.abspath(written) == path["path"]):  # noqa: PTH100
        return str(written)
    return _as_module_path(path["path"])


def _as_module_path(path: str) -> str:
    """An absolute path as a root module writes it, `${path.module}/…`, if it is in the current folder."""
    here = os.getcwd()  # noqa: PTH109
    return f".{path.removeprefix(here)}" if path.startswith(f"{here}/") else path
