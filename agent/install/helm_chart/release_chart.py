"""`saved-plan`: a chart whose templates are a rendering, so that helm, whichever it is, can render nothing else.

Random passwords, the time of day, lookups in the cluster and its version were decided when the plan was made. What helm does
with hooks, weights and the order of kinds depends on the objects alone, and so stays as it was.
"""

import json
from collections import defaultdict

from agent.build.archive import gzip_stored, read_tgz, tar
from agent.build.yaml_reader import load
from agent.install.helm_chart.artifact import NotAChartError
from agent.install.helm_chart.rendering import Rendering, RenderingWrongError
from api.contract.base import Json

_MOST_BYTES = 256 * 1024 * 1024
_DECIDED = ("dependencies", "kubeVersion")
"""What Chart.yaml asks for, and the rendering has."""


def release_chart(package: bytes, rendering: Rendering) -> bytes:
    """The package of a chart with the name, version and values of `package`, that renders to `rendering`. Blocks."""
    files = read_tgz(package, most_bytes=_MOST_BYTES)
    root = next(iter(files)).partition("/")[0]
    metadata = load("Chart.yaml", files[f"{root}/Chart.yaml"])
    if not isinstance(metadata, dict):
        raise NotAChartError("the chart's Chart.yaml isn't a mapping")
    name = str(metadata["name"])
    own: Json = {key: value for key, value in metadata.items() if key not in _DECIDED}
    made = {"Chart.yaml": json.dumps(own, default=str).encode()}
    if f"{root}/values.yaml" in files:
        made["values.yaml"] = files[f"{root}/values.yaml"]
    texts: dict[str, list[str]] = defaultdict(list)
    for document in rendering.documents:
        path = document.path.partition("/")[2]
        if any(part in ("", ".", "..") for part in path.split("/")):
            raise RenderingWrongError(f"helm's output names a template {document.path!r}")
        if document.crd:
            texts[f"crds/{path}"].append(document.text)
        else:
            texts[f"templates/{path.removeprefix('templates/')}"].append(_literal(document.text))
    made |= {path: "\n---\n".join(parts).encode() for path, parts in texts.items()}
    return gzip_stored(tar({f"{name}/{path}": (content, False) for path, content in made.items()}))


def package_has_crds(package: bytes) -> bool:
    """Whether the chart, or one that it has in `charts/`, has a folder `crds/`. Blocks."""
    for path, content in read_tgz(package, most_bytes=_MOST_BYTES).items():
        parts = path.split("/")
        if "crds" in parts[:-1] and "templates" not in parts:
            return True
        if parts[-2:-1] == ["charts"] and path.endswith(".tgz") and package_has_crds(content):
            return True
    return False


def _literal(text: str) -> str:
    """A template that renders to `text`: the delimiter is the only thing in a template that isn't taken as it is."""
    return text.replace("{{", '{{ "{{" }}')
