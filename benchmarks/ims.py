"""The IMS under load, on SQLite (full fsync) and on PostgreSQL, with the client on the same machine.

    .venv/bin/python benchmarks/ims.py [--agents 10000] [--database sqlite,postgresql]

Goals (2 cores): 10,000 idle agents at most 30 KB and 1 % CPU; pick-up p99 at 150 jobs a second with 10,000 waiting at most
10 ms (SQLite) or 20 ms (PostgreSQL); 1,500 job cycles a second; 10,000 agents back within 5 s; a release for 10,000 installs
within 0.5 s. Beside them the same endpoints as one would write them first (`naive_ims.py`).
"""

import argparse
import asyncio
import contextlib
import json
import os
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent / "tests"), str(Path(__file__).resolve().parent)]

from ims_seed import Seeded, seed
from lean_http import Answer, Connection
from postgresql import postgres_server

from api.settings import Settings

RESULTS = {
    "sync": {"kind": "sync", "copied_bytes": 1, "skipped_bytes": 0},
    "plan": {"kind": "plan", "summary": {"add": 1}, "plan_digest": "sha256:" + "0" * 64},
    "apply": {"kind": "apply", "outputs": {"url": "https://db.test"}, "outputs_changed": True},
}


@dataclass
class Server:
    """A started IMS and what it holds."""

    process: subprocess.Popen[bytes]
    host: str
    port: int
    token: str
    seeded: Seeded

    def cpu(self) -> float:
        """Seconds of CPU that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> int:
        """Bytes that are its own (PSS)."""
        rollup = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        return 1024 * next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))


@contextlib.contextmanager
def started(settings: Settings, seeded: Seeded) -> Iterator[Server]:
    """The IMS as a process."""
    url_file = settings.data / "url"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EXCLAVE_")}
    command = [sys.executable, "-P", "-m", "api.cli", "up", "--no-build-agent", "--port", "0", "--data", str(settings.data)]
    environment["EXCLAVE_DATABASE"] = settings.database
    process = subprocess.Popen([*command, "--url-file", str(url_file)], env=environment, stdout=subprocess.DEVNULL)
    try:
        while not url_file.exists():
            assert process.poll() is None, "the IMS didn't start"
            time.sleep(0.05)
        host, port = url_file.read_text().strip().removeprefix("http://").split(":")
        yield Server(process, host, int(port), (settings.data / "admin.token").read_text().strip(), seeded)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        url_file.unlink(missing_ok=True)


JOBS = 6
"""Of one deploy: sync, plan and apply of two components."""

LEASE = json.dumps({"wait_seconds": 50, "holding": []}).encode()
NO_WAIT = json.dumps({"wait_seconds": 0, "holding": []}).encode()


async def cycles(server: Server, *, at_once: int, installs: int) -> float:
    """Full job cycles a second: an agent leases a job and reports its success, which makes the next jobs of its deploy."""
    waiting = list(reversed(server.seeded.installs[:installs]))
    done = 0

    async def work() -> None:
        nonlocal done
        connection = await Connection.open(server.host, server.port)
        while waiting:
            _, token = waiting.pop()
            while True:
                answer = await connection.send("POST", "/v1/agent/lease", token, NO_WAIT)
                if answer.status == 204:
                    break
                assert answer.status == 200, answer.body
                await finish(connection, token, answer)
                done += 1
        connection.close()

    begun, cpu = time.perf_counter(), server.cpu()
    await asyncio.gather(*(work() for _ in range(at_once)))
    seconds = time.perf_counter() - begun
    print(f"    {done} cycles in {seconds:.2f} s; the server used {(server.cpu() - cpu) / done * 1000:.2f} ms of CPU for each")
    assert done == installs * JOBS, f"{done} jobs were done, {installs * JOBS} expected"
    return done / seconds


async def finish(connection: Connection, token: str, leased: Answer) -> None:
    """Report success."""
    lease = leased.json
    result = RESULTS[lease["payload"]["kind"]]
    body = json.dumps({"attempt": lease["attempt"], "outcome": "succeeded", "result": result}).encode()
    answer = await connection.send("POST", f"/v1/agent/jobs/{lease['job_id']}/finish", token, body)
    assert answer.status == 204, answer.body


async def park(server: Server, agents: list[tuple[str, str]]) -> tuple[list[tuple[Connection, asyncio.Future[Answer]]], float]:
    """Each agent connects and asks for a job that isn't there; these polls, and when the server had taken all of them in."""
    parked = []
    for begin in range(0, len(agents), 500):
        connections = await asyncio.gather(*(Connection.open(server.host, server.port) for _ in agents[begin : begin + 500]))
        for connection, (_, token) in zip(connections, agents[begin : begin + 500], strict=True):
            parked.append((connection, connection.send("POST", "/v1/agent/lease", token, LEASE)))
    return parked, await settled(server)


