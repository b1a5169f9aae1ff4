"""The provider `exclave`: its configuration, and all that it offers."""

import json
import os
from collections.abc import Callable, Mapping

from provider_bridge.framework.diagnostics import Path, RefusedError, error
from provider_bridge.framework.resource import Call, DataSource, Provider, Resource
from provider_bridge.framework.schema import Schema, schema_from_json
from provider_bridge.protocol.values import UNKNOWN, Object
from provider_bridge.resources.app import AppDataSource, AppResource
from provider_bridge.resources.component import ComponentDataSource, ComponentResource
from provider_bridge.resources.connection import Connection
from provider_bridge.resources.deployment import DeploymentDataSource, DeploymentResource
from provider_bridge.resources.install import InstallDataSource, InstallResource
from provider_bridge.resources.release import ReleaseDataSource, ReleaseResource

_RESOURCES: dict[str, Callable[[Schema, Connection], Resource]] = {
    "exclave_app": AppResource,
    "exclave_terraform_module_component": ComponentResource,
    "exclave_install": InstallResource,
    "exclave_release": ReleaseResource,
    "exclave_deployment": DeploymentResource,
}
_DATA_SOURCES: dict[str, Callable[[Schema, Connection], DataSource]] = {
    "exclave_app": AppDataSource,
    "exclave_terraform_module_component": ComponentDataSource,
    "exclave_install": InstallDataSource,
    "exclave_release": ReleaseDataSource,
    "exclave_deployment": DeploymentDataSource,
}


class ExclaveProvider(Provider):
    """Schemas come from `schema.json`, which is generated from the contract's models (see `api.contract.provider_schema`)."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        path = os.path.join(os.path.dirname(__file__), "schema.json")  # noqa: PTH118, PTH120 - pathlib costs start time
        with open(path, encoding="utf-8") as file:  # noqa: PTH123
            document = json.load(file)
        self._environment = environment
        self._connection = Connection()
        self.schema = schema_from_json(document["provider"])
        self.resources = {
            name: make(schema_from_json(document["resources"][name]), self._connection) for name, make in _RESOURCES.items()
        }
        self.data_sources = {
            name: make(schema_from_json(document["data_sources"][name]), self._connection)
            for name, make in _DATA_SOURCES.items()
        }

    def configure(self, call: Call, config: Object) -> None:
        """Take URL and token from the config, or else from the environment. No request is made yet."""
        self._connection.connect(None)
        if UNKNOWN in (config["url"], config["token"], config["token_file"]):
            return
        url = config["url"] or self._environment.get("EXCLAVE_URL")
        if not url:
            raise _refused(("url",), "No URL", "The provider doesn't know where the IMS is.", "Set `url`, or EXCLAVE_URL.")
        if not url.startswith(("http://", "https://")):
            raise _refused(("url",), "Not a URL", f"{url!r} is not an http or https URL.", "Write it as `https://HOST`.")
        token = self._token(config)
        # Only now, because half of a command's provider processes are never configured.
        from provider_bridge.client import Client

        self._connection.connect(Client(url, token, call.stop))

    def _token(self, config: Object) -> str:
        if config["token"] and config["token_file"]:
            raise _refused(("token_file",), "Two tokens", "Both `token` and `token_file` are set.", "Set one of them.")
        if config["token"]:
            return str(config["token"])
        if config["token_file"]:
            return _read_token(config["token_file"], ("token_file",))
        if self._environment.get("EXCLAVE_TOKEN"):
            return self._environment["EXCLAVE_TOKEN"]
        if self._environment.get("EXCLAVE_TOKEN_FILE"):
            return _read_token(self._environment["EXCLAVE_TOKEN_FILE"], ())
        remedy = "Set `token` or `token_file`, or one of EXCLAVE_TOKEN and EXCLAVE_TOKEN_FILE."
        raise _refused(("token",), "No token", "The provider has no token for the IMS.", remedy)


def _read_token(path: str, at: Path) -> str:
    try:
        with open(os.path.expanduser(path), encoding="utf-8") as file:  # noqa: PTH111, PTH123
            token = file.read().strip()
    except (OSError, UnicodeDecodeError) as reason:
        raise _refused(at, "The token's file can't be read", str(reason), "Check the path and its permissions.") from reason
    if not token:
        raise _refused(at, "The token's file is empty", f"{path!r} holds no token.", "Write the token into it.")
    return token


def _refused(at: Path, summary: str, detail: str, remedy: str) -> RefusedError:
    return RefusedError(error(summary, detail, remedy=remedy, path=at))
