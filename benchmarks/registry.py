"""Pushes into the built-in registry, against docker-registry, with the same client and the same tokens.

    .venv/bin/python benchmarks/registry.py [--rounds 3] [--folder FOLDER]

Each round pushes 200 blobs of 1 MB and one of 500 MB, four at a time, into both, in turns; the blobs are
new each time. Every push is POST and one PUT, as the install agent's. Prints the wall time, the CPU seconds of the server's
process, and the most memory that it ever had. Both registries write their files to the disk (fsync) before they answer.
"""

import argparse
import contextlib
import hashlib
import http.client
import json
import os
import secrets
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from api.registry.access import Access, Grant
from api.registry.standalone import SERVICE
from api.registry.tokens import TokenSigner

MB = 1024 * 1024
PARALLEL = 4
REPOSITORY = "bench/web"


@dataclass(frozen=True)
class Server:
    """A registry's process."""

    name: str
    address: str
    process: "subprocess.Popen[bytes]"

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_mb(self) -> float:
        """The most memory that was resident."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


@contextlib.contextmanager
def running(name: str, address: str, command: list[str]) -> Iterator[Server]:
    """Start a registry, and wait until it answers."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        host, _, port = address.partition(":")
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection((host, int(port))).close()
                break
            except ConnectionRefusedError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        yield Server(name, address, process)
    finally:
        process.terminate()
        process.wait()


def free_address() -> str:
    """An address that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


def ours(folder: Path) -> contextlib.AbstractContextManager[Server]:
    """The built-in registry."""
    address = free_address()
    command = ["-m", "api.registry.standalone", "--data", str(folder / "ours"), "--port", address.partition(":")[2]]
    return running("exclave", address, [sys.executable, *command])


def peer(folder: Path, signer: TokenSigner) -> contextlib.AbstractContextManager[Server]:
    """docker-registry, which takes the same tokens."""
    program = shutil.which("docker-registry")
    if program is None:
        raise SystemExit("docker-registry is not on PATH: apt-get install docker-registry")
    address = free_address()
    certificate = folder / "certificate.pem"
    certificate.write_bytes(signer.certificate_pem)
    token = {"realm": "http://unused", "service": SERVICE, "issuer": SERVICE, "rootcertbundle": str(certificate)}
    config = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "peer")}},
        "http": {"addr": address},
        "auth": {"token": token},
    }
    (folder / "peer.yml").write_text(json.dumps(config))  # JSON is YAML
    return running("docker-registry", address, [program, "serve", str(folder / "peer.yml")])


class Body:
    """`size` bytes, of which the first few are new: made as they are read, so that the client has no memory to speak of."""

    def __init__(self, size: int) -> None:
        self._head, self._block, self.size = secrets.token_bytes(32), bytes(MB), size
        whole = hashlib.sha256()
        for piece in self.pieces():
            whole.update(piece)
        self.digest = f"sha256:{whole.hexdigest()}"

    def pieces(self) -> Iterator[bytes]:
        """The bytes, a block at a time."""
        yield self._head
        left = self.size - len(self._head)
        while left:
            yield self._block[: min(left, MB)]
            left -= min(left, MB)


def push(connection: http.client.HTTPConnection, token: str, body: Body) -> None:
    """POST, then one PUT."""
    headers = {"Authorization": f"Bearer {token}"}
    connection.request("POST", f"/v2/{REPOSITORY}/blobs/uploads/", headers={**headers, "Content-Length": "0"})
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 202, answer.status
    location = urlsplit(answer.headers["Location"])
    query = f"{location.query}&" if location.query else ""
    put = {**headers, "Content-Length": str(body.size), "Content-Type": "application/octet-stream"}
    path = f"{location.path}?{query}digest={body.digest}"
    connection.request("PUT", path, body=body.pieces(), headers=put, encode_chunked=False)
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 201, answer.status


def push_all(address: str, token: str, bodies: list[Body]) -> None:
    """All of them, PARALLEL at a time, each worker on one connection."""

    def work(share: list[Body]) -> None:
        connection = http.client.HTTPConnection(address)
        for body in share:
            push(connection, token, body)
        connection.close()

    with ThreadPoolExecutor(PARALLEL) as pool:
        list(pool.map(work, [bodies[start::PARALLEL] for start in range(PARALLEL) if bodies[start::PARALLEL]]))


def measure(
    servers: list[Server], signer: TokenSigner, rounds: int, make: Callable[[], list[Body]]
) -> dict[str, list[list[float]]]:
    """[wall seconds, CPU seconds] of each round, by server."""
    found: dict[str, list[list[float]]] = {server.name: [] for server in servers}
    for number in range(rounds):
        for server in servers if number % 2 else reversed(servers):
            bodies = make()
            grant = Grant("bench", (Access(REPOSITORY, frozenset({"pull", "push"})),))
            token = signer.issue(grant, service=SERVICE).token
            os.sync()  # so that nobody waits for what the other has written
            cpu, begun = server.cpu_seconds(), time.perf_counter()
            push_all(server.address, token, bodies)
            found[server.name].append([time.perf_counter() - begun, server.cpu_seconds() - cpu])
    return found


def show(title: str, found: dict[str, list[list[float]]]) -> None:
    """One line for each server, and the ratios."""
    print(title)
    for name, values in found.items():
        wall, cpu = ([value[part] for value in values] for part in (0, 1))
        print(
            f"  {name:16} wall min {min(wall):6.2f} s, median {statistics.median(wall):6.2f} s;"
            f"  CPU min {min(cpu):5.2f} s, median {statistics.median(cpu):5.2f} s"
        )
    mine, other = (([value[0] for value in values]) for values in found.values())
    print(
        f"  ours is {min(other) / min(mine):.2f} x as fast by minimum, "
        f"{statistics.median(other) / statistics.median(mine):.2f} x by median"
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where both keep their data; a temporary folder by default")
    parser.add_argument("--only", choices=("small", "large"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="exclave-bench-", dir=options.folder) as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        mine = stack.enter_context(ours(folder))
        signer = TokenSigner.open(folder / "ours" / "token-key.pem", issuer=SERVICE)
        servers = [mine, stack.enter_context(peer(folder, signer))]
        if options.only != "large":
            show("200 x 1 MB", measure(servers, signer, options.rounds, lambda: [Body(MB) for _ in range(200)]))
        if options.only != "small":
            show("1 x 500 MB", measure(servers, signer, options.rounds, lambda: [Body(500 * MB)]))
        for server in servers:
            print(f"{server.name}: {server.peak_mb():.0f} MB of memory at most")


if __name__ == "__main__":
    main()
