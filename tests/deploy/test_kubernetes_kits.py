"""The kustomization and the chart, rendered by kubectl and helm, against Kubernetes' schemas and its Pod Security Standard.

No cluster can run here: what a server would default or refuse beyond its schemas and the Pod Security Standard isn't shown.
"""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from helm_program import helm, kubectl
from unconnected import Run

CHART = Path(__file__).parents[2] / "deploy/agent/helm/chart"
SCHEMAS = Path(__file__).parents[2] / ".build/module-tests/emulators/bin/kubernetes-validate"
NAMED = ["--set", "url=https://ims.example.com", "--set", "name=acme"]

Objects = list[dict[str, Any]]


def read(text: str) -> Objects:
    return [document for document in yaml.safe_load_all(text) if document]


def charted(*options: str) -> Objects:
    command = [helm(), "template", "exclave-agent", str(CHART), "--namespace", "exclave-acme", *NAMED, *options]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return read(done.stdout)


def of_kind(objects: Objects, kind: str) -> dict[str, Any]:
    (found,) = [each for each in objects if each["kind"] == kind]
    return found


@pytest.fixture
def kustomized(run: Run, tmp_path: Path) -> Callable[..., Objects]:
    """Make a kit, and render it."""

    def make(*options: str) -> Objects:
        registry = tmp_path / "writer.json"
        registry.write_text('{"url": "https://r.test", "username": "u", "password": "p"}')
        kit = ["--output", "kit", "--registry-credentials", str(registry), "--agent-url", "https://ims.example.com"]
        result = run("installs", "connect", "acme_eu", "--target", "kubernetes", *kit, *options)
        assert result.exit_code == 0, result.output
        folder = tmp_path / "vendor/kit"
        done = subprocess.run([kubectl(), "kustomize", str(folder)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return read(done.stdout)

    return make


def restricted(objects: Objects) -> list[str]:
    """What the Pod Security Standard "restricted" (v1.34) would refuse, and what else an auditor asks of this pod."""
    pod = of_kind(objects, "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    security, own = pod["securityContext"], container["securityContext"]
    rules = {
        "runs as root": security.get("runAsNonRoot") is True and security.get("runAsUser", 0) > 0,
        "has no seccomp profile": security.get("seccompProfile") == {"type": "RuntimeDefault"},
        "may gain privileges": own.get("allowPrivilegeEscalation") is False,
        "has capabilities": own.get("capabilities") == {"drop": ["ALL"]},
        "may write its file system": own.get("readOnlyRootFilesystem") is True,
        "shares the host's": not any(pod.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")),
        "has a port": "ports" not in container,
        "mounts the host's": {next(iter(set(each) - {"name"})) for each in pod["volumes"]}
        <= {"persistentVolumeClaim", "emptyDir", "secret", "configMap"},
    }
    return [what for what, kept in rules.items() if not kept]


def test_the_chart_and_the_manifests_meet_the_restricted_standard(kustomized: Callable[..., Objects]) -> None:
    for objects in (charted(), kustomized()):
        assert restricted(objects) == []
        deployment = of_kind(objects, "Deployment")["spec"]
        assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})
        policy = of_kind(objects, "NetworkPolicy")["spec"]
        assert policy["policyTypes"] == ["Ingress"]
        assert "ingress" not in policy
        assert not {"Service", "Ingress"} & {each["kind"] for each in objects}


def test_a_pod_that_breaks_the_standard_is_seen() -> None:
    objects = charted()
    of_kind(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]["securityContext"] = {}
    assert "has capabilities" in restricted(objects)


def test_chart_and_manifests_run_the_same_pod(kustomized: Callable[..., Objects]) -> None:
    pods = [of_kind(objects, "Deployment")["spec"]["template"]["spec"] for objects in (charted(), kustomized())]
    for pod in pods:
        (container,) = pod["containers"]
        for name in ("env", "envFrom", "imagePullPolicy"):
            container.pop(name, None)
        of_secret = next(volume for volume in pod["volumes"] if volume["name"] == "given")
        of_secret["secret"].pop("secretName")
    assert pods[0] == pods[1]


def test_without_namespaces_the_agent_has_no_rights_in_the_cluster(kustomized: Callable[..., Objects]) -> None:
    for objects in (charted(), kustomized()):
        assert not [each for each in objects if each["apiVersion"].startswith("rbac.")]
        assert of_kind(objects, "Deployment")["spec"]["template"]["spec"]["automountServiceAccountToken"] is False


def test_a_namespace_gives_rights_there_and_to_keep_inventories(kustomized: Callable[..., Objects]) -> None:
    for objects, own in (
        (charted("--set", "rbac.namespaces={shop}"), "exclave-acme"),
        (kustomized("--allow-namespace", "shop"), "exclave-acme-eu"),
    ):
        role, *bindings = sorted(
            (each for each in objects if each["apiVersion"].startswith("rbac.")), key=lambda each: str(each["kind"])
        )
        assert role["rules"] == [
            {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "create", "patch", "delete"]}
        ]
        assert role["metadata"].get("namespace", own) == own
        (binding,) = [each for each in bindings if each["metadata"].get("namespace", own) != own]
        (inventories,) = [each for each in bindings if each != binding]
        assert (inventories["roleRef"]["kind"], inventories["roleRef"]["name"]) == ("Role", role["metadata"]["name"])
        assert inventories["subjects"] == binding["subjects"]
        assert (binding["kind"], binding["metadata"]["namespace"], binding["roleRef"]["name"]) == (
            "RoleBinding",
            "shop",
            "edit",
        )
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "exclave-agent", "namespace": own}]
        assert of_kind(objects, "Deployment")["spec"]["template"]["spec"]["automountServiceAccountToken"] is True


