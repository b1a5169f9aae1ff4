"""A Helm chart as an OCI artifact (https://helm.sh/docs/topics/registries/): made from a folder, or read from a package.

A folder is packed here instead of by `helm package`, and its manifest made here instead of by `helm push`, which stamps the
time of day on it: the same folder gives the same digest.
"""

import fnmatch
import json
import re
from dataclasses import dataclass
from pathlib import Path

from agent.build.archive import UnsafeArchiveError, gzip_stored, read_tgz, tar
from agent.build.yaml_reader import load
from agent.failure import CodedError
from api.contract.base import Json
from api.contract.source_digest import source_files

CHART_BYTES = 64 * 1024 * 1024
"""A package may be so large, packed; unpacked, four times that."""

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]*")


class ChartWrongError(CodedError):
    """The folder or package isn't a chart that can be built."""

    code = "chart_wrong"


@dataclass(frozen=True)
class Chart:
    """A packed chart. `metadata` is its Chart.yaml, which is the config of its OCI manifest."""

    name: str
    version: str
    metadata: Json
    package: bytes

    @property
    def config(self) -> bytes:
        """The config blob, as Helm writes it: Chart.yaml as JSON."""
        return _json(self.metadata)


def chart_of_folder(folder: Path) -> Chart:
    """Pack a chart's folder, without what its `.helmignore` names. Blocks. Raises ChartWrongError."""
    if not (folder / "Chart.yaml").is_file():
        raise ChartWrongError("the source has no Chart.yaml", remedy="Name the folder that has the chart's Chart.yaml itself.")
    ignored = _ignore_rules(folder)
    found = {
        file.name: (Path(file.path).read_bytes(), file.executable)
        for file in source_files(str(folder))
        if file.name in ("Chart.yaml", ".helmignore") or not _is_ignored(file.name, ignored)
    }
    name, version, metadata = _metadata(found["Chart.yaml"][0])
    _check_dependencies(metadata, {path: content for path, (content, _) in found.items()})
    package = gzip_stored(tar({f"{name}/{path}": file for path, file in found.items()}))
    if len(package) > 4 * CHART_BYTES:
        raise ChartWrongError(f"the chart has {len(package)} bytes", remedy="Exclude large files with a .helmignore.")
    return Chart(name, version, metadata, package)


def chart_of_package(package: bytes) -> Chart:
    """Read a packed chart, which stays as it is. Blocks. Raises ChartWrongError, UnsafeArchiveError."""
    files = read_tgz(package, most_bytes=4 * CHART_BYTES)
    roots = {path.partition("/")[0] for path in files}
    content = files.get(f"{next(iter(roots))}/Chart.yaml") if len(roots) == 1 else None
    if content is None:
        raise ChartWrongError("the package has no Chart.yaml in its one folder")
    return Chart(*_metadata(content), package)


def _metadata(content: bytes) -> tuple[str, str, Json]:
    document = load("Chart.yaml", content)
    if not isinstance(document, dict):
        raise ChartWrongError("Chart.yaml isn't a mapping", remedy="Give it a name and a version.")
    name, version = document.get("name"), document.get("version")
    if not isinstance(name, str) or not isinstance(version, str) or not _NAME.fullmatch(name):
        raise ChartWrongError("Chart.yaml needs a `name` and a `version`", remedy="Both are strings: quote the version.")
    try:
        _json(document)
    except (TypeError, ValueError) as error:
        raise ChartWrongError(f"Chart.yaml can't be written as JSON: {error}", remedy="Quote its keys.") from None
    return name, version, document


def _json(metadata: Json) -> bytes:
    text = json.dumps(metadata, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str, allow_nan=False)
    return text.encode()


def _check_dependencies(metadata: Json, files: dict[str, bytes]) -> None:
    """`closure`: each dependency lies in `charts/`, as a folder or a package."""
    assert isinstance(metadata, dict)
    wanted = metadata.get("dependencies") or []
    vendored = {path.split("/")[1] for path in files if path.startswith("charts/") and path.endswith("/Chart.yaml")}
    vendored |= {_packed_name(path, content) for path, content in files.items() if re.fullmatch(r"charts/[^/]+\.tgz", path)}
    lines = files["Chart.yaml"].decode(errors="replace").splitlines()
    for dependency in wanted if isinstance(wanted, list) else []:
        name = str(dependency.get("name")) if isinstance(dependency, dict) else str(dependency)
        if name not in vendored:
            pattern = re.compile(rf"^\s*(-\s*)?name:\s*[\"']?{re.escape(name)}[\"']?\s*(#.*)?$")
            line = next((at for at, text in enumerate(lines, 1) if pattern.match(text) and at > 1), 1)
            raise ChartWrongError(
                f"Chart.yaml:{line}: the dependency {name!r} isn't in charts/",
                remedy="Run `helm dependency update`, and commit what it puts into charts/.",
            )


def _packed_name(path: str, content: bytes) -> str:
    try:
        return chart_of_package(content).name
    except UnsafeArchiveError as error:
        raise UnsafeArchiveError(f"{path}: {error}") from None


def _ignore_rules(folder: Path) -> list[str]:
    file = folder / ".helmignore"
    lines = file.read_text(errors="replace").splitlines() if file.is_file() else []
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def _is_ignored(path: str, rules: list[str]) -> bool:
    """Helm's rules: a name matches at any depth, a path from the root, and a rule with a last slash folders alone.

    `!` turns a rule round, as Helm does it: what does *not* match it is left out. A folder that is left out takes all along.
    """
    parts = path.split("/")
    for count in range(1, len(parts) + 1):
        place, is_folder = "/".join(parts[:count]), count < len(parts)
        for rule in rules:
            turned, pattern = rule.startswith("!"), rule.removeprefix("!")
            if pattern.endswith("/") and not is_folder:
                continue
            pattern = pattern.rstrip("/")
            against = place if "/" in pattern else place.rpartition("/")[2]
            if fnmatch.fnmatchcase(against, pattern.removeprefix("/")) != turned:
                return True
    return False
