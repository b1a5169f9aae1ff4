"""`exclave_release`: the resource and the data source."""

from typing import TYPE_CHECKING

from provider_bridge.framework import durations
from provider_bridge.framework.diagnostics import Diagnostic, Key, Path, RefusedError, error, warning
from provider_bridge.framework.planning import changed
from provider_bridge.framework.resource import Call
from provider_bridge.problems import Json
from provider_bridge.protocol.log import log
from provider_bridge.protocol.values import UNKNOWN, Object
from provider_bridge.resources.base import ApiDataSource, ApiResource, split_import_id
from provider_bridge.resources.refusals import attribute_path
from provider_bridge.resources.waiting import POLL_SECONDS, Outcome, wait_for

if TYPE_CHECKING:
    from provider_bridge.client import Client

_DEFAULT_SECONDS = 1800.0
_COMPUTED = ("id", "number", "status", "digests")


class ReleaseResource(ApiResource):
    """A numbered set of builds.

    Other `components` make the next release, in place: the one before stays in the IMS, because installs may still run it and
    can go back to it. A release that fails leaves no trace in the state of a create, and the prior one in that of an update.
    """

    def plan(self, call: Call, config: Object, prior: Object | None, planned: Object) -> Object:
        """A new release if the components change or the last one failed; one that is still building is waited for.

        The IMS looks at the app as it will be then: references, cycles, outputs and variables that aren't there.
        """
        if prior is None or changed(prior, planned, "components") or prior["status"] == "failed":
            self._check(call, planned)
            return planned if prior is None else {**planned, **dict.fromkeys(_COMPUTED, UNKNOWN)}
        kept = {**planned, **{name: prior[name] for name in _COMPUTED}}
        if prior["status"] != "building":
            return kept
        self.connection.plans.note_awaited(prior["id"])
        return {**kept, "status": UNKNOWN, "digests": UNKNOWN}

    def _check(self, call: Call, planned: Object) -> None:
        plans, app, components = self.connection.plans, planned["app_id"], planned["components"]
        found = self.connection.check(call, self.schema, lambda client: plans.check_release(client, app, components))
        if found:
            raise RefusedError(*found)

    def api_create(self, call: Call, client: "Client", planned: Object) -> Object:
        """See `ApiResource`."""
        return self._release(call, client, planned, "create")

    def api_read(self, call: Call, client: "Client", state: Object) -> Object:
        """See `ApiResource`. A release never changes but for its status."""
        return {**state, **_to_state(client.get("releases", state["id"]), state)}

    def api_update(self, call: Call, client: "Client", prior: Object, planned: Object) -> Object:
        """See `ApiResource`."""
        if planned["status"] is not UNKNOWN:
            return planned  # only the timeouts have changed
        if planned["id"] is UNKNOWN:
            return self._release(call, client, planned, "update")
        return self._await(call, client, client.get("releases", prior["id"]), planned, "update")

    def api_delete(self, call: Call, client: "Client", prior: Object) -> None:
        """See `ApiResource`."""
        client.delete("releases", prior["id"])

    def api_import(self, call: Call, client: "Client", import_id: str) -> Object:
        """By id, or by `app/number`."""
        if "/" not in import_id:
            return _to_state(client.get("releases", import_id), None)
        app, number = split_import_id(import_id, "app/number")
        return _to_state(_numbered(client, app, number), None)

    def _release(self, call: Call, client: "Client", planned: Object, verb: str) -> Object:
        components = planned["components"]
        wanted = {} if components is UNKNOWN else components
        release = _under_way(client, planned["app_id"], wanted)
        if release is None:
            release = client.create("releases", body={"app_id": planned["app_id"], "components": wanted})
        return self._await(call, client, release, planned, verb)

    def _await(self, call: Call, client: "Client", release: Json, planned: Object, verb: str) -> Object:
        outcome = _follow(call, client, release, _seconds(planned, verb))
        state = {**planned, **_to_state(outcome.last, planned)}
        what = f"release {release['number']} ({release['id']})"
        if outcome.end == "stopped":
            detail = f"The builds of {what} go on without Terraform; the next plan shows what has become of them."
            call.diagnostics.append(warning("The release goes on", detail))
            return state
        if outcome.end != "ended":
            detail = f"{outcome.why} The builds of {what} go on without Terraform."
            remedy = "Apply again: what is built by then isn't built again. `timeouts` says how long to wait."
            raise RefusedError(error("The release isn't ready", detail, remedy=remedy))
        if outcome.last["status"] != "ready":
            raise RefusedError(*self._failures(outcome.last, planned))
        return state

    def _failures(self, release: Json, planned: Object) -> list[Diagnostic]:
        named = planned["components"] if isinstance(planned["components"], dict) else {}
        found = []
        for build in release["builds"]:
            if build["failure"]:
                path: Path = ("components", Key(build["component"])) if build["component"] in named else ()
                found.append(_failed(f"The build of component {build['component']!r} failed", build["failure"], path))
        if not found and release["failure"]:
            path = attribute_path(self.schema, release["failure"]["field"] or "")[0]
            found.append(_failed("The release failed", release["failure"], path))
        return found or [error("The release failed", f"{release['id']} has ended as {release['status']}.")]


