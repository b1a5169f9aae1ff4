"""What the Terraform provider only reads: data sources for one object and for lists, `terraform query`, ephemeral resources."""

from pydantic import BaseModel

from api.contract.access import Token
from api.contract.agents import Agent
from api.contract.components import Component
from api.contract.enrollment import EnrollmentCreate, EnrollmentCreated
from api.contract.provider_attributes import (
    Attributes,
    Fields,
    answers,
    as_computed,
    block_as_computed,
    computed,
    config,
    given,
    needed,
    text,
)
from api.contract.resources import App, Build, Deploy, Install, InstallCreate, Release
from api.contract.secrets import Secret
from api.contract.webhooks import Webhook

_WRITING = ("timeouts", "sensitive_inputs", "value_wo", "value_wo_version", "secret_file", "token_file")
"""Attributes about writing, which a data source has no use for."""
_EITHER = {"optional": True, "computed": True}
_SELECTOR_FORM = "`region=eu,tier!=free,env in (a,b),canary,!old`; all must hold."
_LABELS = text(f"Only those with these labels: {_SELECTOR_FORM}")
_LABELS_OF_INSTALL = text(f"Only those of installs with these labels: {_SELECTOR_FORM}")
_NAMED = text("Only the one of this name.")
_APP = text("Only those of this app: its id or name.")
_INSTALL = text("Only those of this install: its id or name.")

_CREATED = {"created_at": "When it was made (RFC 3339)."}
_AGENT = {
    "id": "The agent's id.",
    "name": "The agent's name, as it gave it when it enrolled.",
    "kind": "`build` or `install`.",
    "install_id": "The id of the install agent's install.",
    "install_name": "",
    "version": "The version that it runs.",
    "platform": "Its platform, such as `linux/amd64`.",
    "status": "",
    "enrolled_at": "When it enrolled (RFC 3339).",
    "last_seen_at": "When it was last heard of (RFC 3339).",
    "offline_since": "",
    "revoked_at": "When its access was ended; null while it may work.",
}
_BUILD = {
    "id": "The build's id.",
    "app_id": "The id of its app.",
    "component": "The component's name.",
    "component_version": "The version of the component's config.",
    "status": "`queued`, `running`, `succeeded`, `failed` or `cancelled`.",
    "source_revision": "",
    **_CREATED,
    "ended_at": "When it ended; null before.",
    "waiting_for": "",
}


def data_sources(resources: dict[str, Fields]) -> dict[str, Fields]:
    """The data sources: one for each of `resources` that can be read, and one for each list."""
    components = {name: fields for name, fields in resources.items() if name.endswith("_component")}
    return {
        "exclave_app": _by_id_or_name(resources["exclave_app"], "Reads an app"),
        **{name: _component(fields) for name, fields in components.items()},
        "exclave_install": _by_id_or_name(
            resources["exclave_install"],
            "Reads an install",
            after="Its sensitive inputs can't be read.",
            more={"agent_id": computed(Install, "agent_id", "The id of the install's agent; null until one has enrolled.")},
        ),
        "exclave_release": _release(resources["exclave_release"]),
        "exclave_deployment": _deployment(resources["exclave_deployment"]),
        "exclave_secret": _by_id_or_name(
            resources["exclave_secret"], "Reads what is known of a secret", after="Not its value."
        ),
        "exclave_webhook": _by_id_or_name(resources["exclave_webhook"], "Reads a webhook"),
        "exclave_service_token": _by_id_or_name(
            resources["exclave_service_token"], "Reads a service token", leave_out=("expires_in", "token_name")
        ),
        "exclave_agent_enrollment": _by_id(
            resources["exclave_agent_enrollment"], "Reads an enrolment token, without the token."
        ),
        "exclave_agent": _agent(),
        "exclave_build": _build(),
        **_lists(),
        **_lists_of_access(),
    }


def ephemeral_resources() -> dict[str, Fields]:
    """What exists for one run only."""
    made = answers(
        EnrollmentCreated, id="The token's id.", secret="", expires_at="Until when the token can be used (RFC 3339)."
    )
    return {
        "exclave_agent_enrollment": {
            "description": "A one-time token with which one agent enrols: for the write-only attribute, or the provisioner, of "
            "what starts the agent. It is in no plan and no state. A token that no agent has used by the end of the run lasts "
            "until it expires; `revoke_unused` ends it sooner.",
            "attributes": {
                **config(EnrollmentCreate, EnrollmentCreate),
                "revoke_unused": {
                    **text("Whether the token ends with the run, if no agent has used it by then."),
                    "type": "bool",
                    "default": False,
                },
                "id": made["id"],
                "token": {**made["secret"], "sensitive": True, "description": "The token. It works once."},
                "expires_at": made["expires_at"],
            },
        }
    }