def test_a_role_in_the_whole_cluster_is_the_customers_own_word() -> None:
    objects = charted("--set", "rbac.clusterRole=shop-installer")
    assert of_kind(objects, "ClusterRoleBinding")["roleRef"]["name"] == "shop-installer"


@pytest.mark.parametrize(
    "options",
    [
        ["--set", "url=ims.example.com"],
        ["--set", "name="],
        ["--set", "replicas=2"],
        ["--set", "rbac.namespaces={Shop}"],
        ["--set", "approval=nobody"],
    ],
    ids=str,
)
def test_values_that_make_no_sense_are_refused(options: list[str]) -> None:
    done = subprocess.run([helm(), "template", "x", str(CHART), *NAMED, *options], capture_output=True, text=True)
    assert (done.returncode, "values don't meet the specifications" in done.stderr) == (1, True), done.stderr


def test_kubernetes_schemas_know_every_field(kustomized: Callable[..., Objects], tmp_path: Path) -> None:
    if not SCHEMAS.exists():
        pytest.skip("there is no kubernetes-validate: run tests/modules/setup")
    every = ["rbac.namespaces={shop}", "rbac.clusterRole=x", "imagePullSecrets[0].name=r", "environment.HTTPS_PROXY=http://p"]
    objects = charted(*(word for each in every for word in ("--set", each))) + kustomized("--allow-namespace", "shop")
    file = tmp_path / "objects.yaml"
    file.write_text(yaml.safe_dump_all(objects))
    for version in ("1.25", "1.34"):
        done = subprocess.run([SCHEMAS, "--strict", "-k", version, file], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    of_kind(objects[:9], "Deployment")["spec"]["template"]["spec"]["containers"][0]["readOnly"] = True
    file.write_text(yaml.safe_dump_all(objects))
    done = subprocess.run([SCHEMAS, "--strict", "-k", "1.34", file], capture_output=True, text=True)
    assert done.returncode != 0


def test_the_charts_script_gives_helm_no_token(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With stand-ins for kubectl and helm, which write down what they are called with, and what they are given."""
    programs = tmp_path / "programs"
    programs.mkdir()
    real = kubectl()
    (programs / "helm").write_text(f'#!/bin/sh\necho "helm $@" >> {tmp_path}/calls\n')
    (programs / "kubectl").write_text(f"""#!/bin/sh
echo "kubectl $@" >> {tmp_path}/calls
case "$*" in
    *--dry-run=client*) exec {real} "$@" ;;
    *apply*) cat >> {tmp_path}/applied; echo --- >> {tmp_path}/applied ;;
esac
""")
    for name in ("helm", "kubectl"):
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    assert run("installs", "connect", "acme_eu", "--target", "helm", "--output", "kit").exit_code == 0
    kit = tmp_path / "vendor/kit"
    token = (kit / "token").read_text().strip()
    (kit / "registry.json").write_text(json.dumps({"url": "https://r.test", "username": "u", "password": "secret"}))
    done = subprocess.run(["sh", str(kit / "start.sh")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    calls = (tmp_path / "calls").read_text()
    assert token not in calls
    assert "helm upgrade --install exclave-agent ./chart --namespace=exclave-acme-eu --values=values.yaml" in calls
    secret = of_kind(read((tmp_path / "applied").read_text()), "Secret")
    assert sorted(secret["data"]) == ["registry.json", "token"]
    assert not (kit / "token").exists()
    values = yaml.safe_load((kit / "values.yaml").read_text())
    assert set(values) == {"image", "url", "name"}
