"""From `terraform apply` to deployed, against `terraform init && apply` of the same modules by hand.

    .venv/bin/python benchmarks/thread.py [--rounds 5]

Goals: the whole at most 1.5 times as long, plus 2 seconds; of it the deploy, from its creation to its end, at most 1.2 times as
long, plus half a second for each of its steps. Both sides use the same engine, in turns, on the same machine. The
IMS, the build agent and the customer's agent are up, as they are in real life; nothing is built or copied beforehand.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from stage import QUICKSTART, Stage

from agent.engine.find import find_engine

PASSWORD = "correct-horse"


def by_hand(folder: Path) -> float:
    """Seconds for init and apply of both modules, the second with the first one's output."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    environment |= {"TF_CLI_CONFIG_FILE": os.devnull, "CHECKPOINT_DISABLE": "1"}
    variables = {
        "network": {"name": "acme"},
        "service": {"network_id": "net-acme", "domain": "acme.example", "admin_password": PASSWORD},
    }
    for name in variables:
        shutil.copytree(QUICKSTART / "modules" / name, folder / name)
    engine = find_engine(None, os.environ).argv()
    begun = time.perf_counter()
    for name, values in variables.items():
        for arguments in (
            ["init", "-input=false"],
            ["apply", "-auto-approve", "-input=false", *(f"-var={key}={value}" for key, value in values.items())],
        ):
            subprocess.run([*engine, *arguments], cwd=folder / name, env=environment, check=True, capture_output=True)
    return time.perf_counter() - begun


@dataclass(frozen=True)
class Thread:
    """Seconds for one `terraform apply` that makes components, release and deployment, and for the deploy within it."""

    whole: float
    deploy: float
    steps: int


def by_exclave(folder: Path) -> Thread:
    """One `terraform apply`; the install and its agent are there."""
    stage = Stage(folder)
    try:
        stage.start_ims()
        stage.install_provider()
        stage.copy_quickstart()
        variables = {"admin_password": PASSWORD}
        arguments = ("-auto-approve", "-input=false", "-no-color")
        for prepare in (("init", "-input=false"), ("apply", *arguments, "-target=exclave_install.customer")):
            done = stage.terraform(*prepare, variables=variables)
            assert done.code == 0, done.output
        stage.join("acme")
        begun = time.perf_counter()
        done = stage.terraform("apply", *arguments, variables=variables)
        seconds = time.perf_counter() - begun
        assert done.code == 0, done.output
        (deploy,) = stage.get("/v1/deploys?install=acme")["items"]
        took = datetime.fromisoformat(deploy["ended_at"]) - datetime.fromisoformat(deploy["created_at"])
        return Thread(seconds, took.total_seconds(), len(deploy["steps"]))
    finally:
        stage.remove()


def main() -> int:
    """Run both in turns; exit code 1 if a goal is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    hand: list[float] = []
    exclave: list[Thread] = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="exclave-bench-") as folder:
            hand.append(by_hand(Path(folder) / "hand"))
            exclave.append(by_exclave(Path(folder) / "stage"))
    whole, deploys = [each.whole for each in exclave], [each.deploy for each in exclave]
    for name, values in (("by hand", hand), ("Exclave", whole), ("deploy", deploys)):
        print(f"{name:8} median {statistics.median(values):.2f} s  min {min(values):.2f}  max {max(values):.2f}")
    alone, steps = statistics.median(hand), exclave[0].steps
    limit, of_deploy = 1.5 * alone + 2, 1.2 * alone + 0.5 * steps
    print(f"ratio {statistics.median(whole) / alone:.2f}; goal: at most 1.5 x {alone:.2f} s + 2 s = {limit:.2f} s")
    print(f"the deploy's {steps} steps; goal: at most 1.2 x {alone:.2f} s + {steps} x 0.5 s = {of_deploy:.2f} s")
    return statistics.median(whole) > limit or statistics.median(deploys) > of_deploy


if __name__ == "__main__":
    sys.exit(main())
