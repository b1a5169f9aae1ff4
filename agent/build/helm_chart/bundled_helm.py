"""The build agent's helm as a part of a chart's artifact (`bundle_helm`)."""

import asyncio
from dataclasses import dataclass

from agent.artifact.manifest import HELM_PROGRAM, Blob, ChartProgram
from agent.build.builder import BuildContext
from agent.build.helm_chart.render import HelmMissingError
from agent.build.program import find_program, run_program
from agent.bundle.platform import current_platform

_SECONDS = 30.0


@dataclass(frozen=True)
class BundledHelm:
    """The program, and what the chart's config says of it."""

    blob: Blob
    said: ChartProgram


async def bundled_helm(context: BuildContext) -> BundledHelm:
    """The helm of this machine, which is one file without anything around it. Raises HelmMissingError."""
    helm = find_program("helm", "EXCLAVE_HELM", context.env)
    if helm is None:
        raise HelmMissingError("there is no helm that could ride in the artifact", field="config.bundle_helm")
    env = {"PATH": context.env.get("PATH", ""), "HOME": str(context.work)}
    argv = [str(helm), "version", "--template", "{{ .Version }}"]
    try:
        answer = await run_program(argv, folder=context.work, env=env, timeout=_SECONDS)
    except TimeoutError:
        raise HelmMissingError(f"{helm} doesn't say its version", field="config.bundle_helm") from None
    version = answer.output.strip().removeprefix("v")
    program = await asyncio.to_thread(helm.resolve().read_bytes)
    if answer.exit_code != 0 or program[:4] != b"\x7fELF":
        raise HelmMissingError(f"{helm} isn't helm itself, but something that starts it", field="config.bundle_helm")
    title = f"program/helm_{version}"
    return BundledHelm(
        Blob(HELM_PROGRAM, program, title), ChartProgram(title=title, version=version, platform=str(current_platform()))
    )
