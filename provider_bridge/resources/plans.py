"""What one plan makes of apps, components and installs: for the checks that look at several of them at once.

Terraform plans a resource after those that it refers to: a release after the components whose versions it names, a deployment
after its release and install. So each notes what it will be, and the later ones have the IMS look at all of it, before
anything of it is stored. A component is looked at with those that are planned before it; what only the others could tell, the
release tells. Where something that counts isn't known in the plan, nothing is said: the apply finds out.
"""

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from provider_bridge.framework.diagnostics import Diagnostic, Key, Path, error
from provider_bridge.framework.schema import Attributes, Body
from provider_bridge.problems import Json
from provider_bridge.protocol.values import UNKNOWN, Object, Value, is_known
from provider_bridge.records import Record

if TYPE_CHECKING:
    from provider_bridge.client import Client

_NEW = ""
"""Stands for an app, or an install, that the plan makes: it has no id yet."""

_RELEASE = "what its release will hold is known only at the apply"
_INPUTS = "inputs of its app are known only at the apply"
_SETTINGS = "settings of its install are known only at the apply"


class UntoldError(Exception):
    """A plan doesn't say enough to tell what a deploy would do. The text says what is missing, as a reason."""


class PlannedComponent(Record):
    """A component as it will be. `texts` are those that hold references; `changes`: whether this plan changes it."""

    config: Json
    """As a draft takes it, with stand-ins for what isn't known."""

    texts: list[str]
    changes: bool
    is_known_at: Callable[[str], bool]
    """Whether a field of the config, `config.variables.cidr`, is known in the plan: no stand-in."""

    def needs(self) -> set[str]:
        """The names of the components that it refers to."""
        if not self.texts:
            return set()
        from provider_bridge.resources.reference_grammar import readable

        return {ref.component for text in self.texts for ref in readable(text) if ref.component}


_NONE: Mapping[str, PlannedComponent] = {}


