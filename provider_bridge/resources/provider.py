"""The provider `exclave`: its configuration, and all that it offers."""

import os
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from provider_bridge.framework.diagnostics import Path, RefusedError, error
from provider_bridge.framework.lazy import Lazy
from provider_bridge.framework.resource import Call, Provider
from provider_bridge.framework.schema import schema_from_json
from provider_bridge.protocol.values import UNKNOWN, Object
from provider_bridge.resources.connection import Connection

_KINDS = ("terraform_module", "helm_chart", "container_image", "docker_build", "kubernetes_manifest", "custom")
_COMPONENTS = [f"exclave_{kind}_component" for kind in _KINDS]

_RESOURCES = {
    "exclave_app": "app.AppResource",
    **dict.fromkeys(_COMPONENTS, "component.ComponentResource"),
    "exclave_install": "install.InstallResource",
    "exclave_release": "release.ReleaseResource",
    "exclave_deployment": "deployment.DeploymentResource",
    "exclave_secret": "secret.SecretResource",
    "exclave_agent_enrollment": "agent_enrollment.AgentEnrollmentResource",
    "exclave_webhook": "webhook.WebhookResource",
    "exclave_service_token": "service_token.ServiceTokenResource",
}
"""The class of each resource type; its module is loaded when the type is first used."""

_DATA_SOURCES: dict[str, tuple[Any, ...]] = {
    "exclave_app": ("app.AppDataSource",),
    **dict.fromkeys(_COMPONENTS, ("component.ComponentDataSource",)),
    "exclave_install": ("install.InstallDataSource",),
    "exclave_release": ("release.ReleaseDataSource",),
    "exclave_deployment": ("deployment.DeploymentDataSource",),
    "exclave_secret": ("secret.SecretDataSource",),
    "exclave_agent_enrollment": ("agent_enrollment.AgentEnrollmentDataSource",),
    "exclave_webhook": ("webhook.WebhookDataSource",),
    "exclave_service_token": ("service_token.ServiceTokenDataSource",),
    "exclave_agent": ("data_sources.ObjectDataSource", "agents"),
    "exclave_build": ("data_sources.ObjectDataSource", "builds"),
    "exclave_apps": ("data_sources.ListDataSource", "apps", {"name": "name", "selector": "selector"}),
    "exclave_components": ("data_sources.ListDataSource", "apps/{app_id}/components", {"kind": "kind", "name": "name"}),
    "exclave_installs": (
        "data_sources.ListDataSource",
        "installs",
        {"app_id": "app", "release_id": "release", "release_number": "release_number", "selector": "selector"},
    ),
    "exclave_releases": (
        "data_sources.ListDataSource",
        "releases",
        {"app_id": "app", "number": "number", "status": "status", "selector": "selector"},
    ),
    "exclave_builds": (
        "data_sources.ListDataSource",
        "builds",
        {"app_id": "app", "component": "component", "component_version": "component_version", "status": "status"},
    ),
    "exclave_deployments": (
        "data_sources.ListDataSource",
        "deploys",
        {
            "app_id": "app",
            "install_id": "install",
            "release_id": "release",
            "release_number": "release_number",
            "status": "status",
            "selector": "selector",
            "kind": "kind",
        },
    ),
    "exclave_secrets": ("data_sources.ListDataSource", "secrets", {"name": "name"}),
    "exclave_webhooks": ("data_sources.ListDataSource", "webhooks", {}),
    "exclave_service_tokens": ("data_sources.ListDataSource", "tokens", {}),
    "exclave_agents": (
        "data_sources.ListDataSource",
        "agents",
        {"install_id": "install", "kind": "kind", "name": "name", "version": "version"},
    ),
}
"""The class of each data source type, and what else it is made with."""

_QUERIES = {
    "exclave_app": "apps",
    **dict.fromkeys(_COMPONENTS, "components"),
    "exclave_install": "installs",
    "exclave_release": "releases",
}
"""The function of `queries` that finds the objects of each list resource."""

_FUNCTIONS = ("output", "image", "input", "secret", "install")


class ExclaveProvider(Provider):
    """Schemas come from `schema.json`, which is generated from the contract's models (see `api.contract.provider_schema`)."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._connection = Connection()
        self._document = _read_document()
        self.schema = schema_from_json(self._document["provider"])
        self.resources = Lazy({name: self._maker("resources", name, where) for name, where in _RESOURCES.items()})
        self.data_sources = Lazy(
            {name: self._maker("data_sources", name, where, *more) for name, (where, *more) in _DATA_SOURCES.items()}
        )
        self.ephemeral_resources = Lazy({"exclave_agent_enrollment": self._make_enrollment})
        self.functions = Lazy({name: _function(name) for name in _FUNCTIONS})
        self.list_resources = Lazy({name: self._query(name, find) for name, find in _QUERIES.items()})

    def _maker(self, group: str, name: str, where: str, *more: Any) -> Callable[[], Any]:
        def make() -> Any:
            return _load(where)(name, schema_from_json(self._document[group][name]), self._connection, *more)

        return make

    def _make_enrollment(self) -> Any:
        schema = schema_from_json(self._document["ephemeral_resources"]["exclave_agent_enrollment"])
        return _load("agent_enrollment.AgentEnrollmentEphemeral")(schema, self._connection)

    def _query(self, name: str, find: str) -> Callable[[], Any]:
        def make() -> Any:
            found = _load(f"queries.{find}")
            schema = schema_from_json(self._document["list_resources"][name])
            return _load("queries.ApiListResource")(
                schema, self._connection, lambda: self.resources[name], found(name) if find == "components" else found
            )

        return make

    def prepared(self, call: str) -> bytes | None:
        """See `Provider.prepared`. `python -m provider_bridge.resources.prepare` writes what is read here."""
        with open(_beside(f"{call}.binpb"), "rb") as file:  # noqa: PTH123
            return file.read()

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
        from provider_bridge.creates import Creates

        self._connection.connect(Client(url, token, call.stop, Creates(self._environment, url)))

    def close(self) -> None:
        """Let go of the IMS: for a process that goes on without the provider."""
        self._connection.connect(None)

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


def _read_document() -> Any:
    import json

    with open(_beside("schema.json"), encoding="utf-8") as file:  # noqa: PTH123
        return json.load(file)


def _beside(name: str) -> str:
    return os.path.join(os.path.dirname(__file__), name)  # noqa: PTH118, PTH120 - pathlib costs start time


def _load(where: str) -> Any:
    module, name = where.split(".")
    return getattr(import_module(f"provider_bridge.resources.{module}"), name)


def _function(name: str) -> Callable[[], Any]:
    return lambda: _load(f"functions.{name.capitalize()}")()


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
