"""A PostgreSQL server of the tests' own, from Debian's package: not one that happens to run on the machine."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg

_FAST = (
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "autovacuum=off",
    "shared_buffers=64MB",
    "max_connections=200",
)
_SAFE = ("shared_buffers=512MB", "max_connections=200")
_numbers = count(1)


def programs() -> Path | None:
    """The folder of the newest PostgreSQL server on this machine, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


class PostgresServer:
    """A running server. It has no port: it listens on a socket in a folder of its own."""

    def __init__(self, folder: Path, owner: str | None) -> None:
        self.folder = folder
        self._owner = owner

    def url(self, database: str) -> str:
        """The address of one of its databases."""
        return f"postgresql://exclave@/{database}?host={self.folder}"

    def new_database(self, template: str = "template0") -> str:
        """The address of a new database, empty or a copy of another one that nobody is connected to."""
        name = f"t{next(_numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            # Files that nobody flushes are copied in half the time of writing all of them to the log, as is usual since 15.
            strategy = "STRATEGY FILE_COPY" if connection.info.server_version >= 150_000 else ""
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} {strategy}")
        return self.url(name)

    def drop(self, url: str) -> None:
        """Drop a database, whoever is still connected."""
        name = url.split("?")[0].rsplit("/", 1)[1]
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def control(self, *arguments: str) -> None:
        """Run pg_ctl, such as `stop -m immediate` and `start`."""
        _run(self._owner, [str(_bin("pg_ctl")), "-D", str(self.folder / "data"), "-s", "-w", "-t", "240", *arguments])


def _bin(name: str) -> Path:
    folder = programs()
    assert folder, "no PostgreSQL server on this machine"
    return folder / name


def _run(owner: str | None, command: list[str]) -> None:
    done = subprocess.run(
        command,
        user=owner,
        group=owner,
        extra_groups=[] if owner else None,
        capture_output=True,
        text=True,
        cwd="/",
        check=False,
    )
    assert done.returncode == 0, f"{command[0]}: {done.stdout}{done.stderr}"


@contextmanager
def postgres_server(*, durable: bool = False) -> Iterator[PostgresServer]:
    """A new server in a folder of its own, which goes with it. `durable` keeps the settings that make commits safe."""
    folder = Path(tempfile.mkdtemp(prefix="exclave-pg-"))  # short: a socket's path has at most 107 bytes
    owner = None
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        owner = next(name for name in ("postgres", "nobody") if _exists(name))
        shutil.chown(folder, owner)
    server = PostgresServer(folder, owner)
    data = folder / "data"
    try:
        _run(
            owner,
            [
                str(_bin("initdb")),
                "-D",
                str(data),
                "-U",
                "exclave",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--no-sync",
                "--locale=C.UTF-8",
            ],
        )
        settings = ["listen_addresses=''", f"unix_socket_directories='{folder}'", *(_SAFE if durable else _FAST)]
        with (data / "postgresql.conf").open("a") as file:
            file.write("\n".join(settings) + "\n")
        server.control("start", "-l", str(folder / "log"))
        try:
            yield server
        finally:
            server.control("stop", "-m", "immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True