def _under_way(client: "Client", app: str, components: Json) -> Json | None:
    """The app's newest release, if it is still building these components: an earlier run was killed while it waited."""
    found = client.get("releases", app=app, limit=1, order="desc")["items"] if components else []
    if not found or found[0]["status"] != "building":
        return None
    builds = {build["component"]: build["component_version"] for build in found[0]["builds"]}
    return found[0] if builds == components else None


class ReleaseDataSource(ApiDataSource):
    """A release: by id, by app and number, or the newest of an app."""

    def api_read(self, client: "Client", config: Object) -> Object:
        """See `ApiDataSource`."""
        if config["id"] is not None:
            return _to_state(client.get("releases", config["id"]), None)
        app = config["app_id"]
        if config["number"] is not None:
            release = _numbered(client, app, str(config["number"]))
        else:
            found = client.get("releases", app=app, limit=1, order="desc")["items"]
            if not found:
                raise RefusedError(error("No release", f"App {app!r} has no release yet.", path=("app_id",)))
            release = found[0]
        return {**_to_state(release, None), "app_id": app}


def _numbered(client: "Client", app: str, number: str) -> Json:
    found = client.get("releases", app=app, number=number, limit=1)["items"] if number.isdigit() else []
    if not found:
        raise RefusedError(error("No such release", f"App {app!r} has no release {number}.", path=("number",)))
    return found[0]


def _follow(call: Call, client: "Client", release: Json, seconds: float) -> Outcome:
    told: dict[str, str] = {}

    def poll(last: Json) -> Json:
        return client.get("releases", last["id"], wait=POLL_SECONDS)

    def report(seen: Json) -> None:
        for build in seen["builds"]:
            waiting = f" ({build['waiting_for']})" if build["waiting_for"] else ""
            line = f"build of {build['component']} {build['status']}{waiting}"
            if told.get(build["build_id"]) != line:
                told[build["build_id"]] = line
                log("info", f"release {seen['number']}: {line}")

    return wait_for(release, poll, lambda seen: seen["status"] != "building", report, seconds=seconds, stop=call.stop)


def _seconds(planned: Object, verb: str) -> float:
    written = (planned["timeouts"] or {}).get(verb)
    return durations.seconds(written) if written else _DEFAULT_SECONDS


def _failed(summary: str, failure: Json, path: Path) -> Diagnostic:
    where = f"In `{failure['field']}`: " if failure["field"] else ""
    return error(summary, f"{where}{failure['message']}", remedy=failure["remedy"], path=path)


def _to_state(release: Json, before: Object | None) -> Object:
    """The release as state, without timeouts."""
    known = before or {"app_id": release["app_id"], "components": None}
    components = known["components"]
    if components is None or components is UNKNOWN:
        components = {build["component"]: build["component_version"] for build in release["builds"]}
    return {
        "id": release["id"],
        "app_id": known["app_id"],
        "components": components,
        "number": release["number"],
        "status": release["status"],
        "digests": {build["component"]: build["digest"] for build in release["builds"] if build["digest"]},
    }
