"""`exclave_install`: the resource and the data source."""

from typing import TYPE_CHECKING

from provider_bridge.framework import durations
from provider_bridge.framework.diagnostics import RefusedError
from provider_bridge.framework.planning import changed
from provider_bridge.framework.resource import Call
from provider_bridge.problems import Json, ProblemError
from provider_bridge.protocol.values import UNKNOWN, Object, is_known
from provider_bridge.resources import deploys
from provider_bridge.resources.base import ApiDataSource, ApiResource
from provider_bridge.resources.refusals import at_attribute
from provider_bridge.resources.wire import map_from_wire, map_to_wire

if TYPE_CHECKING:
    from provider_bridge.client import Client

_FINGERPRINTS = "sensitive_fingerprints"
_WRONG = "This install can't be made so"
_TEARDOWN_SECONDS = 3600.0
_SETTINGS = ("approval", "approval_timeout_hours", "labels", "drift_check_hours", "heal_drift", "platform", "region")
"""Attributes that mean the same in HCL and on the wire."""


class InstallResource(ApiResource):
    """One app in one customer's account.

    The IMS never gives sensitive inputs back. Their fingerprints, kept in private state since the last write, tell whether
    somebody else has changed them; then they become null in the state, so that the next plan shows a change.
    """

    def plan(self, call: Call, config: Object, prior: Object | None, planned: Object) -> Object:
        """Decide whether the inputs get a new version, and have the IMS check them."""
        if prior is not None:
            self.connection.note_name(self.type_name, prior["name"])
            if not changed(prior, planned, "app_id", "name", "inputs", "sensitive_inputs", *_SETTINGS):
                self.connection.plans.note_install(prior["id"], prior["app_id"], {})
                return planned
            inputs_change = changed(prior, planned, "inputs", "sensitive_inputs")
            planned = {**planned, "inputs_version": UNKNOWN if inputs_change else prior["inputs_version"]}
        known = is_known([planned[name] for name in ("inputs", "labels", "platform", "region", "approval")])
        # Of a new install the rest counts without the sensitive inputs. Those of another may change what a deploy does.
        known = known and (prior is None or is_known(planned["sensitive_inputs"]))
        draft = {"install": _draft(planned), "approval": planned["approval"]} if known else None
        self.connection.plans.note_install(prior["id"] if prior else None, planned["app_id"], draft)
        if planned["app_id"] is UNKNOWN and draft is not None and is_known(planned["name"]):
            self._check_draft(call, planned["name"], draft["install"])
        else:
            self._check(call, prior, planned)
        return planned

    def _check_draft(self, call: Call, name: str, draft: Json) -> None:
        """Check the settings of an install whose app is made by the same plan."""
        plans = self.connection.plans
        found = self.connection.check(call, self.schema, lambda client: plans.check_install(client, name, draft))
        if found:
            raise RefusedError(
                *(at_attribute(self.schema, _WRONG, each["field"], each["message"], each["remedy"]) for each in found)
            )

    def _check(self, call: Call, prior: Object | None, planned: Object) -> None:
        app = planned["app_id"]
        given = [planned[name] for name in ("name", "inputs", "sensitive_inputs", *_SETTINGS)]
        if not is_known([app, *given]):
            return
        if prior is None:
            taken = (self.type_name, planned["name"])
            body = _create(planned)
            self.connection.check(
                call, self.schema, lambda client: client.check_create("installs", body=body), app=app, creates=taken
            )
        elif not changed(prior, planned, "app_id", "name"):
            install, update = prior["id"], _update(prior, planned)
            self.connection.check(call, self.schema, lambda client: client.check_put("installs", install, body=update), app=app)

    def api_create(self, call: Call, client: "Client", planned: Object) -> Object:
        """See `ApiResource`."""
        return self._written(call, client.create("installs", body=_create(planned)), planned)

    def api_read(self, call: Call, client: "Client", state: Object) -> Object | None:
        """See `ApiResource`. A run that reads several installs of an app reads all of them at once."""
        self.connection.note_name(self.type_name, state["name"])
        install = self.connection.lists.one_of(client, ("installs",), state["id"], app=state["app_id"])
        if install is None:
            return None
        self.seen(call, install)
        read = _to_state(install, state)
        if call.private.get(_FINGERPRINTS) != install[_FINGERPRINTS]:
            read["sensitive_inputs"] = None
        return read

    def api_update(self, call: Call, client: "Client", prior: Object, planned: Object) -> Object:
        """See `ApiResource`."""
        body = _update(prior, planned)
        return self._written(call, client.put("installs", prior["id"], body=body, version=self.expected(call)), planned)

    def _written(self, call: Call, install: Json, planned: Object) -> Object:
        self.connection.lists.forget()
        self.seen(call, install)
        call.private[_FINGERPRINTS] = install[_FINGERPRINTS]
        return {**_to_state(install, planned), "sensitive_inputs": planned["sensitive_inputs"]}

    def api_delete(self, call: Call, client: "Client", prior: Object) -> None:
        """Tear down first what is still deployed, if no `exclave_deployment` has done so."""
        try:
            client.delete("installs", prior["id"])
        except ProblemError as problem:
            if problem.code != "in_use":
                raise
            written = (prior["timeouts"] or {}).get("delete")
            deploys.tear_down(call, client, prior["id"], durations.seconds(written) if written else _TEARDOWN_SECONDS)
            client.delete("installs", prior["id"])
        finally:
            self.connection.lists.forget()

    def api_import(self, call: Call, client: "Client", import_id: str) -> Object:
        """By id or name. The sensitive inputs stay unknown to Terraform until its next apply writes them."""
        install = client.get("installs", import_id)
        self.seen(call, install)
        call.private[_FINGERPRINTS] = install[_FINGERPRINTS]
        return {**_to_state(install, None), "sensitive_inputs": None}


