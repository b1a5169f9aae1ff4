"""What is read out of helm's output, and the chart that renders to it."""

import subprocess
from pathlib import Path

import pytest
from charts import CHART
from helm_program import helm

from agent.build.archive import gzip_stored, tar
from agent.failure import JobFailedError
from agent.install.helm_chart.release_chart import package_has_crds, release_chart
from agent.install.helm_chart.rendering import Rendering, digest_of_objects, read_documents

PRINTED = """---
# Source: shop/crds/widgets.yaml
kind: CustomResourceDefinition
metadata: {name: widgets}
---
# Source: shop/templates/all.yaml
kind: List
items:
  - {kind: ConfigMap, metadata: {name: a}, data: {since: 2026-01-01, text: "---"}}
  - {kind: ConfigMap, metadata: {name: b}}
---
# Source: shop/charts/redis/templates/job.yaml
kind: Job
metadata: {name: job, annotations: {"helm.sh/hook": "post-install, post-upgrade"}}
---
# Source: shop/templates/all.yaml
kind: Secret
apiVersion: v1
metadata: {name: s}
stringData: {plain: "{{ not }} a {{{template}}}"}
data: {packed: cGFja2Vk}
---
# Source: shop/templates/nothing.yaml
# nothing
"""


def rendering() -> Rendering:
    return Rendering(tuple(read_documents(PRINTED)))


def package(**files: str) -> bytes:
    return gzip_stored(tar({f"shop/{name.replace('__', '/')}": (text.encode(), False) for name, text in files.items()}))


def test_objects_hooks_and_definitions_are_told_apart() -> None:
    found = rendering()
    assert [each["metadata"]["name"] for each in found.objects()] == ["a", "b", "s"]
    assert [each["metadata"]["name"] for each in found.hooks()] == ["job"]
    assert [each["metadata"]["name"] for each in found.crds()] == ["widgets"]


def test_a_date_is_a_text_as_it_is_for_kubernetes() -> None:
    assert rendering().objects()[0]["data"] == {"since": "2026-01-01", "text": "---"}


def test_secrets_are_known_as_they_stand_and_as_they_are_meant() -> None:
    assert rendering().secrets() == ["{{ not }} a {{{template}}}", "cGFja2Vk", "packed"]


@pytest.mark.parametrize("text", ["just text", "kind: Pod", "metadata: {name: a}", "[1]"])
def test_what_is_no_object_is_refused_with_its_template(text: str) -> None:
    with pytest.raises(JobFailedError) as failed:
        Rendering(tuple(read_documents(f"---\n# Source: shop/templates/x.yaml\n{text}\n"))).objects()
    assert "shop/templates/x.yaml" in failed.value.failure.message


def test_helm_can_make_nothing_of_the_chart_but_the_rendering(tmp_path: Path) -> None:
    """`saved-plan`: not even what looks like a template in it."""
    metadata = CHART + 'kubeVersion: ">=9.0"\ndependencies: [{name: redis, version: "1", repository: ""}]\n'
    chart = release_chart(
        package(**{"Chart.yaml": metadata, "values.yaml": "a: 1", "templates/x.yaml": "{{ fail }}"}), rendering()
    )
    (tmp_path / "chart.tgz").write_bytes(chart)
    argv = [helm(), "template", "web", str(tmp_path / "chart.tgz"), "--include-crds"]
    ended = subprocess.run(argv, capture_output=True, check=True, text=True)
    made = Rendering(tuple(read_documents(ended.stdout)))
    for ours, theirs in ((rendering().objects(), made.objects()), (rendering().hooks(), made.hooks())):
        assert digest_of_objects(ours) == digest_of_objects(theirs)
    assert [each["metadata"]["name"] for each in made.crds()] == ["widgets"]


def test_definitions_are_found_in_charts_within_charts() -> None:
    inner = package(**{"Chart.yaml": CHART, "crds/x.yaml": ""})
    outer = gzip_stored(tar({"shop/Chart.yaml": (CHART.encode(), False), "shop/charts/inner.tgz": (inner, False)}))
    assert package_has_crds(outer)
    assert not package_has_crds(package(**{"Chart.yaml": CHART, "templates/crds/x.yaml": ""}))
