"""The folder with which a customer starts the agent of an install: what `exclave installs connect` makes.

Most of it is copied from `deploy/agent`, as it is, for a customer to read before it runs; what belongs to the install
alone goes into files of settings. The one-time token is in a file of its own, mode 0600, and in no other.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import yaml

import api

Target = Literal["container", "compose", "systemd", "kubernetes", "helm", "aws", "aws-cloudformation", "google"]

_PACKAGE = Path(api.__file__).parent
_CHECKOUT = _PACKAGE.parent
_URL = re.compile(r"https?://(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+)(:[0-9]+)?(/[A-Za-z0-9._~/-]*)?")
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]*")
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_PACKAGE_SPEC = re.compile(r"[A-Za-z0-9._/\[\],=<>~!@:+-]+")

_SHORT = 16

VERSION = version("exclave")
DEFAULT_IMAGE = f"exclave-agent:{VERSION}"
DEFAULT_PACKAGE = f"exclave[aws,gcp]=={VERSION}"
REGISTRY_FILE = "registry.json"
TOKEN_FILE = "token"  # noqa: S105 - the name of the file


class KitError(Exception):
    """The kit can't be made. The text names the option, the value and the remedy."""


@dataclass(frozen=True)
class AgentSettings:
    """What the agent of one install is started with. Checked when made, so that no value needs quoting anywhere."""

    install: str
    url: str
    image: str = DEFAULT_IMAGE
    package: str = DEFAULT_PACKAGE
    approval: Literal["customer", "ims"] | None = None
    namespaces: tuple[str, ...] = ()
    """The cluster's namespaces that it may deploy into."""

    def __post_init__(self) -> None:
        """Raises KitError."""
        checks = [
            ("--agent-url", self.url, _URL, "an address such as https://ims.example.com"),
            ("--image", self.image, _IMAGE, "an image such as registry.example.com/exclave-agent:1.0.0"),
            ("--package", self.package, _PACKAGE_SPEC, f"what pip takes, such as {DEFAULT_PACKAGE} or the path of a wheel"),
            *(("--allow-namespace", one, _NAMESPACE, "the name of a namespace of Kubernetes") for one in self.namespaces),
        ]
        for option, value, pattern, wanted in checks:
            if not pattern.fullmatch(value):
                raise KitError(f"{option} {value!r} can't be used; give {wanted}")

    @property
    def dashed(self) -> str:
        """The install's name where only dashes are allowed."""
        return self.install.replace("_", "-")

    @property
    def short(self) -> str:
        """The install's name where a cloud's accounts and buckets are named for it; still one for each install."""
        if len(self.dashed) <= _SHORT:
            return self.dashed
        return f"{self.dashed[: _SHORT - 7].rstrip('-')}-{hashlib.sha256(self.install.encode()).hexdigest()[:6]}"

    @property
    def namespace(self) -> str:
        """The agent's own namespace in Kubernetes."""
        return f"exclave-{self.dashed}"[:63].rstrip("-")

    def environment(self) -> dict[str, str]:
        """The settings that `start-agent` in the image reads."""
        approval = {"EXCLAVE_APPROVAL": self.approval} if self.approval else {}
        return {"EXCLAVE_URL": self.url, "EXCLAVE_AGENT_NAME": self.install, **approval}


@dataclass(frozen=True)
class Recipe:
    """How a target's folder is made. `run`: the one thing to run in it. `logs`: where the agent says what it does.

    `sources`: what is copied, as (path in the source tree, name in the folder). `make`: the files with the install's settings.
    `own_registry`: the target makes the registry, and the agent needs no `registry.json`.
    `in_cluster`: it can be given namespaces.
    """

    run: str
    logs: str
    sources: tuple[tuple[str, str], ...]
    make: Callable[[AgentSettings], dict[str, str]]
    own_registry: bool = False
    in_cluster: bool = False


def _settings(agent: AgentSettings) -> dict[str, str]:
    head = "# What the agent is started with; none of it is secret. One NAME=VALUE in each line, without quotes.\n"
    lines = {**agent.environment(), "EXCLAVE_IMAGE": agent.image}
    return {"agent.env": head + "".join(f"{name}={value}\n" for name, value in lines.items())}


