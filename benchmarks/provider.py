"""The provider's start time, and plans without changes for 1, 100 and 1,000 components.

    .venv/bin/python benchmarks/provider.py [--rounds 5] [--components 1 100 1000]

Against `terraform_data` resources, which need no provider process, in the same run and with the same engine.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from stage import QUICKSTART, Stage

HANDSHAKE = {"TF_PLUGIN_MAGIC_COOKIE": "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2"}
HEAD = 'terraform {\n  required_providers {\n    exclave = { source = "exclave/exclave" }\n  }\n}\nprovider "exclave" {}\n'
APP = 'resource "exclave_app" "a" {\n  name = "bench"\n}\n'
COMPONENT = """
resource "exclave_terraform_module_component" "c" {{
  count     = {count}
  app_id    = exclave_app.a.id
  name      = "c${{count.index}}"
  source    = {{ path = "{source}" }}
  variables = {{ name = "x" }}
}}
"""
BUILTIN = 'resource "terraform_data" "d" {{\n  count = {count}\n  input = "x"\n}}\n'


def median(rounds: int, run: Callable[[], None]) -> float:
    """The median of `rounds` calls, in seconds."""
    times = []
    for _ in range(rounds):
        begun = time.perf_counter()
        run()
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def start(launcher: Path) -> None:
    """From exec to the handshake line."""
    environment = {**os.environ, **HANDSHAKE, "PLUGIN_CLIENT_CERT": "any"}
    process = subprocess.Popen([launcher], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
    assert process.stdout
    line = process.stdout.readline()
    process.kill()
    process.wait()
    process.stdout.close()
    assert line.startswith(b"1|6|unix|"), line


def must(stage: Stage, *arguments: str) -> None:
    """Run Terraform in the stage's work folder."""
    done = stage.terraform(*arguments)
    assert done.code == 0, done.output


def no_op_plan(stage: Stage, text: str, rounds: int) -> float:
    """Apply a definition, time plans that find no changes, and destroy it again. Returns the median in seconds."""
    with tempfile.TemporaryDirectory(prefix="exclave-bench-") as folder:
        stage.work = Path(folder)
        (stage.work / "main.tf").write_text(text)
        must(stage, "init", "-input=false")
        must(stage, "apply", "-auto-approve", "-input=false")
        seconds = median(rounds, lambda: must(stage, "plan", "-input=false", "-detailed-exitcode"))
        must(stage, "destroy", "-auto-approve", "-input=false")
        return seconds


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--components", type=int, nargs="*", default=[1, 100, 1000])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="exclave-bench-") as folder:
        stage = Stage(Path(folder))
        try:
            stage.start_ims()
            stage.install_provider()
            launcher = next(stage.home.rglob("terraform-provider-exclave_v*"))
            print(f"start to handshake  {median(20, lambda: start(launcher)) * 1000:.0f} ms")
            for count in options.components:
                builtin = no_op_plan(stage, BUILTIN.format(count=count), options.rounds)
                source = QUICKSTART / "modules" / "network"
                ours = no_op_plan(stage, HEAD + APP + COMPONENT.format(count=count, source=source), options.rounds)
                ratio = f"ratio {ours / builtin:.1f}"
                print(f"no-op plan, {count:5} components  {ours:.2f} s; terraform_data {builtin:.2f} s; {ratio}", flush=True)
        finally:
            stage.stop()


if __name__ == "__main__":
    main()
