"""Real Terraform for the provider's tests: the program on PATH, or else the library of the `terraform` extra."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.engine import launcher
from agent.engine.find import library_path

SECONDS = 120


def engine() -> list[str]:
    """The command that is Terraform here."""
    program = shutil.which("terraform") or shutil.which("tofu")
    if program:
        return [program]
    library = library_path()
    assert library, "neither terraform nor tofu is on PATH, and the `terraform` extra isn't installed"
    return [sys.executable, "-IS", str(Path(launcher.__file__)), str(library)]


@dataclass(frozen=True)
class Run:
    code: int
    output: str


class Terraform:
    """One working folder."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("TF_", "EXCLAVE_"))},
            "TF_CLI_CONFIG_FILE": os.devnull,
            "TF_IN_AUTOMATION": "1",
            "CHECKPOINT_DISABLE": "1",
            **environment,
        }

    def write(self, text: str, file: str = "main.tf") -> None:
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def start(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        """Begin a run in a process group of its own, so that a test can press Ctrl-C."""
        return subprocess.Popen(
            [*engine(), *arguments],
            cwd=self.folder,
            env={**self._environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, **environment: str) -> Run:
        with self.start(*arguments, **environment) as process:
            output, _ = process.communicate(timeout=SECONDS)
        # The frame around diagnostics would cut words apart.
        return Run(process.returncode, "\n".join(line.removeprefix("│ ").rstrip() for line in output.splitlines()))

    def interrupt(self, process: "subprocess.Popen[str]") -> Run:
        """Press Ctrl-C: SIGINT to the whole process group."""
        os.killpg(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=SECONDS)
        return Run(process.returncode, output)

    def apply(self, *arguments: str, **environment: str) -> Run:
        return self.run("apply", "-auto-approve", "-no-color", "-input=false", *arguments, **environment)

    def plan(self, *arguments: str) -> Run:
        """Code 0 = nothing to do, 2 = changes, 1 = error."""
        return self.run("plan", "-detailed-exitcode", "-no-color", "-input=false", *arguments)

    def destroy(self) -> Run:
        return self.run("destroy", "-auto-approve", "-no-color", "-input=false")

    def import_(self, address: str, import_id: str) -> Run:
        return self.run("import", "-no-color", "-input=false", address, import_id)

    def forget(self, address: str) -> None:
        """Take a resource out of the state, as if it had never been Terraform's."""
        assert self.run("state", "rm", address).code == 0

    def outputs(self) -> dict[str, Any]:
        return {
            name: each["value"] for name, each in json.loads((self.folder / "terraform.tfstate").read_text())["outputs"].items()
        }

    def instance(self, address: str) -> dict[str, Any]:
        """A resource of the state: its `attributes`, and `status` if it is tainted."""
        kind, name = address.split(".")
        for resource in json.loads((self.folder / "terraform.tfstate").read_text())["resources"]:
            if (resource["mode"], resource["type"], resource["name"]) == ("managed", kind, name):
                return resource["instances"][0]
        raise KeyError(address)

    def state(self, address: str) -> dict[str, Any]:
        return self.instance(address)["attributes"]


def until(process: "subprocess.Popen[str]", seen: Callable[[], bool]) -> None:
    """Wait for a condition while Terraform runs."""
    deadline = time.monotonic() + SECONDS
    while not seen():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "the condition never holds"
        time.sleep(0.01)
