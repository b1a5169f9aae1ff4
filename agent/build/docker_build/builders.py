"""The programs that turn a Dockerfile into an image: buildah in the sandbox, or a command of the vendor's choice.

EXCLAVE_BUILDER in the agent's environment names the command, for BuildKit or a fork of Kaniko. It runs as the agent's user,
finds what to do in variables (`docs/reference/builds.md`), and leaves an OCI image layout in the folder OUT.
"""

import json
import os
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.build.builder import BuildContext
from agent.build.program import Completed, OutputTooLongError, find_program, run_program
from agent.failure import CodedError
from agent.sandbox.inside import subordinate
from agent.sandbox.ownership import give_away, take_back
from agent.sandbox.sandbox import for_builders

BUILDER = "EXCLAVE_BUILDER"
NETWORK = "EXCLAVE_BUILD_NETWORK"

_SECONDS = 3600.0
_MOST_OUTPUT = 64 * 1024 * 1024


class BuilderMissingError(CodedError):
    """The build agent's machine can't build Dockerfiles."""

    code = "builder_not_found"


class ImageNotBuiltError(CodedError):
    """The builder failed. The message has its last words; the build's log has all."""

    code = "image_not_built"
    remedy = "Correct the Dockerfile; the build's log has everything that was said."


@dataclass(frozen=True)
class Order:
    """What to build. Paths are in the builder's own folder. `bases` are layouts, by their names in the Dockerfile."""

    folder: Path
    context: Path
    dockerfile: Path
    bases: Mapping[str, Path]
    out: Path
    platform: str
    timestamp: int
    target: str | None
    build_args: Mapping[str, str]
    annotations: Mapping[str, str]
    secrets: Mapping[str, Path]


async def build_image(order: Order, context: BuildContext) -> None:
    """Build the image into the layout `order.out`. Raises BuilderMissingError, ImageNotBuiltError."""
    if command := context.env.get(BUILDER):
        await _run(shlex.split(command), order.context, {**context.env, **_variables(order)}, context)
        return
    buildah = find_program("buildah", "EXCLAVE_BUILDAH", context.env)
    if buildah is None:
        raise BuilderMissingError(
            "this build agent has no buildah", remedy=f"Install buildah and uidmap, or name another builder in {BUILDER}."
        )
    if os.getuid() != 0 and (subordinate("/etc/subuid") is None or shutil.which("newuidmap") is None):
        raise BuilderMissingError(
            "this build agent's user can't make a sandbox",
            remedy="Install uidmap, and give the user a range in /etc/subuid and /etc/subgid (`usermod --add-subuids …`).",
        )
    await give_away(order.folder)
    stores = ["--root", str(order.folder / "store"), "--runroot", str(order.folder / "run"), "--storage-driver", "vfs"]
    program = [*for_builders(order.folder, network=context.env.get(NETWORK) == "host"), str(buildah), *stores]
    env = {**_env(order.folder), "PATH": context.env.get("PATH", "")}
    for name, layout in order.bases.items():
        # Relative: buildah makes a name of the path, and not every path can be one.
        pulled = await _run([*program, "pull", "--quiet", f"oci:{layout.name}:base"], Path("/"), env, context)
        await _run([*program, "tag", pulled.output.split()[-1], name], Path("/"), env, context)
    await _run([*program, *_arguments(order)], Path("/"), env, context)
    await _run([*program, "push", "--quiet", "--format", "oci", _NAME, f"oci:{order.out}:built"], Path("/"), env, context)
    await take_back(order.folder, order.out)


_NAME = "localhost/exclave:built"


def _arguments(order: Order) -> list[str]:
    arguments = ["build", "--isolation", "chroot", "--pull-never", "--no-cache", "--layers=false", "--format", "oci"]
    arguments += ["--timestamp", str(order.timestamp), "--platform", order.platform, "--file", str(order.dockerfile)]
    arguments += ["--identity-label=false", "--tag", _NAME]
    if order.target is not None:
        arguments += ["--target", order.target]
    arguments += [f"--build-arg={name}={value}" for name, value in order.build_args.items()]
    arguments += [f"--annotation={name}={value}" for name, value in order.annotations.items()]
    arguments += [f"--secret=id={name},src={path}" for name, path in order.secrets.items()]
    return [*arguments, str(order.context)]


def _variables(order: Order) -> dict[str, str]:
    return {
        "CONTEXT": str(order.context),
        "DOCKERFILE": str(order.dockerfile),
        "OUT": str(order.out),
        "PLATFORM": order.platform,
        "SOURCE_DATE_EPOCH": str(order.timestamp),
        "TARGET": order.target or "",
        "BASES": json.dumps({name: str(path) for name, path in order.bases.items()}),
        "BUILD_ARGS": json.dumps(dict(order.build_args)),
        "ANNOTATIONS": json.dumps(dict(order.annotations)),
        "SECRETS": json.dumps({name: str(path) for name, path in order.secrets.items()}),
    }


def _env(folder: Path) -> dict[str, str]:
    """Nothing of the agent's environment: no credential of any cloud."""
    return {
        "PATH": os.defpath,
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "XDG_RUNTIME_DIR": str(folder / "run"),
        "_CONTAINERS_USERNS_CONFIGURED": "1",
    }


async def _run(argv: list[str], folder: Path, env: Mapping[str, str], context: BuildContext) -> Completed:
    try:
        completed = await run_program(argv, folder=folder, env=env, timeout=_SECONDS, most_output=_MOST_OUTPUT)
    except FileNotFoundError:
        raise BuilderMissingError(f"there is no program {argv[0]!r}", remedy=f"Correct {BUILDER}.") from None
    except (TimeoutError, OutputTooLongError):
        raise ImageNotBuiltError(f"the builder takes longer than {_SECONDS:g} s, or writes too much") from None
    for line in completed.output.splitlines():
        context.log(line)
    if completed.exit_code != 0:
        raise ImageNotBuiltError(f"the builder failed: {completed.last_lines()}")
    return completed
