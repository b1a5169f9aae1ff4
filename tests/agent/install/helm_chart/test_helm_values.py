"""The values of charts: references, types, and that what is secret stays in the customer's folder and cluster."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from charts import CONFIG_MAP, Cluster
from test_helm_interrupted import applying, helms
from test_install_helm import HOOK

from agent.artifact.chart_values import ValuePathError, nested
from agent.failure import JobFailedError
from agent.install.helm_chart.values import render_values
from agent.install.variables import Scope

pytestmark = pytest.mark.anyio

CANARY = "canary-5f1d-helm"
SECRET = """apiVersion: v1
kind: Secret
metadata: {name: web}
stringData:
  password: {{ .Values.password | quote }}
  generated: {{ .Values.generated | default (randAlphaNum 24) }}
"""
SCOPE = Scope(
    install_id="ins_1",
    install_name="acme",
    inputs={"replicas": 3, "hosts": ["a", "b"], "version": "1.10", "on": False},
    outputs={"db": {"url": "postgres://x", "port": 5432}}.get,
    digests={},
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ inputs.replicas }}", 3),
        ("{{ inputs.hosts }}", ["a", "b"]),
        ("{{ inputs.version }}", "1.10"),
        ("{{ inputs.on }}", False),
        ("{{ components.db.outputs.port }}", 5432),
        ("{{ components.db.outputs.url }}?n={{ inputs.replicas }}", "postgres://x?n=3"),
        ('["{{ inputs.version }}", {{ inputs.replicas }}]', ["1.10", 3]),
        ("<{{ install.name }}>", "<acme>"),
        ("{{ '{{' }}", "{{"),
        ("{{ inputs.hosts | join(',') }}", "a,b"),
        ("3", 3),
    ],
)
def test_a_value_keeps_the_type_of_what_it_refers_to(text: str, value: Any) -> None:
    assert render_values({"a.b": text}, SCOPE) == {"a": {"b": value}}


@pytest.mark.parametrize("text", ["{{ inputs.nope }}", "{{ components.web.outputs.url }}", "{{ nonsense }}"])
def test_a_reference_to_nothing_is_an_error_at_its_field(text: str) -> None:
    with pytest.raises(JobFailedError) as failed:
        render_values({"a.b": text}, SCOPE)
    assert (failed.value.failure.code, failed.value.failure.field) == ("unresolved_reference", "config.values.a.b")


def test_paths_become_nested_values() -> None:
    paths = {"a.b": 1, "a.c.d": 2, r"e.f\.g/h": 3, "i": None}
    assert nested(paths) == {"a": {"b": 1, "c": {"d": 2}}, "e": {"f.g/h": 3}, "i": None}


@pytest.mark.parametrize("paths", [["a", "a.b"], ["a.b", "a"], ["a..b"], [""], ["a[0]"], ["a[0].b"]])
def test_a_path_that_leads_nowhere_is_refused(paths: list[str]) -> None:
    with pytest.raises(ValuePathError) as failed:
        nested(dict.fromkeys(paths, 1))
    assert failed.value.failure.field == f"config.values.{paths[-1]}"


async def test_values_win_over_files_and_later_files_over_earlier_ones(cluster: Cluster) -> None:
    files = {
        "templates/config.yaml": CONFIG_MAP + "  size: {{ .Values.size }}\n  shape: {{ .Values.shape }}\n",
        "values.yaml": "colour: red\nsize: small\nshape: round\n",
        "one.yaml": "colour: green\nsize: large\n",
        "two.yaml": "colour: yellow\n",
    }
    await cluster.release(files, values_files=["one.yaml", "two.yaml"], values={"shape": "{{ inputs.shape }}"})
    await cluster.deploy(inputs={"shape": "square"})
    assert cluster.config_map() == {"colour": "yellow", "size": "large", "shape": "square"}


async def test_a_wrong_value_is_told_in_helms_words(cluster: Cluster) -> None:
    schema = '{"properties": {"colour": {"pattern": "^(red|exclave.*)$"}}}'
    files = {"templates/config.yaml": CONFIG_MAP, "values.schema.json": schema}
    await cluster.release(files, values={"colour": "{{ inputs.colour }}"})
    with pytest.raises(JobFailedError) as failed:
        await cluster.plan(inputs={"colour": "brown"})
    assert (failed.value.failure.code, failed.value.failure.field) == ("chart_not_rendered", "config.values")
    assert "colour" in failed.value.failure.message


async def test_an_image_that_only_this_cluster_brings_out_is_not_pulled_from_elsewhere(cluster: Cluster) -> None:
    """`closure`: the build could not know of it."""
    condition = '{{ if lookup "v1" "Namespace" "" "kube-system" }}'
    await cluster.release({"templates/config.yaml": CONFIG_MAP, "templates/hook.yaml": f"{condition}\n{HOOK}{{{{ end }}}}\n"})
    with pytest.raises(JobFailedError) as failed:
        await cluster.plan()
    assert failed.value.failure.code == "not_closed"
    assert "nginx:1.27" in failed.value.failure.message


async def test_what_is_secret_leaves_neither_folder_nor_cluster(cluster: Cluster, tmp_path: Path) -> None:
    values = {"password": "{{ inputs.password }}"}
    await cluster.release({"templates/secret.yaml": SECRET, "templates/hook.yaml": HOOK}, values=values, closure="off")
    planned = await cluster.plan(sensitive={"password": CANARY})
    apply = await applying(cluster)
    told = b"".join(Path(f"/proc/{process}/cmdline").read_bytes() for process in helms(cluster))
    told += b"".join(Path(f"/proc/{process}/environ").read_bytes() for process in helms(cluster))
    assert b"upgrade" in told
    assert CANARY.encode() not in told
    cluster.kubernetes.controllers.finish("Job", "migrate")
    result = await apply
    secret = cluster.kubernetes.cluster.find("Secret", "web")
    assert secret is not None
    generated = secret.get("stringData", secret["data"])["generated"]
    said = "\n".join([*cluster.account.log, planned.model_dump_json(), result.model_dump_json()])
    for value in (CANARY, generated):
        assert value not in cluster.account.secrets.text(said)
    assert CANARY not in said
    outside = [
        path for path in tmp_path.rglob("*") if path.is_file() and not path.is_relative_to(tmp_path / "home")
    ]  # fmt: skip
    assert await asyncio.to_thread(lambda: [path for path in outside if CANARY.encode() in path.read_bytes()]) == []
    plan = cluster.account.home("web") / "plans" / "job_plan"
    readable = [path for path in (tmp_path / "home").rglob("*") if path.is_file() and path.stat().st_mode & 0o077]
    assert {path.parent for path in readable if CANARY.encode() in path.read_bytes()} <= {plan}
    assert plan.stat().st_mode & 0o077 == 0


async def test_a_generated_secret_is_redacted_from_what_helm_says(cluster: Cluster) -> None:
    """Nobody but the plan has ever seen it."""
    await cluster.release({"templates/secret.yaml": SECRET}, values={"password": "{{ inputs.password }}"})
    await cluster.plan(sensitive={"password": CANARY})
    await cluster.apply(sensitive={"password": CANARY})
    stored = cluster.helm("get", "manifest", "web")
    generated = next(line.split(":")[1].strip() for line in stored.splitlines() if "generated" in line)
    assert cluster.account.secrets.text(f"helm says {generated}") == "helm says (sensitive)"
