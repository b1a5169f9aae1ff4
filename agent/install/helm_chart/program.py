"""The helm program: found, asked for its version, and run with nothing of the agent's own configuration."""

import asyncio
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.engine.environment import passed_on
from agent.engine.find import launched
from agent.failure import CodedError

MINIMUM_VERSION = (3, 14)
"""The first that looks things up in the cluster when it only renders."""

_ANSWER_SECONDS = 30
_VERSION = re.compile(r"v(\d+)\.(\d+)\.")


class HelmNotFoundError(CodedError):
    """The machine has no helm that can be used."""

    code = "helm_not_found"
    remedy = (
        "Install helm 3.14 or newer, or helm 4, on the agent's machine, or name it in EXCLAVE_HELM; or have the vendor send it "
        "along with the chart (`bundle_helm`)."
    )


@dataclass(frozen=True)
class Helm:
    """A helm that said its version. Runs like an engine: see `agent.engine.run`."""

    path: Path
    version: str
    release: tuple[int, int]

    def argv(self, *, die_with: int | None = None) -> list[str]:
        """The command line that helm's own arguments follow. Helm ends an install or upgrade in order on SIGINT."""
        return launched("binary", self.path, die_with)

    @property
    def rollback_flag(self) -> str:
        """What makes a failed apply roll back."""
        return "--rollback-on-failure" if self.release >= (4, 0) else "--atomic"

    def __str__(self) -> str:
        return f"Helm {self.version} ({self.path})"


async def find_helm(env: Mapping[str, str], bundled: Path | None = None) -> Helm:
    """The program that EXCLAVE_HELM names, or the one that came with the chart, or `helm` on PATH. Raises HelmNotFoundError."""
    named = env.get("EXCLAVE_HELM") or (str(bundled) if bundled is not None and bundled.is_file() else "helm")
    found = shutil.which(named, path=env.get("PATH"))
    if found is None:
        raise HelmNotFoundError(f"there is no program {named!r} on the agent's machine")
    return await asyncio.to_thread(_examine, Path(found).absolute(), env)


def _examine(path: Path, env: Mapping[str, str]) -> Helm:
    environment = {name: env[name] for name in ("PATH", "HOME") if name in env} | {"HELM_PLUGINS": "/nonexistent"}
    try:
        answer = subprocess.run(
            [path, "version", "--template", "{{ .Version }}"],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ANSWER_SECONDS,
            check=False,
        )
    except OSError as error:
        raise HelmNotFoundError(f"{path} can't be run: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise HelmNotFoundError(f"{path} did not answer `version` within {_ANSWER_SECONDS} s") from None
    said = answer.stdout.decode(errors="replace").strip()
    version = _VERSION.match(said)
    if answer.returncode != 0 or version is None:
        raise HelmNotFoundError(f"{path} isn't helm: it doesn't understand `version`")
    release = int(version[1]), int(version[2])
    if release < MINIMUM_VERSION:
        raise HelmNotFoundError(f"{path} is {said}, and at least {'.'.join(map(str, MINIMUM_VERSION))} is needed")
    return Helm(path, said.removeprefix("v"), release)


def helm_environment(env: Mapping[str, str], home: Path) -> dict[str, str]:
    """What helm sees: the way to the cluster, and a home of its own in `home` without plugins, repositories or logins."""
    home.mkdir(parents=True, exist_ok=True)
    return {
        **passed_on(env),
        "TMPDIR": str(home),
        "KUBECACHEDIR": str(home / "kube"),
        "HELM_CACHE_HOME": str(home / "cache"),
        "HELM_CONFIG_HOME": str(home / "config"),
        "HELM_DATA_HOME": str(home / "data"),
        "HELM_PLUGINS": str(home / "plugins"),
        "HELM_REGISTRY_CONFIG": str(home / "registry.json"),
        "HELM_REPOSITORY_CACHE": str(home / "repositories"),
        "HELM_REPOSITORY_CONFIG": str(home / "repositories.yaml"),
        "HELM_DRIVER": "secret",
    }
