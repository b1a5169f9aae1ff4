"""Writes the files that the Terraform provider loads instead of the contract: `python -m api.contract.provider_schema`.

An attribute's type, default, description, pattern and choices come from the contract's models: what `XCreate` takes is
configuration, and a field of it that `XUpdate` lacks makes a new object when it changes. What a model can't say is said here:
which answers become computed attributes, what is sensitive, and the few places where HCL reads better than JSON.

Run it after a change of the contract; a test fails while the files are stale.
"""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter

from api.contract import source_digest
from api.contract.base import Model, Name
from api.contract.components import Component, ComponentCreate, ComponentUpdate, GitSource, PathSource, TerraformModuleConfig
from api.contract.inputs import InputSpec
from api.contract.resources import (
    AppCreate,
    AppUpdate,
    Deploy,
    DeployCreate,
    Install,
    InstallCreate,
    InstallUpdate,
    Release,
    ReleaseCreate,
)

_TARGET = Path(__file__).parents[2] / "provider_bridge" / "resources"

_NAME = TypeAdapter(Name).json_schema()

Fields = dict[str, Any]
"""The fields of `provider_bridge.framework.schema.Attribute` that differ from their defaults, as JSON."""

Attributes = dict[str, Fields]


def generated_files() -> dict[Path, str]:
    """The path and content of every generated file."""
    document = {"provider": _provider(), "resources": _resources(), "data_sources": _data_sources()}
    copy = Path(source_digest.__file__).read_text(encoding="utf-8")
    return {
        _TARGET / "schema.json": json.dumps(_without_defaults(document), indent=1, sort_keys=True) + "\n",
        _TARGET
        / "source_digest.py": f"# Copied from api/contract/source_digest.py. Edit that one; see its first lines.\n{copy}",
    }


def _without_defaults(document: Any) -> Any:
    """The document without what `Attribute` assumes anyway: flags that are off, and null for no default."""
    if not isinstance(document, dict):
        return document
    return {
        name: _without_defaults(value)
        for name, value in document.items()
        if value is not None and (value is not False or name == "default")
    }


def _provider() -> Fields:
    return {
        "description": "Describe a product to Exclave and bring it into customers' clouds.",
        "attributes": {
            "url": _text("The IMS's URL, such as `https://exclave.example.com`. Default: the variable `EXCLAVE_URL`."),
            "token": {
                **_text("A bearer token of the IMS. Default: the variable `EXCLAVE_TOKEN`."),
                "sensitive": True,
            },
            "token_file": _text("A file that holds the token, instead of `token`. Default: the variable `EXCLAVE_TOKEN_FILE`."),
        },
    }


def _resources() -> dict[str, Fields]:
    return {
        "exclave_app": {
            "description": "An app: what a vendor ships into customers' clouds, with the inputs that each install gives.",
            "attributes": {
                **_config(AppCreate, AppUpdate, leave_out={"inputs"}),
                "inputs": _inputs_of_app(),
                "id": _computed_id("app"),
            },
        },
        "exclave_terraform_module_component": {
            "description": "A component of an app: a Terraform module, which the install agent runs in the customer's account.",
            "attributes": {
                **_config(ComponentCreate, ComponentUpdate, leave_out={"config"}),
                **_config(TerraformModuleConfig, TerraformModuleConfig, leave_out={"kind", "source"}),
                "app_id": {**_text("The app's id or name."), "required": True, "optional": False, "replaces": True},
                "source": _source(),
                "id": _computed_id("component"),
                "version": {**_computed(Component, "version"), "description": "Counts the component's configs, from 1."},
                "source_digest": _source_digest(),
            },
        },
        "exclave_install": {
            "description": "An install: one app in one customer's account.",
            "attributes": {
                **_config(InstallCreate, InstallUpdate),
                "sensitive_inputs": {
                    **_attribute(InstallCreate, "sensitive_inputs"),
                    "sensitive": True,
                    "default": None,
                    "description": "Values for the app's sensitive inputs. The IMS stores them encrypted and never gives them "
                    "back; a change behind Terraform's back shows in their fingerprints. Left out: what is stored stays.",
                },
                "id": _computed_id("install"),
                "inputs_version": {
                    **_computed(Install, "inputs_version"),
                    "description": "Counts the changes of the install's inputs, from 1.",
                },
            },
        },
        "exclave_release": {
            "description": "A release: an immutable, numbered set of builds, one of each component. A change of `components` "
            "makes the next release; the earlier ones stay in the IMS as its history.",
            "attributes": {
                # Without labels: a release is immutable, and other labels alone are no reason for another one.
                **_config(ReleaseCreate, None, leave_out={"labels"}),
                # Computed as well: what a config leaves out is the newest version of each component when the release is made.
                "components": {
                    **_attribute(ReleaseCreate, "components"),
                    "default": None,
                    "computed": True,
                    "stable": True,
                    "description": "The version of each component, by its name. Left out: the newest of each when the release "
                    "is first made; later versions then make no new release.",
                },
                "id": _computed(Release, "id", "The release's id."),
                "number": _computed(Release, "number", "Counts the app's releases, from 1."),
                "status": _computed(Release, "status", "`building`, `ready` or `failed`."),
                "digests": {
                    "type": ["map", "string"],
                    "computed": True,
                    "description": "The digest of each component's artifact, by the component's name.",
                },
                "timeouts": _timeouts(create="30m", update="30m"),
            },
        },
        "exclave_deployment": {
            "description": "A deployment: one release brought to one install, and kept there. A destroy tears the install's "
            "components down.",
            "attributes": {
                **_config(DeployCreate, None, leave_out={"kind"}),
                "release_id": {
                    **_text("The release's id. Another release is brought to the install in place."),
                    "required": True,
                    "optional": False,
                },
                "inputs_version": {
                    **_attribute(DeployCreate, "inputs_version"),
                    "description": "The version of the install's inputs to deploy with; a change brings the new inputs. Left "
                    "out: the newest at the time, and a change of the inputs alone deploys nothing.",
                },
                "id": _computed_id("install"),
                "deploy_id": _computed(Deploy, "id", "The id of the newest deploy of the install."),
                "status": _computed(Deploy, "status", "`running`, `succeeded`, `failed`, `cancelling` or `cancelled`."),
                "outputs": _outputs(),
                "timeouts": _timeouts(create="60m", update="60m", delete="60m"),
            },
        },
    }


