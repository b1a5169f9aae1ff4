"""Writes the files that the Terraform provider loads instead of the contract: `python -m api.contract.provider_schema`.

What `XCreate` takes is configuration, and a field of it that `XUpdate` lacks makes a new object when it changes (see
`provider_attributes`). What a model can't say is said here: which answers become computed attributes, what is sensitive, and
the few places where HCL reads better than JSON. What only reads is in `provider_reading`.

Run it after a change of the contract; a test fails while the files are stale.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

from api.contract.access import Token, TokenCreate
from api.contract.base import OneOf
from api.contract.components import (
    Component,
    ComponentConfig,
    ComponentCreate,
    ComponentUpdate,
    GitSource,
    PathSource,
)
from api.contract.enrollment import Enrollment, EnrollmentCreate
from api.contract.inputs import InputSpec
from api.contract.provider_attributes import (
    NAME,
    Fields,
    answers,
    block,
    computed,
    config,
    given,
    needed,
    text,
    timeouts,
)
from api.contract.provider_reading import data_sources, ephemeral_resources, list_resources
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
from api.contract.secrets import Secret, SecretCreate
from api.contract.webhooks import Webhook, WebhookCreate, WebhookUpdate

_TARGET = Path(__file__).parents[2] / "provider_bridge" / "resources"

KINDS = {model.model_fields["kind"].default: model for model in get_args(get_args(ComponentConfig)[0])}
"""The model of each component kind's config."""

_KIND_IS = {
    "terraform_module": "a Terraform module, which the install agent runs in the customer's account",
    "helm_chart": "a Helm chart, which the install agent installs in the customer's cluster",
    "container_image": "an image that exists, which is copied into the customer's registry",
    "docker_build": "an image that the build agent builds from a Dockerfile",
    "kubernetes_manifest": "Kubernetes manifests, which the install agent applies in the customer's cluster",
    "custom": "a command of the vendor's, which the install agent runs where the customer's policy allows it",
}
_FORM = {"terraform_module": 1}
"""Versions of the stored state: 1 has `path` and `git` as blocks, where 0 had them in an attribute `source`."""


def generated_files() -> dict[Path, str]:
    """The path and content of every generated file."""
    resources = _resources()
    document = {
        "provider": _provider(),
        "resources": resources,
        "data_sources": data_sources(resources),
        "ephemeral_resources": ephemeral_resources(),
        "list_resources": list_resources(),
    }
    return {
        _TARGET / "schema.json": json.dumps(_without_defaults(document), indent=1, sort_keys=True) + "\n",
        **{_TARGET / f"{name}.py": _copy(name) for name in ("reference_grammar", "reference_names", "source_digest")},
    }


def _copy(name: str) -> str:
    """A file of the contract that needs nothing but the standard library and other such files."""
    original = Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
    copy = original.replace("from api.contract.", "from provider_bridge.resources.")
    return f"# Copied from api/contract/{name}.py. Edit that one; see its first lines.\n{copy}"


def _without_defaults(document: Any) -> Any:
    """The document without what `Attribute` assumes anyway: flags that are off, null for no default, rules that ask nothing."""
    if not isinstance(document, dict):
        return document
    assumed = {"nesting": "single", "exactly_one_of": []}
    return {
        name: _without_defaults(value)
        for name, value in document.items()
        if value is not None and (value is not False or name == "default") and not (name in assumed and assumed[name] == value)
    }


def _provider() -> Fields:
    return {
        "description": "Describe a product to Exclave and bring it into customers' clouds.",
        "attributes": {
            "url": text("The IMS's URL, such as `https://exclave.example.com`. Default: the variable `EXCLAVE_URL`."),
            "token": {
                **text("A bearer token of the IMS. Default: the variable `EXCLAVE_TOKEN`."),
                "sensitive": True,
            },
            "token_file": text("A file that holds the token, instead of `token`. Default: the variable `EXCLAVE_TOKEN_FILE`."),
        },
    }


def _resources() -> dict[str, Fields]:
    return {
        "exclave_app": _app(),
        **{f"exclave_{kind}_component": _component(kind, model) for kind, model in KINDS.items()},
        "exclave_install": _install(),
        "exclave_release": _release(),
        "exclave_deployment": _deployment(),
        "exclave_secret": _secret(),
        "exclave_agent_enrollment": _agent_enrollment(),
        "exclave_webhook": _webhook(),
        "exclave_service_token": _service_token(),
    }


def _app() -> Fields:
    return {
        "description": "An app: what a vendor ships into customers' clouds, with the inputs that each install gives.",
        "attributes": {
            **config(AppCreate, AppUpdate, leave_out={"inputs"}),
            "inputs": _inputs_of_app(),
            "id": _id("app"),
        },
        "identity": _identity("app"),
    }


