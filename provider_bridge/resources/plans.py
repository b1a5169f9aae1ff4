"""What one plan makes of apps, components and installs: for the checks that look at several of them at once.

Terraform plans a resource after those that it refers to: a release after the components whose versions it names, a deployment
after its release and install. So each notes what it will be, and the later ones have the IMS look at all of it, before
anything of it is stored. Where something that counts isn't known in the plan, nothing is said: the apply finds out.
"""

import threading
from typing import TYPE_CHECKING, Any

from provider_bridge.framework.diagnostics import Diagnostic, Key, Path, error
from provider_bridge.framework.schema import Attributes, Body
from provider_bridge.problems import Json
from provider_bridge.protocol.values import UNKNOWN, Object, Value, is_known

if TYPE_CHECKING:
    from provider_bridge.client import Client

_NEW = ""
"""Stands for an app, or an install, that the plan makes: it has no id yet."""


class Plans:
    """Notes of one Terraform run. Safe for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._new_apps = 0
        self._inputs: dict[str, Json] = {}
        self._components: dict[str, dict[str, Json]] = {}
        self._secrets: set[str] = set()
        self._names: dict[str, str] = {}
        self._installs: dict[str, tuple[str, Json | None]] = {}
        self._new_installs: list[tuple[str, Json | None]] = []
        self._releases: list[Json] = []
        self._awaited: set[str] = set()

    def note_app(self, app_id: str | None, name: Value, inputs: Json | None) -> None:
        """An app that is made (no id) or stays; `inputs` as the API takes them, None if they aren't known."""
        with self._lock:
            self._new_apps += app_id is None
            if app_id is not None and isinstance(name, str):
                self._names[name] = app_id
            for key in [_NEW] if app_id is None else [app_id, name]:
                if isinstance(key, str) and inputs is not None:
                    self._inputs[key] = inputs

    def note_component(self, app: Value, name: Value, config: Json) -> None:
        """A component as it will be, with stand-ins for what isn't known."""
        if name is not UNKNOWN:
            with self._lock:
                self._components.setdefault(_key(app), {})[name] = config

    def note_secret(self, name: Value) -> None:
        """A secret that will be there."""
        if name is not UNKNOWN:
            with self._lock:
                self._secrets.add(name)

    def note_install(self, install_id: str | None, app: Value, settings: Json | None) -> None:
        """An install that is made (no id) or stays, and what of its settings changes; None if that isn't known.

        `settings` is a part of a preview's request: `install` and `approval`, or nothing where nothing changes.
        """
        noted = (_key(app), settings)
        with self._lock:
            if install_id is not None:
                self._installs[install_id] = noted
            elif noted not in self._new_installs:
                self._new_installs.append(noted)

    def note_awaited(self, release_id: str) -> None:
        """A release that this run waits for before anything is deployed."""
        with self._lock:
            self._awaited.add(release_id)

    def check_release(self, client: "Client", app: Value, components: Value) -> list[Diagnostic]:
        """What is wrong with an app as it will be when a release of these components (by name) is made."""
        draft = self._draft(client, app, components)
        if draft is None:
            return []
        with self._lock:
            self._releases.append({"app": _key(app), "draft": draft})
        found = client.check("apps", *([app] if isinstance(app, str) else []), "check", body=draft)
        named = components if isinstance(components, dict) else {}
        return [_told(each, ("components", Key(each["component"])) if each["component"] in named else ())
                for each in found["problems"]]  # fmt: skip

    def _draft(self, client: "Client", app: Value, components: Value) -> Json | None:
        with self._lock:
            key = _key(app)
            if key == _NEW and self._new_apps != 1:
                return None  # which of them isn't known
            noted = dict(self._components.get(key, {}))
            draft: Json = {"inputs": self._inputs.get(key), "secrets": sorted(self._secrets)}
        if isinstance(components, dict):
            stored = client.get("apps", app, "components", limit=1000)["items"] if key != _NEW else []
            noted = {name: config for name, config in noted.items() if name in components}
            noted |= {each["name"]: None for each in stored if each["name"] not in components}
        return {**draft, "components": noted, "complete": key == _NEW}

    def preview(self, client: "Client", install: Value, release: Value) -> Json | None:
        """What a deploy of the release to the install would do, as the IMS says it; None if that can't be told yet."""
        if release in self._awaited:
            return None
        about: Json = {} if release is UNKNOWN else {"release_id": release}
        app: str | None
        if install is UNKNOWN:
            app, settings = self._new_install(client, release)
            about["app_id"] = app
        else:
            with self._lock:
                app, settings = self._installs.get(install, (None, {}))
            about["install_id"] = install
        if settings is None:
            return None
        if release is UNKNOWN:
            about["draft"] = self._draft_for(app or self._id(client.get("installs", install)["app_id"]))
            if about["draft"] is None:
                return None
        return client.check("deploys", "preview", body=about | settings)

    def _new_install(self, client: "Client", release: Value) -> tuple[str, Json | None]:
        """The app and the settings of the install that the plan makes, if only one can be meant, or all are alike.

        What a deployment refers to is planned before it, so the one that is meant is among those that are noted.
        """
        with self._lock:
            released = {self._id(each["app"]) for each in self._releases}
            noted = list(self._new_installs)
        if release is not UNKNOWN:
            released = {client.get("releases", release)["app_id"]}
        found = [(app, settings) for app, settings in noted if self._id(app) in released - {_NEW}]
        return found[0] if len(found) == 1 else (_NEW, None)

    def _draft_for(self, app: str) -> Json | None:
        """The app as it will be when the release is made that the plan makes of it; None if it isn't known which that is."""
        with self._lock:
            known = [each for each in self._releases if each["app"] != _NEW]
            found = [each["draft"] for each in known if self._id(each["app"]) == self._id(app)]
        return found[0] if len(found) == 1 else None

    def _id(self, app: str) -> str:
        """Of an app that may be given by its name: its id, if it is in the plan."""
        return self._names.get(app, app)