def _data_sources() -> dict[str, Fields]:
    resources = _resources()

    def attributes(resource: str, *leave_out: str) -> Attributes:
        known = resources[resource]["attributes"]
        return {name: _as_computed(fields) for name, fields in known.items() if name not in {*leave_out, "timeouts"}}

    either = {"optional": True, "computed": True}
    needed = {"required": True, "computed": False}
    app = attributes("exclave_app")
    component = attributes("exclave_terraform_module_component")
    install = attributes("exclave_install", "sensitive_inputs")
    release = attributes("exclave_release")
    deployment = attributes("exclave_deployment")
    return {
        "exclave_app": {
            "description": "Reads an app, by `id` or by `name`.",
            "exactly_one_of": ["id", "name"],
            "attributes": {**app, "id": {**app["id"], **either}, "name": {**app["name"], **either}},
        },
        "exclave_terraform_module_component": {
            "description": "Reads a component that is a Terraform module, by its app and name.",
            "attributes": {
                **component,
                "app_id": {**component["app_id"], **needed},
                "name": {**component["name"], **needed},
            },
        },
        "exclave_install": {
            "description": "Reads an install, by `id` or by `name`. Its sensitive inputs can't be read.",
            "exactly_one_of": ["id", "name"],
            "attributes": {
                **install,
                "id": {**install["id"], **either},
                "name": {**install["name"], **either},
                "agent_id": _computed(Install, "agent_id", "The id of the install's agent; null until one has enrolled."),
            },
        },
        "exclave_release": {
            "description": "Reads a release, by `id`, or by `app_id` and `number`.",
            "exactly_one_of": ["id", "app_id"],
            "attributes": {
                **release,
                "id": {**release["id"], **either},
                "app_id": {**release["app_id"], **either},
                "number": {
                    **release["number"],
                    **either,
                    "description": "The release's number in its app. Left out, with `app_id`: the newest release.",
                },
            },
        },
        "exclave_deployment": {
            "description": "Reads what was last deployed to an install.",
            "attributes": {**deployment, "install_id": {**deployment["install_id"], **needed}},
        },
    }


def _config(create: type[Model], update: type[Model] | None, leave_out: frozenset[str] | set[str] = frozenset()) -> Attributes:
    """The attributes that a config gives: the fields of `create`, of which those that `update` lacks replace the object."""
    kept = update.model_fields if update else {}
    attributes = {}
    for name in create.model_fields:
        if name not in leave_out:
            attributes[name] = _attribute(create, name) if name in kept else {**_attribute(create, name), "replaces": True}
    return attributes


def _attribute(model: type[BaseModel], name: str) -> Fields:
    """One field of a request as an attribute that a config gives."""
    field = model.model_fields[name]
    schema = model.model_json_schema()["properties"][name]
    fields: Fields = {"description": field.description or "", "type": _type(schema), **_rules(schema)}
    if field.is_required():
        return {**fields, "required": True}
    return {**fields, "optional": True, "default": field.get_default(call_default_factory=True, validated_data={})}