def _component(kind: str, model: type[Any]) -> Fields:
    """A component of one kind: its config is that kind's model, with the parts of `source` and the images as blocks."""
    one_of = getattr(model, "exactly_one_of", ("source",) if "source" in model.model_fields else ())
    images = [name for name in one_of if kind == "container_image"]
    blocks = {name: block(_model_of(model, name), model.model_fields[name].description) for name in images}
    attributes = {
        **config(ComponentCreate, ComponentUpdate, leave_out={"config"}),
        **config(model, model, leave_out={"kind", "source", *images}),
        "app_id": {**needed(text("The app's id or name.")), "replaces": True},
        "id": _id("component"),
        "version": computed(Component, "version", "Counts the component's configs, from 1."),
    }
    if "source" in model.model_fields:
        blocks |= _source(model.model_fields["source"].description)
        attributes["source_digest"] = computed(
            PathSource,
            "digest",
            "The content hash of the folder at `path`, which decides whether the source has changed. Null without `path`: for "
            "`git`, the build records the commit.",
        )
    return {
        "description": f"A component of an app: {_KIND_IS[kind]}.",
        "version": _FORM.get(kind),
        "attributes": attributes,
        "blocks": blocks,
        "exactly_one_of": [part for name in one_of for part in (("path", "git") if name == "source" else (name,))],
        "identity": _identity("component"),
    }


def _model_of(model: type[OneOf], name: str) -> type[Any]:
    """The model of a field that may be null."""
    found: type[Any] = next(each for each in get_args(model.model_fields[name].annotation) if each is not type(None))
    return found


def _source(what: str) -> dict[str, Fields]:
    path = given(PathSource, "path")
    return {
        "path": {
            "description": f"{what} It is on the disk of whoever runs Terraform and of the build agent.",
            "attributes": {
                "path": {**path, "description": "The folder's path. A relative path starts at the folder of `terraform`."}
            },
        },
        "git": block(GitSource, f"{what} It is in a git repository."),
    }


def _install() -> Fields:
    return {
        "description": "An install: one app in one customer's account.",
        "attributes": {
            **config(InstallCreate, InstallUpdate),
            "sensitive_inputs": {
                **given(InstallCreate, "sensitive_inputs"),
                "sensitive": True,
                "default": None,
                "description": "Values for the app's sensitive inputs. The IMS stores them encrypted and never gives them "
                "back; a change behind Terraform's back shows in their fingerprints. Left out: what is stored stays.",
            },
            "id": _id("install"),
            "inputs_version": computed(Install, "inputs_version", "Counts the changes of the install's inputs, from 1."),
            "timeouts": timeouts(delete="60m"),
        },
        "identity": _identity("install"),
    }


def _release() -> Fields:
    return {
        "description": "A release: an immutable, numbered set of builds, one of each component. A change of `components` "
        "makes the next release; the earlier ones stay in the IMS as its history.",
        "attributes": {
            # Without labels: a release is immutable, and other labels alone are no reason for another one.
            **config(ReleaseCreate, None, leave_out={"labels"}),
            # Computed as well: what a config leaves out is the newest version of each component when the release is made.
            "components": {
                **given(ReleaseCreate, "components"),
                "default": None,
                "computed": True,
                "stable": True,
                "description": "The version of each component, by its name. Left out: the newest of each when the release "
                "is first made; later versions then make no new release.",
            },
            **answers(
                Release,
                id="The release's id.",
                number="Counts the app's releases, from 1.",
                status="`building`, `ready` or `failed`.",
            ),
            "digests": {
                "type": ["map", "string"],
                "computed": True,
                "description": "The digest of each component's artifact, by the component's name.",
            },
            "timeouts": timeouts(create="30m", update="30m"),
        },
        "identity": _identity("release"),
    }


def _deployment() -> Fields:
    return {
        "description": "A deployment: one release brought to one install, and kept there. A destroy tears the install's "
        "components down. "
        "A plan says in a warning what the deploy will do, component by component, or why that isn't known yet.",
        "attributes": {
            **config(DeployCreate, None, leave_out={"kind", "replan"}),
            "release_id": needed(text("The release's id. Another release is brought to the install in place.")),
            "inputs_version": {
                **given(DeployCreate, "inputs_version"),
                "description": "The version of the install's inputs to deploy with; a change brings the new inputs. Left "
                "out: the newest at the time, and a change of the inputs alone deploys nothing.",
            },
            "id": _id("install"),
            "deploy_id": computed(Deploy, "id", "The id of the newest deploy of the install."),
            "status": computed(Deploy, "status", "`pending`, `running`, `succeeded`, `failed`, `cancelling` or `cancelled`."),
            "outputs": {
                "type": ["map", "string"],
                "computed": True,
                "description": "The components' outputs, by `component.output`: strings as they are, anything else as JSON for "
                "`jsondecode`. Sensitive outputs stay in the customer's account.",
            },
            "left_out": {
                "type": ["list", "string"],
                "computed": True,
                "description": "Components that the newest deploy did not bring, or not wholly: somebody skipped them, or had "
                "them planned in part (`exclave deploys create --target`). The next plan deploys them.",
            },
            "timeouts": timeouts(create="60m", update="60m", delete="60m"),
        },
        "identity": _identity("install"),
    }


