"""Render a kustomization, which may reach nothing outside of its folder."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from agent.build.builder import BuildContext
from agent.build.closure.close import NotClosedError
from agent.build.program import OutputTooLongError, find_program, run_program
from agent.build.yaml_reader import documents
from agent.failure import CodedError, JobFailedError

KUSTOMIZED = "kustomized.yaml"
"""The name of the file that a kustomization becomes."""

_FILES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_LISTS = frozenset({"resources", "bases", "components", "crds", "generators", "transformers", "configurations"})
_REMOTE = re.compile(
    r"[a-z][a-z0-9+.-]*://|git@|git::|(github|gitlab|bitbucket)\.|[^/]+\.[a-z]{2,}/.*(\?ref=|\.git\b|//)", re.IGNORECASE
)
_SECONDS = 120.0
_RENDERED_BYTES = 64 * 1024 * 1024


class KustomizeError(CodedError):
    """The kustomization can't be rendered. The message has kustomize's words."""

    code = "not_kustomized"
    remedy = "Correct the kustomization; `kubectl kustomize` shows the same error."


class KustomizeMissingError(CodedError):
    """The build agent's machine has neither kustomize nor kubectl."""

    code = "kustomize_not_found"
    remedy = "Install kustomize or kubectl on the build agent's machine, or name the first in EXCLAVE_KUSTOMIZE."


async def kustomize(folder: Path, context: BuildContext, field: str) -> bytes:
    """What the kustomization in `folder` makes. Raises NotClosedError, KustomizeError, KustomizeMissingError."""
    if not any((folder / name).is_file() for name in _FILES):
        raise KustomizeError(
            f"the source has none of {', '.join(_FILES)}", remedy="Name the overlay's own folder.", field=field
        )
    try:
        leaks = await asyncio.to_thread(lambda: list(_leaks(folder)))
    except JobFailedError as error:
        raise JobFailedError(error.failure.model_copy(update={"field": field})) from error
    if leaks:
        raise NotClosedError("the kustomization takes in what isn't in the source: " + "; ".join(leaks), field=field)
    program = find_program("kustomize", "EXCLAVE_KUSTOMIZE", context.env)
    kubectl = find_program("kubectl", "EXCLAVE_KUBECTL", context.env)
    if program is None and kubectl is None:
        raise KustomizeMissingError("a kustomization needs kustomize or kubectl", field="config.kustomize")
    argv = [str(program), "build", str(folder)] if program else [str(kubectl), "kustomize", str(folder)]
    home = context.work / "kustomize-home"
    home.mkdir()
    # No PATH beyond the program's own: neither git for remote bases nor a plugin is to be found.
    env = {"PATH": str(home), "HOME": str(home), "TMPDIR": str(home), "GOMEMLIMIT": "1GiB"}
    try:
        completed = await run_program(argv, folder=home, env=env, timeout=_SECONDS, most_output=_RENDERED_BYTES)
    except (TimeoutError, OutputTooLongError):
        raise KustomizeError(f"kustomize takes longer than {_SECONDS:g} s, or writes too much", field=field) from None
    if completed.exit_code != 0:
        said = completed.last_lines().replace(f"{folder}/", "").replace(str(folder), ".")
        raise KustomizeError(f"kustomize can't render the source: {said}", field=field)
    return completed.output.encode()


def _leaks(folder: Path) -> Iterator[str]:
    """What the kustomizations in the folder would fetch, each with file and line (`closure`)."""
    for file in sorted(path for name in _FILES for path in folder.rglob(name)):
        name = file.relative_to(folder).as_posix()
        for document in documents(name, file.read_bytes()):
            yield from _leaks_of(document, name)


def _leaks_of(document: yaml.Node, name: str) -> Iterator[str]:
    for key, value in document.value if isinstance(document, yaml.MappingNode) else []:
        if not isinstance(key, yaml.ScalarNode):
            continue
        if key.value == "helmCharts":
            yield f"{name}:{key.start_mark.line + 1}: helmCharts; make the chart a helm_chart component"
        if key.value in _LISTS and isinstance(value, yaml.SequenceNode):
            for each in value.value:
                if isinstance(each, yaml.ScalarNode) and _REMOTE.match(each.value):
                    yield f"{name}:{each.start_mark.line + 1}: {each.value}"
