"""`exclave_secret`: the resource and the data source."""

from typing import TYPE_CHECKING

from provider_bridge.framework.planning import changed
from provider_bridge.framework.resource import Call
from provider_bridge.problems import Json
from provider_bridge.protocol.values import UNKNOWN, Object, is_known
from provider_bridge.resources.base import ApiDataSource, ApiResource
from provider_bridge.resources.wire import object_from_wire

if TYPE_CHECKING:
    from provider_bridge.client import Client

_FINGERPRINT = "fingerprint"
_COMPUTED = ("version", _FINGERPRINT)


class SecretResource(ApiResource):
    """A named secret, whose value is write-only.

    Its fingerprint, kept in private state since the last write, tells whether somebody else has changed the value: then the
    next plan writes it again. Without `value_wo_version`, the IMS says in the plan which fingerprint the value would have.
    """

    def plan(self, call: Call, config: Object, prior: Object | None, planned: Object) -> Object:
        """Decide whether the value is to be written, and have the IMS check it."""
        self.connection.plans.note_secret(planned["name"])
        if prior is None:
            self._check_create(call, config, planned)
            return planned
        self.connection.note_name(self.type_name, prior["name"])
        write = changed(prior, planned, "value_wo_version") or call.private.get(_FINGERPRINT) != prior[_FINGERPRINT]
        if not write and config["value_wo_version"] is None:
            write = self._differs(call, config, prior)
        return {**planned, **{name: UNKNOWN if write else prior[name] for name in _COMPUTED}}

    def _check_create(self, call: Call, config: Object, planned: Object) -> None:
        whose = [planned["name"], planned["app_id"], planned["install_id"]]
        if is_known([*whose, config["value_wo"]]):
            body, taken = _create(config), (self.type_name, planned["name"])
            self.connection.check(call, self.schema, lambda client: client.check_create("secrets", body=body), creates=taken)

    def _differs(self, call: Call, config: Object, prior: Object) -> bool:
        if not is_known(config["value_wo"]):
            return True
        body = {"value": config["value_wo"]}
        answer = self.connection.check(call, self.schema, lambda client: client.check_put("secrets", prior["id"], body=body))
        return bool(answer and answer[_FINGERPRINT] != prior[_FINGERPRINT])

    def api_create(self, call: Call, client: "Client", planned: Object) -> Object:
        """See `ApiResource`."""
        assert call.config is not None
        return self._written(call, client.create("secrets", body=_create(call.config)), planned)

    def api_read(self, call: Call, client: "Client", state: Object) -> Object:
        """See `ApiResource`."""
        self.connection.note_name(self.type_name, state["name"])
        secret = client.get("secrets", state["id"])
        self.seen(call, secret)
        return {**state, **_computed(secret)}

    def api_update(self, call: Call, client: "Client", prior: Object, planned: Object) -> Object:
        """See `ApiResource`."""
        assert call.config is not None
        if planned[_FINGERPRINT] is not UNKNOWN:
            return planned
        body = {"value": call.config["value_wo"]}
        return self._written(call, client.put("secrets", prior["id"], body=body, version=self.expected(call)), planned)

    def _written(self, call: Call, secret: Json, planned: Object) -> Object:
        self.seen(call, secret)
        call.private[_FINGERPRINT] = secret[_FINGERPRINT]
        return {**planned, "id": secret["id"], **_computed(secret)}

    def api_delete(self, call: Call, client: "Client", prior: Object) -> None:
        """See `ApiResource`."""
        client.delete("secrets", prior["id"])

    def api_import(self, call: Call, client: "Client", import_id: str) -> Object:
        """By id or name. The next apply writes the value, if it has another fingerprint or a version."""
        secret = client.get("secrets", import_id)
        self.seen(call, secret)
        call.private[_FINGERPRINT] = secret[_FINGERPRINT]
        return object_from_wire(self.schema.attributes, secret)


class SecretDataSource(ApiDataSource):
    """What is known of a secret, by id or name."""

    def api_read(self, client: "Client", config: Object) -> Object:
        """See `ApiDataSource`."""
        return object_from_wire(self.schema.attributes, client.get("secrets", config["id"] or config["name"]))


def _create(config: Object) -> Json:
    return {
        "name": config["name"],
        "value": config["value_wo"],
        "app_id": config["app_id"],
        "install_id": config["install_id"],
    }


def _computed(secret: Json) -> Object:
    return {name: secret[name] for name in _COMPUTED}