class Plans:
    """Notes of one Terraform run. Safe for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._new_apps = 0
        self._inputs: dict[str, Json] = {}
        self._unsure: set[str] = set()
        self._components: dict[str, dict[str, PlannedComponent]] = {}
        self._secrets: set[str] = set()
        self._names: dict[str, str] = {}
        self._installs: dict[str, tuple[str, Json | None]] = {}
        self._new_installs: list[tuple[str, Json | None]] = []
        self._releases: list[Json] = []
        self._awaited: set[str] = set()
        self._previews: dict[tuple[object, ...], Json] = {}

    def note_app(self, app_id: str | None, name: Value, inputs: Json | None) -> None:
        """An app that is made (no id) or stays; `inputs` as the API takes them, None if they aren't known."""
        with self._lock:
            self._new_apps += app_id is None
            if app_id is not None and isinstance(name, str):
                self._names[name] = app_id
            for key in [_NEW] if app_id is None else [app_id, name]:
                if isinstance(key, str) and inputs is not None:
                    self._inputs[key] = inputs
                elif isinstance(key, str):
                    self._unsure.add(key)

    def note_component(self, app: Value, name: Value, planned: PlannedComponent) -> None:
        """A component as it will be."""
        if name is not UNKNOWN:
            with self._lock:
                self._components.setdefault(_key(app), {})[name] = planned

    def needs_noted(self, app: Value, planned: PlannedComponent) -> bool:
        """Whether a component refers to one that was planned before it."""
        noted = self._components.get(_key(app), {})
        return any(name in noted for name in planned.needs())

    def needs_changed(self, app: Value, name: str, planned: PlannedComponent) -> bool:
        """Whether what a component refers to, or what that refers to, changes, as far as it was planned before it."""
        with self._lock:
            if not any(each.changes for each in self._components.get(_key(app), {}).values()):
                return False
            return any(each.changes for each in self._reached(_key(app), name, planned).values())

    def check_component(self, client: "Client", app: Value, name: str, planned: PlannedComponent) -> list[Json]:
        """What is wrong with a component, whatever becomes of those that are planned after it."""
        key = _key(app)
        with self._lock:
            if key in self._unsure if key != _NEW else not self._new_apps:
                return []
            among_others = key != _NEW or self._new_apps == 1
            reached = self._reached(key, name, planned) if among_others else {name: planned}
            draft = {
                "inputs": self._inputs.get(key) if among_others else None,
                "components": {each: of.config for each, of in reached.items()},
                "partial": True,
            }
        found = client.check("apps", *([app] if key != _NEW else []), "check", body=draft)
        return [each for each in found["problems"] if each["component"] == name and planned.is_known_at(each["field"])]

    def _reached(self, key: str, name: str, planned: PlannedComponent) -> dict[str, PlannedComponent]:
        """A component, those that it refers to, those that they refer to …: of those noted so far."""
        noted, found, left = self._components.get(key, {}), {name: planned}, planned.needs()
        while left:
            each = left.pop()
            if each in noted and each not in found:
                found[each] = noted[each]
                left |= noted[each].needs()
        return found

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
        with self._lock:
            noted_components = dict(self._components.get(_key(app), {}))
        draft = self._draft(client, app, components, noted_components)
        noted = {"app": _key(app), "draft": draft}
        with self._lock:
            if noted not in self._releases:
                self._releases.append(noted)
        if draft is None:
            return []
        found = client.check("apps", *([app] if isinstance(app, str) else []), "check", body=draft)
        named = components if isinstance(components, dict) else {}
        return [
            _told(each, ("components", Key(each["component"])) if each["component"] in named else (), noted_components)
            for each in found["problems"]
            if each["component"] not in noted_components or noted_components[each["component"]].is_known_at(each["field"])
        ]

    def _draft(
        self, client: "Client", app: Value, components: Value, planned: dict[str, PlannedComponent]
    ) -> Json | None:  # fmt: skip
        with self._lock:
            key = _key(app)
            if (key == _NEW and self._new_apps != 1) or key in self._unsure:
                return None  # which of them, or what inputs it will have, isn't known
            noted: dict[str, Json] = {name: each.config for name, each in planned.items()}
            draft: Json = {"inputs": self._inputs.get(key), "secrets": sorted(self._secrets)}
        if isinstance(components, dict):
            stored = client.get("apps", app, "components", limit=1000)["items"] if key != _NEW else []
            noted = {name: config for name, config in noted.items() if name in components}
            noted |= {each["name"]: None for each in stored if each["name"] not in components}
        return {**draft, "components": noted, "complete": key == _NEW}

    def check_install(self, client: "Client", name: str, settings: Json) -> list[Json]:
        """What is wrong with the settings of an install of the one app that the plan makes, given that app's inputs."""
        with self._lock:
            inputs = self._inputs.get(_NEW) if self._new_apps == 1 else None
        if inputs is None:
            return []
        draft = {"inputs": inputs, "complete": True, "installs": {name: settings}}
        found: list[Json] = client.check("apps", "check", body=draft)["problems"]
        return [each for each in found if each["install"] == name]

    def preview(self, client: "Client", install: Value, release: Value) -> Json:
        """What a deploy of the release to the install would do, as the IMS says it.

        Raises UntoldError where the plan doesn't say what is meant.
        """
        app = "" if is_known([install, release]) else self._app_of(client, install, release)
        about: Json = {"release_id": release} if release is not UNKNOWN else {"draft": self._draft_for(app)}
        if install is not UNKNOWN:
            with self._lock:
                _, settings = self._installs.get(install, (None, {}))
            if settings is None:
                raise UntoldError(_SETTINGS)
            return self._asked(client, {**about, "install_id": install, **settings})
        return self._preview_of_new(client, about if app == _NEW else {**about, "app_id": app}, self._new_installs_of(app))

    def _preview_of_new(self, client: "Client", about: Json, candidates: list[Json]) -> Json:
        """What a deploy to one of several new installs would do, as long as it is the same for all of them.

        Where nothing is yet, only whether it waits for an approval differs, unless the deploy would be refused.
        """
        found: dict[str, Json] = {}
        for settings in candidates:
            before = found.get(settings["approval"])
            if before is None or refused(before):
                key = (id(about.get("draft")), about.get("release_id"), about.get("app_id"), repr(settings))
                if key not in self._previews:
                    self._previews[key] = self._asked(client, about | settings)
                if before is None or not refused(self._previews[key]):
                    found[settings["approval"]] = self._previews[key]
        allowed = [each for each in found.values() if not refused(each)] or list(found.values())
        if len({in_words(each) for each in allowed}) > 1:
            raise UntoldError("this plan makes several installs whose `approval` differs, and it may be for any of them")
        return allowed[0]

    def _asked(self, client: "Client", body: Json) -> Json:
        """The IMS's answer. That a release isn't ready is nothing against it if this run waits for it first."""
        preview: Json = client.check("deploys", "preview", body=body)
        if body.get("release_id") in self._awaited and preview["release_id"] is not None:
            return preview | {"problems": [each for each in preview["problems"] if each["field"] != "release_id"]}
        return preview

    def _app_of(self, client: "Client", install: Value, release: Value) -> str:
        """The id of the app that is deployed, or `_NEW`."""
        if install is not UNKNOWN:
            with self._lock:
                app, _ = self._installs.get(install, (None, {}))
            return self._id(client.get("installs", install)["app_id"] if app is None else app)
        if release is not UNKNOWN:
            return str(client.get("releases", release)["app_id"])
        with self._lock:
            apps = {self._id(each["app"]) for each in self._releases} & {self._id(app) for app, _ in self._new_installs}
        if len(apps) != 1:
            raise UntoldError("this plan makes installs of several apps" if apps else _RELEASE)
        return apps.pop()

    def _new_installs_of(self, app: str) -> list[Json]:
        """The settings of those installs that the plan makes of an app, one for each way in which deploys to them may differ.

        What a deployment refers to is planned before it, so the one that is meant is among those that are noted.
        """
        with self._lock:
            noted = [settings for of, settings in self._new_installs if self._id(of) == app]
        if not noted or None in noted:
            raise UntoldError(_SETTINGS)
        return noted

    def _draft_for(self, app: str) -> Json:
        """The app as it will be when the release is made that the plan makes of it."""
        with self._lock:
            if app == _NEW and self._new_apps != 1:
                raise UntoldError("this plan makes several apps" if self._new_apps else _RELEASE)
            found = [each["draft"] for each in self._releases if self._id(each["app"]) == app]
        if len(found) != 1:
            raise UntoldError("this plan makes several releases of the app" if found else _RELEASE)
        if found[0] is None:
            raise UntoldError(_INPUTS)
        return found[0]

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


def _told(problem: Json, path: Path, components: Mapping[str, PlannedComponent] = _NONE) -> Diagnostic:
    """What is wrong somewhere else than in the resource that tells it: so its words say where that is."""
    name, field = problem["component"] or problem["install"], problem["field"].removeprefix("config.")
    what = f"exclave_{components[name].config['kind']}_component" if name in components else "component"
    where = f'{what if problem["component"] else "install"} "{name}", `{field}`' if name else f"`{field}`"
    return error("This can't be released so", f"In {where}: {problem['message']}", remedy=problem["remedy"], path=path)


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