class InstallDataSource(ApiDataSource):
    """An install, by id or name."""

    def api_read(self, client: "Client", config: Object) -> Object:
        """See `ApiDataSource`."""
        install = client.get("installs", config["id"] or config["name"])
        return {**_to_state(install, None), "agent_id": install["agent_id"]}


def _create(planned: Object) -> Json:
    return {
        "app_id": planned["app_id"],
        "name": planned["name"],
        "inputs": map_to_wire(planned["inputs"]),
        "sensitive_inputs": map_to_wire(planned["sensitive_inputs"]),
        **_settings(planned),
    }


def _settings(values: Object | Json) -> Json:
    return {name: values[name] for name in _SETTINGS}


def _draft(planned: Object) -> Json:
    """The settings that a deploy depends on. Sensitive inputs that the plan doesn't have aren't looked at."""
    sensitive = planned["sensitive_inputs"]
    sensitive = sensitive if is_known(sensitive) else None
    return {
        "inputs": map_to_wire(planned["inputs"]),
        "sensitive_inputs": None if sensitive is None else map_to_wire(sensitive),
        **{name: planned[name] for name in ("labels", "platform", "region")},
    }


def _update(prior: Object, planned: Object) -> Json:
    """The body of an update. Sensitive inputs that are in neither prior state nor plan aren't Terraform's: they stay."""
    ours = prior["sensitive_inputs"] is not None or planned["sensitive_inputs"] is not None
    return {
        "inputs": map_to_wire(planned["inputs"]),
        "sensitive_inputs": map_to_wire(planned["sensitive_inputs"]) if ours else None,
        **_settings(planned),
    }


def _to_state(install: Json, before: Object | None) -> Object:
    before = before or {"app_id": install["app_id"], "inputs": None, "sensitive_inputs": None, "timeouts": None}
    return {
        "id": install["id"],
        "app_id": before["app_id"],
        "name": install["name"],
        "inputs": map_from_wire(install["inputs"], before["inputs"]),
        "sensitive_inputs": before["sensitive_inputs"],
        **_settings(install),
        "inputs_version": install["inputs_version"],
        "timeouts": before["timeouts"],
    }
