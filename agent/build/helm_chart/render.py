"""Render a chart as a deploy would, with stand-ins for what only the deploy knows, to see which images it names."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from agent.artifact.chart_values import chart_value, nested
from agent.build.builder import BuildContext
from agent.build.closure.placeholders import stand_in
from agent.build.program import OutputTooLongError, find_program, run_program
from agent.failure import CodedError

_SECONDS = 120.0
_RENDERED_BYTES = 64 * 1024 * 1024


class RenderError(CodedError):
    """Helm can't render the chart. The message has its words."""

    code = "chart_not_rendered"
    remedy = "Give the chart the values that it needs; `helm template` with the same values shows the same error."


class HelmMissingError(CodedError):
    """The build agent's machine has no helm."""

    code = "helm_not_found"
    remedy = "Install helm on the build agent's machine, or name it in EXCLAVE_HELM; or set `closure` to off."


async def render(
    package: bytes,
    release: str,
    namespace: str,
    values_files: Sequence[Path],
    values: Mapping[str, str],
    context: BuildContext,
    *,
    upgrade: bool = False,
) -> dict[str, str]:
    """What each template makes, by its path in the chart: hooks, tests and CRDs too. Raises RenderError, HelmMissingError.

    With `upgrade`, what it makes when it is upgraded rather than installed.

    Helm gets a home of its own and none of the agent's environment: no plugin, no credential, no cluster.
    """
    helm = find_program("helm", "EXCLAVE_HELM", context.env)
    if helm is None:
        raise HelmMissingError("the images of a chart can't be found without helm", field="config.closure")
    home, out = context.work / "helm-home", context.work / ("upgraded" if upgrade else "rendered")
    home.mkdir(exist_ok=True)
    chart = context.work / "chart.tgz"
    own = context.work / "values.json"
    stood_in = {path: chart_value(stand_in(text, f"config.values.{path}")) for path, text in values.items()}
    own.write_text(json.dumps(nested(stood_in)))
    await asyncio.to_thread(chart.write_bytes, package)
    argv = [str(helm), "template", release, str(chart), "--namespace", namespace, "--include-crds", "--output-dir", str(out)]
    argv += [f"--values={path}" for path in values_files]
    argv.append(f"--values={own}")
    argv += ["--is-upgrade"] if upgrade else []
    env = {"PATH": context.env.get("PATH", ""), "HOME": str(home), "TMPDIR": str(home), "GOMEMLIMIT": "1GiB"}
    try:
        completed = await run_program(argv, folder=home, env=env, timeout=_SECONDS, most_output=_RENDERED_BYTES)
    except (TimeoutError, OutputTooLongError):
        raise RenderError(f"helm takes longer than {_SECONDS:g} s, or writes too much", field="config.values") from None
    if completed.exit_code != 0:
        said = completed.last_lines().replace(f"{context.work}/", "")
        raise RenderError(f"helm can't render the chart: {said}", field="config.values")
    return await asyncio.to_thread(_read, out)


def _read(folder: Path) -> dict[str, str]:
    """Rendered files by their path, without the chart's own folder, in which they all lie."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if sum(path.stat().st_size for path in files) > _RENDERED_BYTES:
        raise RenderError(f"the chart renders to more than {_RENDERED_BYTES} bytes", field="config.values")
    return {path.relative_to(folder).as_posix().partition("/")[2]: path.read_text(errors="replace") for path in files}