def list_resources() -> dict[str, Fields]:
    """What `terraform query` finds, and how it is narrowed."""
    kinds = ("terraform_module", "helm_chart", "container_image", "docker_build", "kubernetes_manifest", "custom")
    component = {"description": "The components of this kind.", "attributes": {"app_id": _APP}}
    return {
        "exclave_app": {"description": "All apps.", "attributes": {"name": _NAMED, "selector": _LABELS}},
        **{f"exclave_{kind}_component": component for kind in kinds},
        "exclave_install": {"description": "The installs.", "attributes": {"app_id": _APP, "selector": _LABELS}},
        "exclave_release": {"description": "The releases.", "attributes": {"app_id": _APP}},
    }


def _lists() -> dict[str, Fields]:
    return {
        "exclave_apps": _list(
            "apps",
            "the apps",
            {"name": _NAMED, "selector": _LABELS},
            {
                **answers(App, id="The app's id.", name="The app's name.", description="What the app is."),
                **answers(App, version="Counts the app's changes, from 1.", labels="", **_CREATED),
            },
        ),
        "exclave_components": _list(
            "components",
            "the components of an app",
            {
                "app_id": needed(text("The app's id or name.")),
                "kind": _choice(Component, "kind"),
                "name": _NAMED,
            },
            answers(
                Component,
                id="The component's id.",
                name="The component's name.",
                kind="The component's kind.",
                version="Counts the component's configs, from 1.",
                **_CREATED,
            ),
        ),
        "exclave_installs": _list(
            "installs",
            "the installs",
            {
                "app_id": _APP,
                "release_id": text("Only those that run a component of this release, by its id."),
                "release_number": _number("Only those that run a component of the release of this number."),
                "selector": _LABELS,
            },
            {
                **answers(Install, id="The install's id.", app_id="The id of its app.", name="The install's name."),
                "inputs": as_computed(given(InstallCreate, "inputs")),
                "labels": as_computed(given(InstallCreate, "labels")),
                "approval": as_computed(given(InstallCreate, "approval")),
                **answers(
                    Install,
                    inputs_version="Counts the changes of its inputs, from 1.",
                    agent_id="The id of its agent; null until one has enrolled.",
                    components="What is installed.",
                    **_CREATED,
                ),
            },
        ),
        "exclave_releases": _list(
            "releases",
            "the releases, the oldest first",
            {
                "app_id": _APP,
                "number": _number("Only those of this number in their app."),
                "status": _choice(Release, "status"),
                "selector": _LABELS,
            },
            answers(
                Release,
                id="The release's id.",
                app_id="The id of its app.",
                app_name="The name of its app.",
                number="Counts the app's releases, from 1.",
                status="`building`, `ready` or `failed`.",
                labels="",
                **_CREATED,
                ended_at="When it was ready, or failed; null before.",
            ),
        ),
        "exclave_builds": _list(
            "builds",
            "the builds, the oldest first",
            {
                "app_id": _APP,
                "component": text("Only those of components with this name."),
                "component_version": _number("Only those of this version of a component's config."),
                "status": _choice(Build, "status"),
            },
            answers(Build, **_BUILD),
        ),
        "exclave_deployments": _list(
            "deployments",
            "the deploys of installs, the oldest first",
            {
                "app_id": _APP,
                "install_id": _INSTALL,
                "release_id": text("Only those of this release, by its id."),
                "release_number": _number("Only those of the release of this number in its app."),
                "status": _choice(Deploy, "status"),
                "selector": _LABELS_OF_INSTALL,
                "kind": {
                    **text("Only those of this kind; drift runs come only so."),
                    "one_of": ["deploy", "teardown", "drift"],
                },
            },
            answers(
                Deploy,
                id="The deploy's id.",
                install_id="The id of its install.",
                install_name="The name of its install.",
                app_id="The id of its app.",
                app_name="The name of its app.",
                release_id="The id of its release; null for a teardown.",
                release_number="The release's number in its app.",
                kind="`deploy`, `teardown` or `drift`.",
                status="`pending`, `running`, `succeeded`, `failed`, `cancelling` or `cancelled`.",
                inputs_version="The version of the install's inputs that it brings.",
                **_CREATED,
                ended_at="When it ended; null before.",
                waiting_for="",
            ),
        ),
        "exclave_agents": _list(
            "agents",
            "the agents",
            {
                "install_id": _INSTALL,
                "kind": _choice(Agent, "kind"),
                "name": _NAMED,
                "status": _choice(Agent, "status"),
                "version": text("Only those that run this version."),
            },
            answers(Agent, **_AGENT),
        ),
    }