def _secret() -> Fields:
    return {
        "description": "A named secret, which components refer to as `{{ secrets.NAME }}`. Its value is write-only: it is in "
        "no plan and no state, and the IMS stores it encrypted and never gives it back. Needs Terraform 1.11 or newer.",
        "attributes": {
            **config(SecretCreate, None, leave_out={"value"}),
            "value_wo": {
                **needed(given(SecretCreate, "value")),
                "write_only": True,
                "sensitive": True,
                "description": "The value: a variable, or an ephemeral value of another provider. It is in no plan or state.",
            },
            "value_wo_version": {
                **text(
                    "Change it to write the value anew. Left out: another value is noticed by its fingerprint, which suits a "
                    "value that is the same in each run."
                ),
                "type": "number",
                "whole": True,
            },
            "id": _id("secret"),
            "version": computed(Secret, "version", "Counts the values, from 1."),
            "fingerprint": computed(
                Secret, "fingerprint", "A keyed hash of the value: equal values have equal ones in one IMS, and only there."
            ),
        },
        "identity": _identity("secret"),
    }


def _secret_file(what: str) -> Fields:
    return text(
        f"A file to write {what} to, with mode 0600, as it is shown only once; it is in no state. A destroy removes the file."
    )


def _agent_enrollment() -> Fields:
    return {
        "description": "A one-time token with which one agent enrols, written to a file. Where something in the same run takes "
        "the token, use the ephemeral resource of this name instead.",
        "attributes": {
            **config(EnrollmentCreate, None),
            "token_file": {**needed(_secret_file("the token")), "replaces": True},
            "id": _id("enrolment"),
            **answers(Enrollment, agent_id="", expires_at="Until when the token can be used."),
        },
        "identity": _identity("enrolment"),
    }


def _webhook() -> Fields:
    return {
        "description": "A webhook: events of the history, sent to an address by POST and signed (Standard Webhooks).",
        "attributes": {
            **config(WebhookCreate, WebhookUpdate),
            "secret_file": _secret_file("the signing secret"),
            "id": _id("webhook"),
            "disabled_because": computed(
                Webhook, "disabled_because", "Why Exclave switched it off by itself; null if it didn't."
            ),
        },
        "identity": _identity("webhook"),
    }


def _service_token() -> Fields:
    return {
        "description": "A token with which a program calls the IMS. The token itself is written to a file, never to the state. "
        "A destroy revokes it.",
        "attributes": {
            **config(TokenCreate, None),
            "name": {
                **given(TokenCreate, "name"),
                "replaces": True,
                "description": "The token's name. Names of revoked tokens stay taken, as the history shows them: `token_name` "
                "then has a number after it.",
            },
            "secret_file": _secret_file("the token"),
            "id": _id("token"),
            "token_name": {**computed(Token, "name", "The name that the history shows."), "stable": True},
            "expires_at": {**computed(Token, "expires_at", "When the token expires; null for never."), "stable": True},
        },
        "identity": _identity("token"),
    }


def _id(of: str) -> Fields:
    return {"type": "string", "computed": True, "stable": True, "description": f"The {of}'s id."}


def _identity(of: str) -> dict[str, Fields]:
    return {"id": {"description": f"The {of}'s id."}}


def _inputs_of_app() -> Fields:
    """The list of InputSpec as a map, by the input's name: HCL can then say `inputs = { domain = {...} }`."""
    return {
        "description": "What each install must or may say about itself, by the input's name.",
        "nesting": "map",
        "key_pattern": NAME["pattern"],
        "pattern_means": NAME["description"],
        "optional": True,
        "default": {},
        "nested": {
            **config(InputSpec, InputSpec, leave_out={"name"}),
            "default": {
                **given(InputSpec, "default"),
                "description": "Used where an install gives no value. Write a list or a map with `jsonencode`. A sensitive "
                "input can't have one.",
            },
        },
    }


if __name__ == "__main__":
    for path, content in generated_files().items():
        path.write_text(content, encoding="utf-8")
    subprocess.run([sys.executable, "-m", "provider_bridge.resources.prepare"], check=True)
