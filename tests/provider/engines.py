"""Every engine that is here: Terraform and OpenTofu from PATH, and the Terraform of the `terraform` extra (a library)."""

import functools
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.engine import launcher
from agent.engine.find import library_path


@dataclass(frozen=True)
class Engine:
    """One engine. `kind` is `terraform` or `tofu`; `version` has its three numbers."""

    kind: str
    command: tuple[str, ...]
    version: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.kind}-{'.'.join(map(str, self.version))}"

    def at_least(self, *, terraform: str = "", tofu: str = "") -> bool:
        """Whether this engine is that new. One whose kind isn't named isn't."""
        wanted = {"terraform": terraform, "tofu": tofu}[self.kind]
        return bool(wanted) and self.version >= tuple(int(part) for part in wanted.split("."))


@functools.cache
def engines() -> tuple[Engine, ...]:
    """Those that are here, no version of one kind twice."""
    found = [_probe(name, (program,)) for name in ("terraform", "tofu") if (program := shutil.which(name))]
    library = library_path()
    if library:
        # In a process of its own: the library takes over signals and standard streams.
        found.append(_probe("terraform", (sys.executable, "-IS", str(Path(launcher.__file__)), str(library))))
    return tuple({str(each): each for each in found}.values())


def _probe(kind: str, command: tuple[str, ...]) -> Engine:
    environment = {**os.environ, "TF_CLI_CONFIG_FILE": os.devnull, "CHECKPOINT_DISABLE": "1"}
    said = subprocess.run([*command, "version", "-json"], capture_output=True, text=True, check=True, env=environment).stdout
    version = json.loads(said)["terraform_version"].partition("-")[0]
    return Engine(kind, command, tuple(int(part) for part in version.split(".")))


on_every_engine = pytest.mark.parametrize("engine", engines(), ids=str)
"""Runs a test, which takes an `engine`, on each of them."""


def needs(engine: Engine, *, terraform: str = "", tofu: str = "") -> None:
    """Skip the test on an older engine, or on one of a kind that has the feature in no version."""
    if not engine.at_least(terraform=terraform, tofu=tofu):
        pytest.skip(f"{engine} doesn't have this: terraform {terraform or 'never'}, tofu {tofu or 'never'}")