async def settled(server: Server) -> float:
    """When the server was last seen at work, once it has nothing more to do."""
    probe = await Connection.open(server.host, server.port)
    last = time.perf_counter()
    before = server.cpu()
    while True:
        await probe.send("GET", "/v1", "")
        await asyncio.sleep(0.5)
        if server.cpu() - before < 0.05:
            break
        before, last = server.cpu(), time.perf_counter()
    probe.close()
    return last


async def idle(server: Server, agents: list[tuple[str, str]], seconds: float, rate: float) -> None:
    """What agents cost that have nothing to do."""
    memory = server.memory()
    begun = time.perf_counter()
    parked, since = await park(server, agents)
    print(f"  storm: {len(agents)} agents connected and waiting after {since - begun:.1f} s (goal 5)")
    each = (server.memory() - memory) / len(agents) / 1024
    cpu, begun = server.cpu(), time.perf_counter()
    await asyncio.sleep(seconds)
    share = (server.cpu() - cpu) / (time.perf_counter() - begun)
    print(f"  idle: {each:.1f} KB for each agent (goal 30), {share:.2%} of a CPU over {seconds:g} s (goal 1 %)")
    await pick_up(server, agents, parked, rate=rate, seconds=10)
    for connection, answer in parked:
        answer.cancel()
        connection.close()
    await settled(server)  # it sees that they have hung up


async def pick_up(
    server: Server,
    agents: list[tuple[str, str]],
    parked: list[tuple[Connection, asyncio.Future[Answer]]],
    *,
    rate: float,
    seconds: float,
) -> None:
    """How long until an agent has the first job of a new deploy, while all the others wait.

    Counted from the request that makes the deploy, and from the job's `created_at`, when the server had begun to write it down.
    `rate` counts jobs: each agent does all of its deploy's.
    """
    pool = [await Connection.open(server.host, server.port) for _ in range(16)]
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for connection in pool:
        free.put_nowait(connection)
    from_request: list[float] = []
    leased_at: dict[str, float] = {}
    since_epoch = time.time() - time.perf_counter()

    async def one(number: int) -> None:
        connection = await free.get()
        body = json.dumps({"install_id": agents[number][0], "release_id": server.seeded.release_id}).encode()
        begun = time.perf_counter()
        made = connection.send("POST", "/v1/deploys", server.token, body)
        answer = await made
        assert answer.status == 201, answer.body
        free.put_nowait(connection)
        leased = await parked[number][1]
        if leased.status != 200:  # its poll had ended before
            return
        from_request.append(leased.at - begun)
        leased_at[leased.json["job_id"]] = leased.at + since_epoch
        connection = parked[number][0]
        while leased.status == 200:
            await finish(connection, agents[number][1], leased)
            leased = await connection.send("POST", "/v1/agent/lease", agents[number][1], NO_WAIT)

    count = min(int(rate / JOBS * seconds), len(agents))
    begun, cpu, tasks = time.perf_counter(), server.cpu(), []
    for number in range(count):
        await asyncio.sleep(max(0.0, begun + number * JOBS / rate - time.perf_counter()))
        tasks.append(asyncio.create_task(one(number)))
    await asyncio.gather(*tasks)
    took, cpu = time.perf_counter() - begun, server.cpu() - cpu
    waited = []
    for job, at in leased_at.items():
        made = (await pool[0].send("GET", f"/v1/jobs/{job}", server.token)).json["created_at"]
        waited.append(at - datetime.fromisoformat(made).timestamp())
    for connection in pool:
        connection.close()
    late = f", {count - len(waited)} polls had ended" if len(waited) < count else ""
    kept = f"{count * JOBS / took:.0f} of {rate:g} jobs/s{late}"
    print(f"  pick-up: {kept} with {len(agents)} waiting: {quantiles(waited)} (goals: p99 10 and 20 ms)")
    print(f"    from the request that makes the deploy: {quantiles(from_request)}")
    print(f"    the server used {cpu / count * 1000:.1f} ms of CPU for each deploy with its {JOBS} jobs")


