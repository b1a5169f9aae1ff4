"""Copies between registries, against `skopeo copy` and a bare `curl | curl` in the same run.

    .venv/bin/python benchmarks/artifacts.py [--rounds 5] [--registry docker-registry|built-in] [--case big|small]

Goals: at most 0.9 x skopeo for 1 x 500 MB and for 200 x 1 MB, at most 1.25 x `curl | curl` for 1 x 500 MB, at most 40 MB of
memory; at most 50 ms for a copy of which everything is there. The tools take turns, each with an empty target of its own.

Seconds are those of a copy: for ours, an agent is up already, so the start of Python isn't in them; skopeo's start (some 20 ms)
is. The CPU seconds are those of the whole client process, the start of Python included; what the registries need comes on top
for everybody. Memory is the highest resident set (VmHWM), looked at every 10 ms; some 20 MB of it are pages of Python and its
libraries, which processes share. httpx's own command line stays out of it, as in an installation: it would load rich.
"""

import argparse
import asyncio
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urljoin

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.modules["httpx._main"] = None  # type: ignore[assignment]  # rich is here for tools of the tests alone

import httpx

from agent.oci.client import RegistryClient
from agent.oci.copy import copy_artifact
from agent.oci.digest import digest_of
from agent.oci.manifest import IMAGE_MANIFEST
from agent.oci.push import push_bytes
from agent.oci.token import Credential

CASES = {"big": (1, 500_000_000), "small": (200, 1_000_000)}
REPOSITORY = "acme/app"


@dataclass(frozen=True)
class Registry:
    """A registry that runs, and the folder that it writes in."""

    url: str
    username: str = ""
    password: str = ""

    def client(self, http: httpx.AsyncClient) -> RegistryClient:
        """A client that may do everything."""
        return RegistryClient(self.url, Credential(self.username, self.password) if self.username else None, http)


@dataclass(frozen=True)
class Run:
    """One copy by one tool. `idle` is the memory before the copy, where that is known."""

    seconds: float
    cpu: float
    megabytes: float
    idle: float = 0


@contextmanager
def docker_registry(folder: Path) -> Iterator[Registry]:
    """Debian's docker-registry, without authentication."""
    config = {
        "version": 0.1,
        "log": {"level": "info", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": "127.0.0.1:0", "secret": "benchmark"},
    }
    folder.mkdir(parents=True)
    (folder / "config.yml").write_text(json.dumps(config))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", str(folder / "config.yml")], stdout=log, stderr=log)
    try:
        while not (found := re.search(r"listening on ([0-9.]+:[0-9]+)", (folder / "log").read_text())):
            time.sleep(0.02)
        yield Registry(f"http://{found[1]}")
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder)


@contextmanager
def built_in(folder: Path) -> Iterator[Registry]:
    """`exclave registry`, with its tokens."""
    process = subprocess.Popen(
        [sys.executable, "-m", "api.cli", "registry", "--data", str(folder), "--port-file", str(folder) + ".port"],
        stdout=subprocess.DEVNULL,
    )
    try:
        while not Path(f"{folder}.port").exists():
            time.sleep(0.02)
        writer = json.loads((folder / "writer.json").read_text())
        yield Registry(writer["url"], writer["username"], writer["password"])
    finally:
        process.terminate()
        process.wait()
        Path(f"{folder}.port").unlink()
        shutil.rmtree(folder)


REGISTRIES = {"docker-registry": docker_registry, "built-in": built_in}


async def fill(registry: Registry, count: int, size: int) -> tuple[str, str]:
    """Push an artifact of so many layers; gives its digest and that of its last layer."""
    async with httpx.AsyncClient(trust_env=False) as http:
        client = registry.client(http)
        await push_bytes(client, REPOSITORY, b"{}")
        layers = []
        for _ in range(count):
            content = os.urandom(size)
            await push_bytes(client, REPOSITORY, content)
            layers.append({"mediaType": "application/octet-stream", "digest": digest_of(content), "size": size})
        config = {"mediaType": "application/vnd.example", "digest": digest_of(b"{}"), "size": 2}
        document = {"schemaVersion": 2, "mediaType": IMAGE_MANIFEST, "config": config, "layers": layers}
        data = json.dumps(document).encode()
        await client.put_manifest(REPOSITORY, "v1", data, IMAGE_MANIFEST)
        return digest_of(data), str(layers[-1]["digest"])


async def copy(source: Registry, target: Registry, digest: str, times: int) -> None:
    """What a subprocess does: copies, and prints the seconds of the last time and the memory before the first."""
    async with httpx.AsyncClient(trust_env=False) as http:
        idle = high_water(os.getpid()) / 1024
        for _ in range(times):
            begun = time.perf_counter()
            await copy_artifact(
                source.client(http),
                target.client(http),
                source_repository=REPOSITORY,
                target_repository=REPOSITORY,
                digest=digest,
            )
            seconds = time.perf_counter() - begun
    print(seconds, idle)


def high_water(pid: int) -> int:
    """The most memory that a process has had, in KiB. Not `ru_maxrss`: that counts what the process was forked from."""
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) if found else 0


