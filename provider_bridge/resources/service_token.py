"""`exclave_service_token`: the resource and the data source."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from provider_bridge.framework.diagnostics import Path, RefusedError, error, warning
from provider_bridge.framework.resource import Call
from provider_bridge.problems import Json, ProblemError
from provider_bridge.protocol.values import Object
from provider_bridge.resources import secret_files
from provider_bridge.resources.base import ApiDataSource, ApiResource
from provider_bridge.resources.wire import object_from_wire

if TYPE_CHECKING:
    from provider_bridge.client import Client

_CREATE = ("role", "scope", "expires_in")
_MOST_SUCCESSORS = 1000


class ServiceTokenResource(ApiResource):
    """A token. It can't be changed, only replaced by another.

    The IMS never gives the name of a revoked token to another one. So the successor of `ci` is `ci-2`, and so on.
    """

    def replaces(self, prior: Object, planned: Object) -> Iterable[Path]:
        """See `Resource.replaces`. What an import can't know isn't a change: the seconds until an expiry that is set."""
        paths = super().replaces(prior, planned)
        imported = prior["expires_in"] is None and prior["expires_at"] is not None
        return [path for path in paths if not (imported and path == ("expires_in",))]

    def plan(self, call: Call, config: Object, prior: Object | None, planned: Object) -> Object:
        """Say in time when a file gets no token."""
        if prior is not None and prior["secret_file"] != planned["secret_file"] and not list(self.replaces(prior, planned)):
            detail = "A token is shown only when it is made: this file isn't written."
            remedy = "Replace the token to have a new one in the file: `terraform apply -replace=…`."
            call.diagnostics.append(warning("No token in the file", detail, remedy=remedy, path=("secret_file",)))
        return planned

    def api_create(self, call: Call, client: "Client", planned: Object) -> Object:
        """See `ApiResource`."""
        made = secret_files.make("secret_file", planned["secret_file"], lambda: _make(client, planned))
        return {**planned, "id": made["id"], "token_name": made["name"], "expires_at": made["expires_at"]}

    def api_read(self, call: Call, client: "Client", state: Object) -> Object | None:
        """See `ApiResource`. A token that was revoked is gone; one that has expired stays as it is."""
        token = client.get("tokens", state["id"])
        return None if token["revoked_at"] else {**state, "role": token["role"], "expires_at": token["expires_at"]}

    def api_update(self, call: Call, client: "Client", prior: Object, planned: Object) -> Object:
        """Only what the configuration says of its file, or of an imported token's expiry, can change."""
        return planned

    def api_delete(self, call: Call, client: "Client", prior: Object) -> None:
        """Revoke it."""
        secret_files.remove(prior["secret_file"])
        client.delete("tokens", prior["id"])

    def api_import(self, call: Call, client: "Client", import_id: str) -> Object:
        """By id or name."""
        token = client.get("tokens", import_id)
        return {**object_from_wire(self.schema.attributes, token), "token_name": token["name"]}


class ServiceTokenDataSource(ApiDataSource):
    """A token without its secret, by id or name."""

    def api_read(self, client: "Client", config: Object) -> Object:
        """See `ApiDataSource`."""
        return object_from_wire(self.schema.attributes, client.get("tokens", config["id"] or config["name"]))


def _make(client: "Client", planned: Object) -> Json:
    """A token of the name, or, where revoked ones had it, of the next name that is free. Raises ProblemError."""
    base = planned["name"]
    names = (base, *(f"{base[:58]}-{number}" for number in range(2, _MOST_SUCCESSORS)))
    for name in names:
        try:
            return client.create_once("tokens", body={"name": name, **{each: planned[each] for each in _CREATE}})
        except ProblemError as problem:
            if problem.code != "name_taken" or not client.get("tokens", name)["revoked_at"]:
                raise
    raise RefusedError(error("No name is left", f"{_MOST_SUCCESSORS} tokens were named {base!r} already.", path=("name",)))
