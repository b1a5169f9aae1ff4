"""The provider's start and memory, and plans without changes for 1, 100 and 1,000 components, with a real IMS behind it.

    .venv/bin/python benchmarks/provider.py [--rounds 5] [--components 1 100 1000] [--cache FOLDER]

The peers, in the same run and with the same engine: hashicorp/null (Go), a provider on PyPI's `tf` (Python), and
`terraform_data`, which is built into Terraform. None of them has anything behind it. Their rounds alternate, so that each gets
its share of the machine's good and bad moments, and each figure is a minimum and a median; CPU is that of Terraform and its
provider processes together.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

import provider_peers as peers
from stage import QUICKSTART, Stage

from provider_bridge.protocol import certificate

COOKIE = "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2"
STARTS = 20
PARALLEL = 50

# Goals: seconds for plans of so many components, shares of the peers' median at 1,000, and for one process.
PLAN_SECONDS = {1: 0.40, 100: 0.70}
AT_MOST = {1000: {"Go null": 2.0, "Python tf": 0.6}}
START_MS = 80
MEMORY_MB = 50


@dataclass
class Times:
    """What several runs of one thing took, in seconds: on the clock, and of CPU."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def add(self, run: Callable[[], object]) -> None:
        """Do it once more."""
        used, begun = _children(), time.perf_counter()
        run()
        self.wall.append(time.perf_counter() - begun)
        self.cpu.append(_children() - used)

    @property
    def median(self) -> float:
        """The middle one, on the clock."""
        return statistics.median(self.wall)

    @property
    def cpu_median(self) -> float:
        """The middle one, of CPU."""
        return statistics.median(self.cpu)

    def __str__(self) -> str:
        cpu = f"CPU {min(self.cpu):.3f} / {self.cpu_median:.3f}"
        return f"{min(self.wall):.3f} / {self.median:.3f} s; {cpu} s"


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def start(launcher: Path) -> None:
    """From exec to the handshake line."""
    client = certificate.create().pem.decode()
    environment = {
        **os.environ,
        "TF_PLUGIN_MAGIC_COOKIE": COOKIE,
        "PLUGIN_PROTOCOL_VERSIONS": "5,6",
        "PLUGIN_CLIENT_CERT": client,
    }
    process = subprocess.Popen([launcher], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
    assert process.stdout
    line = process.stdout.readline()
    process.kill()
    process.wait()
    process.stdout.close()
    assert line.startswith(b"1|"), line


def verdict(met: bool) -> str:
    """In a word."""
    return "met" if met else "MISSED"


def starts(found: Sequence[peers.Peer]) -> None:
    """Print how long each provider takes to be there."""
    times = {each.name: Times() for each in found if each.launcher}
    for _ in range(STARTS):
        for each in found:
            if each.launcher:
                times[each.name].add(lambda launcher=each.launcher: start(launcher))
    for name, taken in times.items():
        print(f"start to handshake  {name:15} {taken}")
    reached = verdict(times["exclave"].median * 1000 <= START_MS)
    print(f"                    goal {START_MS} ms: {reached}", flush=True)


@dataclass(frozen=True)
class Folder:
    """A provider's resources, applied, in a folder of their own."""

    peer: peers.Peer
    stage: Stage
    path: Path

    def terraform(self, *arguments: str) -> None:
        """Run Terraform to a good end."""
        self.stage.work = self.path
        done = self.stage.terraform(*arguments)
        assert done.code == 0, done.output

    def plan(self, *options: str) -> None:
        """A plan that must find no changes."""
        self.terraform("plan", "-input=false", "-detailed-exitcode", *options)


def applied(peer: peers.Peer, stage: Stage, count: int) -> Folder:
    """A folder with that many resources, which are there."""
    folder = Folder(peer, stage, stage.folder / f"{peer.name.replace(' ', '-')}-{count}")
    folder.path.mkdir()
    (folder.path / "main.tf").write_text(peer.definition(count))
    folder.terraform("init", "-input=false")
    folder.terraform("apply", "-auto-approve", "-input=false", f"-parallelism={PARALLEL}")
    return folder


def plans(folders: Sequence[Folder], count: int, rounds: int, *options: str) -> None:
    """Print what plans without changes take, and how the first of the providers does against the others."""
    times = {each.peer.name: Times() for each in folders}
    for _ in range(rounds):
        for each in folders:
            times[each.peer.name].add(lambda folder=each: folder.plan(*options))
    what = f"no-op plan, {count:4} {' '.join(options)}"
    for name, taken in times.items():
        print(f"{what}  {name:15} {taken}")
    ours = times["exclave"].median
    for name, taken in times.items():
        if name != "exclave":
            goal = AT_MOST.get(count, {}).get(name) if not options else None
            asked = f"; goal {goal:g}: {verdict(ours <= goal * taken.median)}" if goal else ""
            cpu = times["exclave"].cpu_median / taken.cpu_median
            print(f"    {ours / taken.median:.2f} x {name}, in CPU {cpu:.2f} x{asked}")
    if count in PLAN_SECONDS and not options:
        print(f"    goal {PLAN_SECONDS[count]:.2f} s: {verdict(ours <= PLAN_SECONDS[count])}")
    sys.stdout.flush()


def memory(folder: Folder) -> None:
    """Print the most that one of the provider's processes has in memory in a plan, which isn't timed."""
    most = {"VmHWM": 0, "Pss": 0}
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            for process in _grandchildren():
                for name, file in (("VmHWM", "status"), ("Pss", "smaps_rollup")):
                    most[name] = max(most[name], _kilobytes(process / file, name))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        folder.plan()
    finally:
        done.set()
        watcher.join()
    resident, share = most["VmHWM"] / 1024, most["Pss"] / 1024
    print(
        f"memory, peak        RSS {resident:.0f} MB, PSS {share:.0f} MB; goal {MEMORY_MB} MB: {verdict(resident <= MEMORY_MB)}"
    )


def _grandchildren() -> list[Path]:
    """What Terraform, a child of this process, has started."""
    found = []
    for child in _children_of(os.getpid()):
        if "terraform" in _command(child):
            found += [Path(f"/proc/{pid}") for pid in _children_of(child) if "provider_bridge" in _command(pid)]
    return found


def _children_of(pid: int) -> list[int]:
    pids: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            pids += [int(each) for each in task.read_text().split()]
        except OSError:
            continue  # that thread has ended
    return pids


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def _kilobytes(path: Path, name: str) -> int:
    try:
        return next((int(line.split()[1]) for line in path.read_text().splitlines() if line.startswith(f"{name}:")), 0)
    except OSError:
        return 0


def find_peers(stage: Stage, cache: Path) -> list[peers.Peer]:
    """Ours first, then those that can be had."""
    mirror = stage.home / ".terraform.d" / "plugins"
    launcher = next(mirror.rglob("terraform-provider-exclave_v*"))
    found = [peers.exclave(launcher, QUICKSTART / "modules" / "network")]
    for name, fetch in (("Go null", peers.null), ("Python tf", peers.on_tf)):
        try:
            found.append(fetch(cache, mirror))
        except (OSError, subprocess.CalledProcessError) as reason:
            print(f"without {name}: {reason}", flush=True)
    return [*found, peers.built_in()]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--components", type=int, nargs="*", default=[1, 100, 1000])
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "exclave-benchmarks")
    options = parser.parse_args()
    print(
        f"minimum / median of {options.rounds} rounds; load {' '.join(f'{each:.1f}' for each in os.getloadavg())}", flush=True
    )
    with tempfile.TemporaryDirectory(prefix="exclave-bench-") as folder:
        stage = Stage(Path(folder))
        try:
            stage.start_ims()
            stage.install_provider()
            found = find_peers(stage, options.cache)
            starts(found)
            for count in options.components:
                folders = [applied(peer, stage, count) for peer in found]
                plans(folders, count, options.rounds)
            plans(folders, count, options.rounds, f"-parallelism={PARALLEL}")
            memory(folders[0])
        finally:
            stage.stop()
    print(f"load {' '.join(f'{each:.1f}' for each in os.getloadavg())}")


if __name__ == "__main__":
    main()
