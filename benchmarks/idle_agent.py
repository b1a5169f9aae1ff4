"""What an agent costs that has nothing to do: memory and processor time of `exclave agent install`, between two long polls.

    .venv/bin/python benchmarks/idle_agent.py [--seconds 50] [--kind install]

Goals: at most 60 MB of resident memory, at most 0.1 % of one processor. The agent is the real program; the IMS is the scripted
one of the tests, in this process, whose time isn't counted.
"""

import argparse
import asyncio
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests" / "agent"), str(ROOT / "tests")]

from agent_protocol_server import TOKEN, AgentProtocolServer, agent_protocol_server

MEMORY_MB, CPU_PERCENT = 60.0, 0.1
_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of all its threads (proc_pid_stat(5)); schedstat is finer where there is one."""
    tasks = Path(f"/proc/{pid}/task")
    try:
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()) / 1e9
    except OSError:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS


def memory_mb(pid: int) -> dict[str, float]:
    """Resident, and the process's own share of it, in MB (10^6 bytes)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 / 1e6 for line in lines}
    return {"RSS": sizes["Rss"], "PSS": sizes["Pss"]}


async def measure(kind: str, seconds: float) -> bool:
    """Print the figures; True if both goals are met."""
    with tempfile.TemporaryDirectory(prefix="exclave-bench-") as folder:
        # Compiled beforehand, as pip leaves what it installs: what compiles its modules at the start is larger ever after.
        env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        env |= {"EXCLAVE_AGENT_TOKEN": TOKEN, "PYTHONPYCACHEPREFIX": f"{folder}/compiled"}
        async with agent_protocol_server(kind=kind) as ims:
            async with _agent(kind, ims, Path(folder), env):
                pass
            begun = time.perf_counter()
            async with _agent(kind, ims, Path(folder), env) as pid:
                started = time.perf_counter() - begun
                to_start = cpu_seconds(pid)
                await asyncio.sleep(3)
                before = cpu_seconds(pid)
                await asyncio.sleep(seconds)
                percent = (cpu_seconds(pid) - before) / seconds * 100
                memory = memory_mb(pid)
    print(f"{kind} agent, idle for {seconds:g} s: RSS {memory['RSS']:.1f} MB, PSS {memory['PSS']:.1f} MB (goal {MEMORY_MB:g})")
    print(
        f"processor {percent:.3f} % (goal {CPU_PERCENT:g}); start {started:.2f} s, of which {to_start:.2f} s of processor time"
    )
    return memory["RSS"] <= MEMORY_MB and percent <= CPU_PERCENT


@asynccontextmanager
async def _agent(kind: str, ims: AgentProtocolServer, folder: Path, env: dict[str, str]) -> AsyncIterator[int]:
    """The process of an agent that waits for its first job."""
    writer = folder / "writer.json"
    writer.write_text(json.dumps({"url": "http://127.0.0.1:1", "username": "writer", "password": "secret"}))
    # These come with tools for development only, and httpx would load them.
    program = "import sys; sys.modules['rich'] = sys.modules['pygments'] = None; from api.cli import main; main()"
    command = [sys.executable, "-c", program, "agent", kind, "--url", ims.url, "--home", str(folder / "home")]
    command += ["--registry-credentials", str(writer)] if kind == "install" else []
    nowhere = asyncio.subprocess.DEVNULL
    ims.leases = 0
    agent = await asyncio.create_subprocess_exec(*command, env=env, stdout=nowhere, stderr=nowhere)
    try:
        await ims.until(lambda: ims.leases > 0)
        yield agent.pid
    finally:
        logging.disable()  # the long poll that is cut off
        agent.terminate()
        await agent.wait()


def main() -> int:
    """Exit code 1 if a goal is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=50)
    parser.add_argument("--kind", choices=["install", "build"], default="install")
    arguments = parser.parse_args()
    return not asyncio.run(measure(arguments.kind, arguments.seconds))


if __name__ == "__main__":
    sys.exit(main())