def _computed(model: type[BaseModel], name: str, description: str = "") -> Fields:
    """One field of an answer as an attribute that the provider fills in."""
    schema = model.model_json_schema()["properties"][name]
    return {"type": _type(schema), "computed": True, "description": description or schema.get("description", "")}


def _computed_id(of: str) -> Fields:
    return {"type": "string", "computed": True, "stable": True, "description": f"The {of}'s id."}


def _as_computed(fields: Fields) -> Fields:
    """An attribute of a resource as one that its data source reads."""
    kept = {key: value for key, value in fields.items() if key in ("description", "type", "nesting")}
    if "nested" in fields:
        kept["nested"] = {name: _as_computed(inner) for name, inner in fields["nested"].items()}
    return {**kept, "computed": True}


def _type(schema: dict[str, Any]) -> Any:
    """Terraform's type constraint for a JSON schema. A value that may be any JSON is a string, which holds it as JSON."""
    if "anyOf" in schema:
        return _type(next(each for each in schema["anyOf"] if each != {"type": "null"}))
    match schema.get("type"):
        case "string" | None:
            return "string"
        case "integer" | "number":
            return "number"
        case "boolean":
            return "bool"
        case "object":
            values = schema.get("additionalProperties")
            return ["map", _type(values if isinstance(values, dict) else {})]
    raise ValueError(f"no Terraform type is known for {schema}")


def _rules(schema: dict[str, Any]) -> Fields:
    """What the model demands of a value, as far as a provider can check it by itself."""
    rules: Fields = {}
    if "pattern" in schema:
        rules["pattern"] = schema["pattern"]
        if schema["pattern"] == _NAME["pattern"]:
            rules["pattern_means"] = _NAME["description"]
    if "enum" in schema:
        rules["one_of"] = schema["enum"]
    if _number_of(schema) == "integer":
        rules["whole"] = True
    return rules


def _number_of(schema: dict[str, Any]) -> str:
    """The JSON type of a field's value, of a map's values, or of what is not null in it."""
    for inner in schema.get("anyOf", ()):
        if inner != {"type": "null"}:
            return _number_of(inner)
    values = schema.get("additionalProperties")
    return _number_of(values) if isinstance(values, dict) else str(schema.get("type", ""))


def _inputs_of_app() -> Fields:
    """The list of InputSpec as a map, by the input's name: HCL can then say `inputs = { domain = {...} }`."""
    return {
        "description": "What each install must or may say about itself, by the input's name.",
        "nesting": "map",
        "key_pattern": _NAME["pattern"],
        "pattern_means": _NAME["description"],
        "optional": True,
        "default": {},
        "nested": {
            **_config(InputSpec, InputSpec, leave_out={"name"}),
            "default": {
                **_attribute(InputSpec, "default"),
                "description": "Used where an install gives no value. Write a list or a map with `jsonencode`. A sensitive "
                "input can't have one.",
            },
        },
    }


def _source() -> Fields:
    return {
        "description": "The module's folder: exactly one of `path` and `git`.",
        "required": True,
        "exactly_one_of": ["path", "git"],
        "nested": {
            "path": {
                **_text("A folder that the build agent can read. A relative path starts at the folder of `terraform`."),
            },
            "git": {
                "description": "A folder of a git repository.",
                "optional": True,
                "nested": _config(GitSource, GitSource),
            },
        },
    }


def _source_digest() -> Fields:
    return {
        **_computed(PathSource, "digest"),
        "description": "The content hash of the folder at `source.path`, which decides whether the source has changed. Null "
        "for git, of which the build records the commit.",
    }


def _outputs() -> Fields:
    return {
        "type": ["map", "string"],
        "computed": True,
        "description": "The components' outputs, by `component.output`: strings as they are, anything else as JSON for "
        "`jsondecode`. Sensitive outputs stay in the customer's account.",
    }


def _timeouts(**defaults: str) -> Fields:
    verbs = {"create": "a create", "update": "an update", "delete": "a destroy"}
    return {
        "description": "How long to wait, such as `90s`, `20m` or `1h30m`.",
        "optional": True,
        "nested": {
            name: {**_text(f"For {verbs[name]}; default `{default}`."), "duration": True} for name, default in defaults.items()
        },
    }


def _text(description: str) -> Fields:
    return {"type": "string", "optional": True, "description": description}


if __name__ == "__main__":
    for path, content in generated_files().items():
        path.write_text(content, encoding="utf-8")
