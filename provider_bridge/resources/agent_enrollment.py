"""`exclave_agent_enrollment`: the resource, the data source and the ephemeral resource."""

from typing import TYPE_CHECKING

from provider_bridge.framework.diagnostics import Diagnostic, error
from provider_bridge.framework.ephemeral import EphemeralResource, Opened
from provider_bridge.framework.resource import Call
from provider_bridge.framework.schema import Schema
from provider_bridge.problems import Json, ProblemError
from provider_bridge.protocol.values import UNKNOWN, Object
from provider_bridge.resources import secret_files
from provider_bridge.resources.base import ApiDataSource, ApiResource
from provider_bridge.resources.connection import Connection
from provider_bridge.resources.refusals import refusals
from provider_bridge.resources.wire import object_from_wire

if TYPE_CHECKING:
    from provider_bridge.client import Client

_PATH = ("agents", "enrollments")


def _install_fits(config: Object) -> list[Diagnostic]:
    """An install agent has an install, and a build agent has none."""
    kind, install = config["kind"], config["install_id"]
    if UNKNOWN in (kind, install) or (kind == "install") == (install is not None):
        return []
    if kind == "build":
        return [error("No install here", "A build agent serves every app.", remedy="Remove it.", path=("install_id",))]
    detail = "An install agent's token is for one install."
    return [error("No install", detail, remedy="Set `install_id` to the install's id or name.", path=("install_id",))]


class AgentEnrollmentResource(ApiResource):
    """A one-time token in a file. Once it is used or has expired it stays as it is: that is no drift."""

    def validate(self, config: Object) -> list[Diagnostic]:
        """See `_install_fits`."""
        return _install_fits(config)

    def api_create(self, call: Call, client: "Client", planned: Object) -> Object:
        """See `ApiResource`."""
        made = secret_files.make("token_file", planned["token_file"], lambda: client.create_once(*_PATH, body=_create(planned)))
        return {**planned, "id": made["id"], "agent_id": None, "expires_at": made["expires_at"]}

    def api_read(self, call: Call, client: "Client", state: Object) -> Object:
        """See `ApiResource`."""
        seen = client.get(*_PATH, state["id"])
        return {**state, "agent_id": seen["agent_id"], "expires_at": seen["expires_at"]}

    def api_update(self, call: Call, client: "Client", prior: Object, planned: Object) -> Object:
        """Nothing of it can change in place."""
        return planned

    def api_delete(self, call: Call, client: "Client", prior: Object) -> None:
        """End a token that isn't used; the agent of one that is stays."""
        secret_files.remove(prior["token_file"])
        client.delete(*_PATH, prior["id"])

    def api_import(self, call: Call, client: "Client", import_id: str) -> Object:
        """By id. The token itself can't be had again, so a configuration with a `token_file` replaces it."""
        return object_from_wire(self.schema.attributes, client.get(*_PATH, import_id))


class AgentEnrollmentDataSource(ApiDataSource):
    """An enrolment token without the token, by id."""

    def api_read(self, client: "Client", config: Object) -> Object:
        """See `ApiDataSource`."""
        return object_from_wire(self.schema.attributes, client.get(*_PATH, config["id"]))


class AgentEnrollmentEphemeral(EphemeralResource):
    """A one-time token for one run. `close` ends one that no agent has used, if the config says so."""

    def __init__(self, schema: Schema, connection: Connection) -> None:
        self.schema = schema
        self.connection = connection

    def validate(self, config: Object) -> list[Diagnostic]:
        """See `_install_fits`."""
        return _install_fits(config)

    def open(self, call: Call, config: Object) -> Opened:
        """See `EphemeralResource`."""
        with refusals(self.schema):
            made = self.connection.need().create_once(*_PATH, body=_create(config))
        result = {**config, "id": made["id"], "token": made["secret"], "expires_at": made["expires_at"]}
        return Opened(result, {"id": made["id"]} if config["revoke_unused"] else {})

    def close(self, call: Call, private: Object) -> None:
        """See `EphemeralResource`."""
        if private.get("id") and self.connection.client is not None:
            with refusals(self.schema):
                try:
                    self.connection.client.delete(*_PATH, private["id"])
                except ProblemError as problem:
                    if not problem.is_not_there:
                        raise


def _create(config: Object) -> Json:
    return {"kind": config["kind"], "install_id": config["install_id"]}