def measured(command: list[str]) -> tuple[Run, str]:
    """Run a program: how long, how much of the processor, and the most memory that it had; and what it printed."""
    with tempfile.TemporaryFile() as out:
        begun = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        most = 0
        while True:
            most = max(most, high_water(process.pid))
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            time.sleep(0.01)
        seconds = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        text = out.read().decode()
    if status:
        raise SystemExit(f"{' '.join(command)} failed:\n{text}")
    return Run(seconds, usage.ru_utime + usage.ru_stime, most / 1024), text


def ours(source: Registry, target: Registry, digest: str, times: int = 1) -> Run:
    """Our copier in a process of its own."""
    what = json.dumps([asdict(source), asdict(target), digest, times])
    run, text = measured([sys.executable, __file__, f"--copy={what}"])
    seconds, idle = text.split()
    return Run(float(seconds), run.cpu, run.megabytes, float(idle))


def skopeo(source: Registry, target: Registry, digest: str) -> Run:
    """`skopeo copy`, with a cache of its own that is empty."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["XDG_DATA_HOME"] = home
        if os.getuid() == 0:
            shutil.rmtree("/var/lib/containers/cache", ignore_errors=True)
        command = ["skopeo", "--insecure-policy", "copy", "-q", "--all", "--preserve-digests"]
        command += ["--src-tls-verify=false", "--dest-tls-verify=false"]
        command += ["--src-creds", f"{source.username}:{source.password}"] if source.username else []
        command += ["--dest-creds", f"{target.username}:{target.password}"] if target.username else []
        here = f"docker://{source.url.removeprefix('http://')}/{REPOSITORY}@{digest}"
        return measured([*command, here, f"docker://{target.url.removeprefix('http://')}/{REPOSITORY}:v1"])[0]


def curl(source: Registry, target: Registry, blob: str) -> Run:
    """One blob with `curl | curl`, without a look at what it is: the limit."""
    location = httpx.post(f"{target.url}/v2/{REPOSITORY}/blobs/uploads/", trust_env=False).headers["location"]
    url = urljoin(target.url, location)
    url += ("&" if "?" in url else "?") + f"digest={blob}"
    get = f"curl -sSf {source.url}/v2/{REPOSITORY}/blobs/{blob}"
    put = f"curl -sSf -X PUT -T - -H Expect: -H 'Content-Type: application/octet-stream' '{url}'"
    return measured(["sh", "-c", f"{get} | {put}"])[0]


def show(name: str, runs: list[Run], against: dict[str, list[Run]]) -> None:
    """One line of the table."""
    seconds = [run.seconds for run in runs]
    ratios = "  ".join(
        f"{statistics.median(seconds) / statistics.median(r.seconds for r in other):.2f} x {peer} "
        f"(of the minima {min(seconds) / min(r.seconds for r in other):.2f})"
        for peer, other in against.items()
    )
    print(
        f"  {name:22} min {min(seconds):6.3f} s  median {statistics.median(seconds):6.3f} s"
        f"  CPU {statistics.median(run.cpu for run in runs):5.2f} s  {max(run.megabytes for run in runs):5.0f} MB"
        + (f" (of which idle {max(run.idle for run in runs):.0f} MB)" if runs[0].idle else "")
        + f"  {ratios}"
    )


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--registry", choices=REGISTRIES, default="docker-registry")
    parser.add_argument("--case", choices=CASES, action="append")
    parser.add_argument("--copy", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.copy:
        source, target, digest, times = json.loads(options.copy)
        asyncio.run(copy(Registry(**source), Registry(**target), digest, times))
        return
    start = REGISTRIES[options.registry]
    with tempfile.TemporaryDirectory() as folder:
        for case in options.case or CASES:
            measure(case, start, Path(folder), options)


def measure(case: str, start: Callable[[Path], object], folder: Path, options: argparse.Namespace) -> None:
    """One size of artifacts."""
    count, size = CASES[case]
    print(f"{count} x {size // 1_000_000} MB, {options.registry} to {options.registry}, {options.rounds} rounds")
    with start(folder / "source") as source:  # type: ignore[attr-defined]
        digest, blob = asyncio.run(fill(source, count, size))
        tools: dict[str, Callable[[Registry], Run]] = {
            "exclave": lambda target: ours(source, target, digest),
            "skopeo": lambda target: skopeo(source, target, digest),
        }
        if count == 1 and options.registry == "docker-registry":
            tools["curl | curl"] = lambda target: curl(source, target, blob)
        runs: dict[str, list[Run]] = {name: [] for name in [*tools, "exclave, again"]}
        for number in range(options.rounds):
            names = list(tools)
            for name in names[number % len(names) :] + names[: number % len(names)]:
                with start(folder / "target") as target:  # type: ignore[attr-defined]
                    runs[name].append(tools[name](target))
                    if name == "exclave":
                        runs["exclave, again"].append(ours(source, target, digest, times=2))
        for name, those in runs.items():
            peers = {peer: runs[peer] for peer in tools if peer != "exclave"} if name == "exclave" else {}
            show(name, those, peers)


if __name__ == "__main__":
    main()
