"""`exclave_deployment`: the resource and the data source."""

from typing import TYPE_CHECKING

from provider_bridge.framework import durations
from provider_bridge.framework.diagnostics import RefusedError, error, warning
from provider_bridge.framework.planning import changed
from provider_bridge.framework.resource import Call
from provider_bridge.problems import Json
from provider_bridge.protocol.values import UNKNOWN, Object
from provider_bridge.resources import deploys
from provider_bridge.resources.base import ApiDataSource, ApiResource
from provider_bridge.resources.plans import UntoldError, in_words, refused
from provider_bridge.resources.waiting import Outcome
from provider_bridge.resources.wire import as_text

if TYPE_CHECKING:
    from provider_bridge.client import Client

_DEFAULT_SECONDS = 3600.0
_COMPUTED = ("deploy_id", "status", "outputs", "left_out")


class DeploymentResource(ApiResource):
    """A release on an install, and what comes of it.

    The state follows the install's newest deploy, whoever started it. Whatever has not ended well shows as a change in the next
    plan. How a wait that ends early leaves the state:

    - stopped by the user: a warning and the full state with the status `running`, so that nothing is tainted;
    - time is up, the IMS can't be reached, or the deploy fails: an error. A create then leaves no state, because Terraform
      would taint it and tear the install down next time; an update keeps the prior state, with the new deploy's id and status.

    The next apply takes up a deploy of the same release and inputs that is still under way, instead of starting another.
    """

    def plan(self, call: Call, config: Object, prior: Object | None, planned: Object) -> Object:
        """Deploy if release or inputs change, or if the last deploy has not ended well or left something out."""
        if prior is None:
            self._preview(call, planned)
            return planned
        if _needs_deploy(prior, planned):
            self._preview(call, planned)
        computed = dict.fromkeys(_COMPUTED, UNKNOWN) if _needs_deploy(prior, planned) else {n: prior[n] for n in _COMPUTED}
        return {**planned, **computed}

    def _preview(self, call: Call, planned: Object) -> None:
        """Say what the deploy will do, or why that isn't known, and refuse what the IMS would refuse."""
        plans = self.connection.plans
        install, release = planned["install_id"], planned["release_id"]
        try:
            preview = self.connection.check(call, self.schema, lambda client: plans.preview(client, install, release))
        except UntoldError as reason:
            detail = f"The plan can't tell which components it creates or changes: {reason}."
            call.diagnostics.append(warning("What this deployment will do isn't known yet", detail))
            return
        if not preview:
            return
        problems = refused(preview)
        if problems:
            raise RefusedError(*problems)
        what = in_words(preview)
        if what:
            call.diagnostics.append(warning("What this deployment will do", what))

    def api_create(self, call: Call, client: "Client", planned: Object) -> Object | None:
        """See `ApiResource`."""
        outcome = _deploy(call, client, planned, "create")
        return _deployed(call, outcome, planned)

    def api_read(self, call: Call, client: "Client", state: Object) -> Object | None:
        """See `ApiResource`."""
        newest = deploys.newest(client, state["install_id"])
        if newest is None or (newest["kind"] == "teardown" and newest["status"] == "succeeded"):
            return None
        return {
            **state,
            **_computed(newest),
            "release_id": newest["release_id"] or state["release_id"],
            "inputs_version": None if state["inputs_version"] is None else newest["inputs_version"],
        }

    def api_update(self, call: Call, client: "Client", prior: Object, planned: Object) -> Object:
        """See `ApiResource`."""
        if not _needs_deploy(prior, planned):
            return planned
        outcome = _deploy(call, client, planned, "update")
        state = _deployed(call, outcome, planned)
        return state or {**prior, "deploy_id": outcome.last["id"], "status": outcome.last["status"]}

    def api_delete(self, call: Call, client: "Client", prior: Object) -> None:
        """Tear the install down. An install that is gone has nothing left to tear down."""
        deploys.tear_down(call, client, prior["install_id"], _seconds(prior, "delete"))

    def api_import(self, call: Call, client: "Client", import_id: str) -> Object:
        """By the install's id or name."""
        newest = _existing(client, import_id)
        install = newest["install_id"]
        return {"install_id": install, "timeouts": None, "inputs_version": newest["inputs_version"], **_identity(newest)}


class DeploymentDataSource(ApiDataSource):
    """What was last deployed to an install."""

    def api_read(self, client: "Client", config: Object) -> Object:
        """See `ApiDataSource`."""
        newest = _existing(client, config["install_id"])
        return {"install_id": config["install_id"], "inputs_version": newest["inputs_version"], **_identity(newest)}


def _needs_deploy(prior: Object, planned: Object) -> bool:
    """Whether the install has to change. Inputs whose version the config no longer names are as they were."""
    inputs_change = planned["inputs_version"] is not None and changed(prior, planned, "inputs_version")
    is_whole = prior["status"] == "succeeded" and not prior["left_out"]
    return inputs_change or changed(prior, planned, "release_id") or not is_whole


def _deploy(call: Call, client: "Client", planned: Object, verb: str) -> Outcome:
    """Start the deploy, or take up the one that is under way, and wait for it."""
    deploy = _under_way(client, planned) or client.create(
        "deploys", body={name: planned[name] for name in ("install_id", "release_id", "inputs_version")}
    )
    return deploys.follow(call, client, deploy, _seconds(planned, verb))


def _under_way(client: "Client", planned: Object) -> Json | None:
    newest = deploys.newest(client, planned["install_id"])
    if newest is None or newest["status"] not in ("pending", "running"):
        return None
    same_inputs = planned["inputs_version"] in (None, newest["inputs_version"])
    return newest if newest["release_id"] == planned["release_id"] and same_inputs else None


def _deployed(call: Call, outcome: Outcome, planned: Object) -> Object | None:
    """The state after a deploy, or None with an error in `call`."""
    deploy = outcome.last
    if outcome.end == "stopped":
        detail = f"{outcome.why} Deploy {deploy['id']} goes on without it."
        call.diagnostics.append(warning("The deploy goes on", detail, remedy=deploys.how_to_follow(deploy["id"])))
        return {**planned, **_computed(deploy), "outputs": {}}
    if outcome.end != "ended":
        detail = f"{outcome.why} Deploy {deploy['id']} goes on without Terraform."
        call.diagnostics.append(error("The deploy has not ended", detail, remedy=deploys.how_to_follow(deploy["id"])))
        return None
    if deploy["status"] != "succeeded":
        call.diagnostics.extend(deploys.failures(deploy))
        return None
    return {**planned, **_computed(deploy)}


def _existing(client: "Client", install: str) -> Json:
    newest = deploys.newest(client, install)
    if newest is None or newest["release_id"] is None:
        raise RefusedError(error("Nothing deployed", f"Nothing is deployed to install {install!r}."))
    return newest


def _identity(deploy: Json) -> Object:
    return {"release_id": deploy["release_id"], **_computed(deploy)}


def _computed(deploy: Json) -> Object:
    return {
        "id": deploy["install_id"],
        "deploy_id": deploy["id"],
        "status": deploy["status"],
        "outputs": {name: as_text(value) for name, value in deploys.outputs(deploy).items()},
        "left_out": deploys.left_out(deploy),
    }


def _seconds(planned: Object, verb: str) -> float:
    written = (planned["timeouts"] or {}).get(verb)
    return durations.seconds(written) if written else _DEFAULT_SECONDS