def quantiles(seconds: list[float]) -> str:
    """Median and 99th percentile, in words."""
    p50, p99 = (statistics.quantiles(seconds, n=100)[at] * 1000 for at in (49, 98))
    return f"p50 {p50:.1f} ms, p99 {p99:.1f} ms"


async def fan_out(server: Server) -> None:
    """One release for every install: until the deploys are there, and until each has its steps and offers its first jobs."""
    connection = await Connection.open(server.host, server.port)
    body = json.dumps({"release_id": server.seeded.second_release_id, "all": True}).encode()
    begun = time.perf_counter()
    answer = await connection.send("POST", "/v1/deploys/batch", server.token, body)
    seconds = time.perf_counter() - begun
    assert answer.status == 201, answer.body
    while (await connection.send("GET", "/v1/deploys?status=pending&limit=1", server.token)).json["items"]:  # noqa: ASYNC110 - over HTTP
        await asyncio.sleep(0.2)
    planned = time.perf_counter() - begun
    connection.close()
    print(f"  fan-out: {answer.json['created']} deploys after {seconds:.2f} s (goal 0.5), all planned after {planned:.1f} s")


class Naive:
    """The peer (`naive_ims.py`) as a process."""

    def __init__(self, url: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        environment = os.environ | {
            "NAIVE_DATABASE": url.replace("postgresql:", "postgresql+psycopg:"),
            "NAIVE_PORT": str(self.port),
        }
        self.process = subprocess.Popen([sys.executable, str(Path(__file__).with_name("naive_ims.py"))], env=environment)

    async def cycles(self, *, at_once: int, count: int) -> float:
        """Its cycles a second: enqueue, lease, finish."""
        while True:
            try:
                (await Connection.open("127.0.0.1", self.port)).close()
                break
            except OSError:
                assert self.process.poll() is None, "the peer didn't start"
                await asyncio.sleep(0.1)

        async def work(token: str) -> None:
            connection = await Connection.open("127.0.0.1", self.port)
            for _ in range(count // at_once):
                assert (await connection.send("POST", "/enqueue", token)).status == 201
                leased = await connection.send("POST", "/lease", token)
                assert leased.status == 200, leased.body
                assert (await connection.send("POST", f"/finish/{leased.json['id']}", token)).status == 204
            connection.close()

        begun = time.perf_counter()
        await asyncio.gather(*(work(f"t{number}") for number in range(at_once)))
        return count / (time.perf_counter() - begun)

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(30)


async def measure(database: str, arguments: argparse.Namespace, folder: Path, stack: contextlib.ExitStack) -> None:
    """Everything, on one kind of database."""
    server = stack.enter_context(postgres_server(durable=True)) if database == "postgresql" else None
    busy = arguments.agents // 5  # installs besides those whose agents wait
    settings = Settings(folder / "ims", "http://127.0.0.1", database=server.new_database() if server else "sqlite")
    seeded = await seed(settings, installs=arguments.agents + busy, deploys_of=busy)
    with started(settings, seeded) as ims:
        rate = await cycles(ims, at_once=200, installs=busy)
        print(f"  cycles: {rate:.0f} a second (goal 1,500)")
        await idle(ims, seeded.installs[busy:], arguments.idle_seconds, arguments.rate)
        await fan_out(ims)
    naive = Naive(server.new_database() if server else f"sqlite:///{folder}/naive.db")
    try:
        peer = await naive.cycles(at_once=50, count=500)
    finally:
        naive.stop()
    print(f"  the naive peer: {peer:.0f} cycles a second; ours / its: {rate / peer:.1f} x")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--agents", type=int, default=10000)
    parser.add_argument("--idle-seconds", type=float, default=20)
    parser.add_argument("--rate", type=float, default=150, help="jobs a second for the pick-up")
    parser.add_argument("--database", default="sqlite,postgresql")
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    for database in arguments.database.split(","):
        print(database)
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            asyncio.run(measure(database, arguments, Path(folder), stack))


if __name__ == "__main__":
    main()