def _lists_of_access() -> dict[str, Fields]:
    return {
        "exclave_secrets": _list(
            "secrets",
            "the secrets, without their values",
            {"name": text("Only those of this name, in any scope.")},
            answers(
                Secret,
                id="The secret's id.",
                name="The secret's name.",
                app_id="The id of the only app that may use it.",
                install_id="The id of the only install that may use it.",
                version="Counts the values, from 1.",
                **_CREATED,
            ),
        ),
        "exclave_webhooks": _list(
            "webhooks",
            "the webhooks",
            {},
            answers(
                Webhook,
                id="The webhook's id.",
                name="The webhook's name.",
                url="Where events are sent.",
                events="Which actions are sent.",
                app_id="The id of the app whose events are sent; null for all.",
                install_id="The id of the install whose events are sent; null for all.",
                enabled="Whether events are sent.",
                disabled_because="Why Exclave switched it off by itself; null if it didn't.",
                failing_since="",
                **_CREATED,
            ),
        ),
        "exclave_service_tokens": _list(
            "service_tokens",
            "the service tokens, also revoked ones, without the tokens themselves",
            {"role": _choice(Token, "role")},
            answers(
                Token,
                id="The token's id.",
                name="The token's name.",
                role="What it may do.",
                scope="Where: `all`, `app:ID` or `install:ID`.",
                **_CREATED,
                expires_at="When it expires; null for never.",
                last_used_at="When it was last used; null if it never was.",
                revoked_at="When it was revoked; null while it works.",
            ),
        ),
    }


def _choice(model: type[BaseModel], name: str) -> Fields:
    """A filter by one of the values that a field may have."""
    return {**text(f"Only those of this {name}."), "one_of": model.model_json_schema()["properties"][name]["enum"]}


def _number(description: str) -> Fields:
    return {**text(description), "type": "number", "whole": True}


def _list(name: str, what: str, filters: Attributes, items: Attributes) -> Fields:
    return {
        "description": f"Reads {what}.",
        "attributes": {
            **filters,
            name: {"description": f"What was found: {what}.", "computed": True, "nesting": "list", "nested": items},
        },
    }


def _read(resource: Fields, leave_out: tuple[str, ...] = ()) -> Attributes:
    """What a resource's data source reads: its attributes, and its blocks as attributes."""
    attributes = {name: as_computed(fields) for name, fields in resource["attributes"].items()}
    attributes |= {name: block_as_computed(fields) for name, fields in resource.get("blocks", {}).items()}
    return {name: fields for name, fields in attributes.items() if name not in (*_WRITING, *leave_out)}


def _by_id_or_name(
    resource: Fields, what: str, after: str = "", more: Attributes | None = None, leave_out: tuple[str, ...] = ()
) -> Fields:
    read = _read(resource, leave_out)
    either = {name: {**read[name], **_EITHER} for name in ("id", "name")}
    return {
        "description": f"{what}, by `id` or by `name`. {after}".strip(),
        "exactly_one_of": ["id", "name"],
        "attributes": {**read, **either, **(more or {})},
    }


def _by_id(resource: Fields, description: str) -> Fields:
    read = _read(resource)
    return {"description": description, "attributes": {**read, "id": needed(read["id"])}}


def _component(resource: Fields) -> Fields:
    read = _read(resource)
    return {
        "description": f"Reads a component by its app and name. {resource['description']}",
        "attributes": {**read, "app_id": needed(read["app_id"]), "name": needed(read["name"])},
    }


def _release(resource: Fields) -> Fields:
    read = _read(resource)
    number = "The release's number in its app. Left out, with `app_id`: the newest release."
    return {
        "description": "Reads a release, by `id`, or by `app_id` and `number`.",
        "exactly_one_of": ["id", "app_id"],
        "attributes": {
            **read,
            "id": {**read["id"], **_EITHER},
            "app_id": {**read["app_id"], **_EITHER},
            "number": {**read["number"], **_EITHER, "description": number},
        },
    }


def _deployment(resource: Fields) -> Fields:
    read = _read(resource)
    return {
        "description": "Reads what was last deployed to an install.",
        "attributes": {**read, "install_id": needed(read["install_id"])},
    }


def _agent() -> Fields:
    read = answers(Agent, **_AGENT)
    return {"description": "Reads an agent, by its id.", "attributes": {**read, "id": needed(read["id"])}}


def _build() -> Fields:
    read = answers(Build, **_BUILD, artifact="The signed artifact; null until it is built.", failure="Why it failed.")
    return {"description": "Reads a build, by its id.", "attributes": {**read, "id": needed(read["id"])}}