def _service_settings(agent: AgentSettings) -> dict[str, str]:
    head = "# What the agent is started with; none of it is secret. EXCLAVE_PACKAGE is what pip installs.\n"
    lines = {**agent.environment(), "EXCLAVE_PACKAGE": agent.package}
    return {"agent.env": head + "".join(f"{name}={value}\n" for name, value in lines.items())}


def _manifests(agent: AgentSettings) -> dict[str, str]:
    namespace = agent.namespace
    known = {"namespace": namespace, "image": agent.image, "uses_cluster": "true" if agent.namespaces else "false"}
    manifest = _source("deploy/agent/kubernetes/agent.yaml").read_text()
    for name, value in known.items():
        manifest = manifest.replace("{" + name + "}", value)
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": ["agent.yaml", *(["rbac.yaml"] if agent.namespaces else [])],
        "configMapGenerator": [{"name": "exclave-agent", "namespace": namespace, "envs": ["agent.env"]}],
        "secretGenerator": [{"name": "exclave-agent", "namespace": namespace, "files": [TOKEN_FILE, REGISTRY_FILE]}],
    }
    bindings = [_binding(namespace, one) for one in agent.namespaces]
    bindings += _inventories(namespace) if bindings else []
    return {
        **_settings(agent),
        "agent.yaml": manifest,
        "kustomization.yaml": yaml.safe_dump(kustomization, sort_keys=False),
        **({"rbac.yaml": yaml.safe_dump_all(bindings, sort_keys=False)} if bindings else {}),
    }


def _binding(own: str, namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": f"{own}-exclave-agent"[:63].rstrip("-"), "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"kind": "ServiceAccount", "name": "exclave-agent", "namespace": own}],
    }


def _inventories(own: str) -> list[dict[str, Any]]:
    """The right to keep lists of what was deployed, in the agent's own namespace."""
    metadata = {"name": "exclave-agent-inventories", "namespace": own}
    verbs = ["get", "list", "create", "patch", "delete"]
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": metadata,
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": verbs}],
    }
    to_role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": metadata["name"]}
    return [role, {**_binding(own, own), "metadata": metadata, "roleRef": to_role}]


def _chart_values(agent: AgentSettings) -> dict[str, str]:
    values: dict[str, Any] = {"image": agent.image, "url": agent.url, "name": agent.install}
    if agent.approval:
        values["approval"] = agent.approval
    if agent.namespaces:
        values["rbac"] = {"namespaces": list(agent.namespaces)}
    head = (
        f"# The chart's settings; chart/values.yaml has all there are. None of it is secret.\n# namespace: {agent.namespace}\n"
    )
    return {"values.yaml": head + yaml.safe_dump(values, sort_keys=False)}


def _terraform_values(agent: AgentSettings) -> dict[str, str]:
    environment = {"EXCLAVE_APPROVAL": agent.approval} if agent.approval else {}
    values = {"name": agent.short, "ims_url": agent.url, "image": agent.image, "environment": environment}
    return {"install.auto.tfvars.json": json.dumps(values, indent=2) + "\n"}


def _stack_parameters(agent: AgentSettings) -> dict[str, str]:
    given = {"Name": agent.short, "ImsUrl": agent.url, "Image": agent.image}
    if agent.approval:
        given["Approval"] = agent.approval
    asked = {"VpcId": "", "SubnetId": ""}
    return {"parameters.json": json.dumps([f"{name}={value}" for name, value in (given | asked).items()], indent=2) + "\n"}


_RULES = ("deploy/agent/rules.md", "rules/README.md")