def in_words(preview: Json) -> str:
    """A line for each component with which something is to be done, in the order in which it is done."""
    doing = {"create": "is created", "update": "is updated", "check": "is planned", "destroy": "is destroyed"}
    lines = []
    for each in preview["components"]:
        if each["action"] != "none":
            steps = [step["kind"].replace("_", " ") for step in preview["steps"] if step["component"] == each["name"]]
            lines.append(f"  {each['wave']}. {each['name']} {doing[each['action']]}: {each['why']} ({' → '.join(steps)})")
    return "\n".join([*lines, *(f"Note: {note}." for note in preview["notes"])])


def refused(preview: Json) -> list[Diagnostic]:
    """Why a deploy would be refused. A deploy that is under way still may have ended by then.

    Of an install that isn't there yet its own check tells, and knows more surely which one it is.
    """
    return [
        _told(each, ("install_id",) if each["install"] else ("release_id",))
        for each in preview["problems"]
        if each["field"] != "install_id"
        and (preview["install_id"] is not None or each["field"].split(".")[0] not in ("inputs", "sensitive_inputs"))
    ]


def _told(problem: Json, path: Path) -> Diagnostic:
    field = problem["field"].removeprefix("config.")
    where = ".".join(part for part in (problem["component"] or problem["install"], field) if part)
    return error("This can't be released so", f"{where}: {problem['message']}", remedy=problem["remedy"], path=path)


def _key(app: Value) -> str:
    return app if isinstance(app, str) else _NEW


def stand_in(body: Body, planned: Object) -> Object:
    """A plan's values with a text, or nothing, in place of what isn't known."""
    if is_known(planned):
        return planned
    known = {name: _stand_in(value, body.attributes, name) for name, value in planned.items()}
    for name, block in body.blocks.items():
        if isinstance(known.get(name), dict):
            known[name] = stand_in(block, known[name])
    return known


def _stand_in(value: Value, attributes: Attributes, name: str) -> Value:
    attribute = attributes.get(name)
    if value is UNKNOWN:
        kind: Any = attribute.type if attribute is not None else None
        return {} if isinstance(kind, list) and kind[0] == "map" else ["unknown"] if isinstance(kind, list) else "unknown"
    if attribute is not None and attribute.inner is not None and isinstance(value, dict):
        return stand_in(attribute.inner, value)
    if isinstance(value, dict) and attribute is not None:
        return {key: "unknown" if each is UNKNOWN else each for key, each in value.items()}
    if isinstance(value, list):
        return ["unknown" if each is UNKNOWN else each for each in value]
    return value