RECIPES: dict[Target, Recipe] = {
    "container": Recipe(
        run="sh start.sh",
        logs="podman logs exclave-NAME (or docker logs)",
        sources=(("deploy/agent/container/start.sh", "start.sh"), _RULES),
        make=_settings,
    ),
    "compose": Recipe(
        run="sh start.sh",
        logs="docker compose --env-file agent.env logs (or podman compose)",
        sources=(("deploy/agent/compose/compose.yaml", "compose.yaml"), ("deploy/agent/compose/start.sh", "start.sh"), _RULES),
        make=_settings,
    ),
    "systemd": Recipe(
        run="sudo sh install.sh",
        logs="journalctl --unit exclave-agent",
        sources=(
            ("deploy/agent/systemd/exclave-agent.service", "exclave-agent.service"),
            ("deploy/agent/systemd/install.sh", "install.sh"),
            _RULES,
        ),
        make=_service_settings,
    ),
    "kubernetes": Recipe(
        run="kubectl apply --kustomize .",
        logs="kubectl --namespace exclave-NAME logs deployment/exclave-agent",
        sources=(),
        make=_manifests,
        in_cluster=True,
    ),
    "helm": Recipe(
        run="sh start.sh",
        logs="kubectl --namespace exclave-NAME logs deployment/exclave-agent",
        sources=(("deploy/agent/helm/start.sh", "start.sh"), ("deploy/agent/helm/chart", "chart")),
        make=_chart_values,
        in_cluster=True,
    ),
    "aws": Recipe(
        run="terraform init && terraform apply",
        logs="aws logs tail /exclave/NAME --follow",
        sources=(("deploy/agent/aws/main.tf", "main.tf"), ("modules/install-agent-aws", "agent")),
        make=_terraform_values,
        own_registry=True,
    ),
    "aws-cloudformation": Recipe(
        run="sh start.sh",
        logs="aws logs tail /exclave/NAME --follow",
        sources=(
            ("deploy/agent/aws-cloudformation/template.yaml", "template.yaml"),
            ("deploy/agent/aws-cloudformation/start.sh", "start.sh"),
        ),
        make=_stack_parameters,
        own_registry=True,
    ),
    "google": Recipe(
        run="terraform init && terraform apply",
        logs="gcloud logging read 'resource.type=gce_instance' (the machine is exclave-NAME)",
        sources=(("deploy/agent/google/main.tf", "main.tf"), ("modules/install-agent-google", "agent")),
        make=_terraform_values,
        own_registry=True,
    ),
}


def targets() -> list[str]:
    """The targets there are."""
    return list(RECIPES)


def check_folder(folder: Path) -> None:
    """See that a kit can be made there, before a token is. Raises KitError."""
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise KitError(f"--output {folder} is there already, and not empty; give a folder that isn't")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise KitError(f"--output {folder} can't be made: {error.strerror}") from None


def fill(folder: Path, target: Target, agent: AgentSettings) -> None:
    """Write everything but secrets and the README into a folder that `check_folder` has looked at. Raises KitError."""
    recipe = RECIPES[target]
    made = recipe.make(agent)
    for source, name in recipe.sources:
        _copy(source, folder / name)
    for name, text in made.items():
        (folder / name).write_text(text)


def instructions(target: Target, agent: AgentSettings) -> str:
    """What a customer reads of a target: its own page, and how `registry.json` looks where one is needed."""
    pages = [f"{target}/README.md", *([] if RECIPES[target].own_registry else ["registry.md"])]
    text = "\n".join(_source(f"deploy/agent/{page}").read_text() for page in pages)
    for word, value in (
        ("NAMESPACE", agent.namespace),
        ("INSTALL", agent.install),
        ("SHORT", agent.short),
        ("ADDRESS", agent.url),
    ):
        text = text.replace(word, value)
    return text


def _source(path: str) -> Path:
    """A file or folder of `deploy` or `modules`, in a checkout or in the installed package."""
    installed = {"deploy/": _PACKAGE / "cli", "modules/": _PACKAGE / "terraform_registry"}
    candidates = [_CHECKOUT / path, *(place / path for start, place in installed.items() if path.startswith(start))]
    return next(candidate for candidate in candidates if candidate.exists())


def _copy(source: str, target: Path) -> None:
    found = _source(source)
    if found.is_dir():
        shutil.copytree(found, target, ignore=shutil.ignore_patterns("tests", "examples", ".terraform*", "*.tfstate*"))
    else:
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(found, target)


def as_registry_file(text: str) -> str:
    """The content of `registry.json`, if it looks like one. Raises KitError."""
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, dict) or not str(document.get("url", "")).startswith(("http://", "https://")):
        raise KitError("--registry-credentials is no such file: it is a JSON object with the registry's `url`, at least")
    return text
