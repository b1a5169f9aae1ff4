"""Losing the data folder: a backup that was made under load brings everything back."""

import asyncio
import gzip
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import sys
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result
from ims_driver import Ims
from opened import Opened
from server_process import ServerProcess, wait_for
from shop import Shop, usual

from api.cli import exclave
from api.registry.storage import RegistryStorage
from api.server import lock

pytestmark = pytest.mark.anyio

BLOB = b"a layer" * 1000
HEX = hashlib.sha256(BLOB).hexdigest()


def run(*arguments: str | Path) -> Result:
    umask = os.umask(0o077)
    try:
        return CliRunner().invoke(exclave, [str(one) for one in arguments])
    finally:
        os.umask(umask)


def put_blob(data: Path) -> None:
    with RegistryStorage.open(data / "registry") as storage:
        for repository in ("shop/web", "shop/api"):
            received = storage.scratch / "blob"
            received.write_bytes(BLOB)
            storage.add_blob(repository, f"sha256:{HEX}", received)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def start(data: Path, stack: ExitStack) -> ServerProcess:
    server = ServerProcess(data)
    stack.callback(server.end, signal.SIGKILL)
    return server


@pytest.fixture
def data(opened_shop: tuple[Opened, Shop], tmp_path: Path) -> Path:
    """A data folder with a shop, no server on it."""
    if opened_shop[0].database_url:
        pytest.skip("a backup has SQLite's file; PostgreSQL has its own tools")
    folder = tmp_path / "data"
    shutil.copytree(opened_shop[0].data, folder)
    put_blob(folder)
    (folder / "build-agent" / "builds").mkdir(parents=True)
    (folder / "build-agent" / "vendor.key").write_text("canary-key")
    (folder / "build-agent" / "builds" / "work").write_text("made anew")
    (folder / "exclave.toml").write_text('log_level = "error"\n')
    return folder


async def make_apps(http: httpx.AsyncClient, token: str, acknowledged: list[str], worker: int) -> None:
    for number in range(10_000):
        name = f"app-{worker}-{number}"
        try:
            answer = await http.post("/v1/apps", json={"name": name}, headers={"authorization": f"Bearer {token}"})
        except httpx.TransportError:
            return
        assert answer.status_code == 201
        acknowledged.append(name)


async def test_a_lost_folder_comes_back_with_everything_that_was_acknowledged_and_agents_go_on(
    tmp_path: Path, stack: ExitStack
) -> None:
    server = start(tmp_path / "data", stack)
    backup = tmp_path / "saved.tar"
    acknowledged: list[str] = []
    async with httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=30) as http:
        shop = await Shop.open(server.client(http))
        agent = await shop.install("acme")
        await shop.begin("acme")
        lease = await agent.take("sync")
        assert (await agent.log(lease, "before the loss")).status_code == 204
        load = [asyncio.create_task(make_apps(http, server.token, acknowledged, worker)) for worker in range(4)]
        await asyncio.to_thread(wait_for, lambda: len(acknowledged) >= 20)
        before = list(acknowledged)
        command = [sys.executable, "-m", "api.cli", "backup", str(backup), "--data", str(server.data), "--json"]
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        printed, _ = await process.communicate()
        assert process.returncode == 0
        assert len(acknowledged) > len(before), "the server answered while it was backed up"
        server.end(signal.SIGKILL)
        await asyncio.gather(*load)
    shutil.rmtree(server.data)
    assert json.loads(printed)["head"]["seq"] > len(before)

    result = await asyncio.to_thread(run, "restore", backup, "--data", server.data)
    assert result.exit_code == 0, result.output
    assert "The history is whole." in result.output

    again = start(server.data, stack)
    async with httpx.AsyncClient(base_url=again.url, trust_env=False, timeout=30) as http:
        ims: Ims = again.client(http)
        names = {app["name"] for app in (await ims.ok("GET", "/v1/apps", params={"limit": 1000}))["items"]}
        assert set(before) <= names
        assert await ims.chain_is_whole()
        assert len(await ims.events("ims.restored")) == 1
        assert (await ims.send("GET", f"/v1/jobs/{lease['job_id']}/logs")).text == "before the loss"
        same = replace(agent, ims=ims)
        assert (await same.heartbeat(lease)).status_code == 200, "the agent's token and its lease are as they were"
        await same.sign_in()
        await same.succeed(lease, usual(lease["payload"]))
        assert await same.lease(), "the deploy goes on"


def test_a_backup_has_keys_logs_and_the_registry_and_nothing_that_is_made_anew(data: Path, tmp_path: Path) -> None:
    (data / "logs" / "job_1").mkdir(parents=True)
    (data / "logs" / "job_1" / "1-0.gz").write_bytes(gzip.compress(b"hello", mtime=0))
    (data / "registry" / "scratch" / "upload").write_text("unfinished")
    assert run("backup", tmp_path / "saved", "--data", data).exit_code == 0
    assert run("backup", tmp_path / "saved", "--verify").exit_code == 0
    target = tmp_path / "restored"
    assert run("restore", tmp_path / "saved", "--data", target).exit_code == 0

    def files(folder: Path) -> set[str]:
        return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}

    made_anew = {name for name in files(data) if name.startswith(("registry/scratch/", "build-agent/builds/", "exclave.db-"))}
    locks = {"lock", "registry/lock"}
    assert len(made_anew) >= 2
    assert files(target) - locks == files(data) - made_anew - locks
    assert (target / "secrets.key").read_bytes() == (data / "secrets.key").read_bytes()
    assert all(path.stat().st_mode & 0o77 == 0 for path in target.rglob("*"))
    with RegistryStorage.open(target / "registry") as storage:
        assert storage.read_blob("shop/api", f"sha256:{HEX}") == BLOB
        assert storage.users(f"sha256:{HEX}") == 2
        assert (target / "registry" / "blobs" / HEX).stat().st_nlink == 3, "once on the disk, as before"


def test_what_the_server_removes_meanwhile_is_left_out(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The backup had listed the build agent's token, whose agent was done with it then: the whole backup failed.
    goes = {data / "build-agent.token": "is_file", data / "events" / "gone": "is_dir"}
    (data / "events").mkdir()
    listed = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda folder: [*listed(folder), *(path for path in goes if path.parent == folder)])
    for kind in ("is_file", "is_dir"):
        real = getattr(Path, kind)
        monkeypatch.setattr(Path, kind, lambda path, kind=kind, real=real: goes[path] == kind if path in goes else real(path))
    result = run("backup", tmp_path / "saved", "--data", data)
    assert result.exit_code == 0, result.output
    monkeypatch.undo()
    assert run("backup", tmp_path / "saved", "--verify").exit_code == 0


def test_a_backup_without_keys_says_what_is_missing_and_an_ims_does_not_start_without(data: Path, tmp_path: Path) -> None:
    made = run("backup", tmp_path / "saved", "--data", data, "--without-keys")
    assert "No keys are in it" in made.output
    names = {path.name for path in (tmp_path / "saved").rglob("*")}
    assert not names & {"secrets.key", "admin.token", "vendor.key", "registry-token.key", "exclave.toml"}
    key = (data / "secrets.key").read_bytes()
    assert not [path for path in (tmp_path / "saved").rglob("*") if path.is_file() and key in path.read_bytes()]
    restored = run("restore", tmp_path / "saved", "--data", tmp_path / "restored")
    assert "The backup has no keys. Put these into" in restored.output
    refused = run("up", "--data", tmp_path / "restored", "--port", "0", "--no-build-agent")
    assert "secrets.key is gone" in refused.stderr


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "file"])
def test_a_damaged_backup_is_found_and_restores_nothing(data: Path, tmp_path: Path, packed: bool) -> None:
    folder = tmp_path / "saved"
    assert run("backup", folder, "--data", data).exit_code == 0
    blob = folder / "data" / "registry" / "blobs" / HEX
    blob.write_bytes(blob.read_bytes()[:-1] + b"!")
    (folder / "data" / "secrets.key").unlink()
    (folder / "data" / "smuggled").touch()
    saved = folder
    if packed:
        saved = tmp_path / "saved.tar"
        with tarfile.open(saved, "w") as tar:
            tar.add(folder, ".")
    for result in (run("backup", saved, "--verify"), run("restore", saved, "--data", tmp_path / "restored")):
        assert result.exit_code == 1
        assert "3 files of the backup are damaged" in result.stderr
        for name in (f"registry/blobs/{HEX}", "secrets.key: No such file", "smuggled: isn't in the manifest"):
            assert name in result.stderr
    assert not (tmp_path / "restored").exists()


@pytest.mark.parametrize("content", [b"", b"junk", b"\x1f\x8bjunk", gzip.compress(bytes(range(256)) * 40, mtime=0)[:40]])
def test_a_file_that_is_no_backup_is_refused_on_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "junk").write_bytes(content)
    for result in (run("backup", tmp_path / "junk", "--verify"), run("restore", tmp_path / "junk", "--data", tmp_path / "r")):
        assert (result.exit_code, result.stderr.count("\n"), "isn't a whole backup" in result.stderr) == (1, 1, True)


def test_a_history_that_was_changed_in_the_backup_is_not_restored(data: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(data / "exclave.db")) as connection, connection:
        connection.execute("UPDATE event SET actor = 'nobody' WHERE seq = 3")
    assert run("backup", tmp_path / "saved", "--data", data).exit_code == 0
    result = run("restore", tmp_path / "saved", "--data", tmp_path / "restored")
    assert (result.exit_code, "broken at line 3" in result.stderr) == (1, True)
    assert not list((tmp_path / "restored").iterdir())


def test_a_manifest_that_leads_out_of_the_folder_is_refused(data: Path, tmp_path: Path) -> None:
    assert run("backup", tmp_path / "saved", "--data", data).exit_code == 0
    manifest = tmp_path / "saved" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"secrets.key"', '"../secrets.key"'))
    result = run("restore", tmp_path / "saved", "--data", tmp_path / "restored")
    assert (result.exit_code, "outside the data folder" in result.stderr) == (1, True)


def test_what_is_there_already_is_never_overwritten(data: Path, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    assert run("backup", saved, "--data", data).exit_code == 0
    assert "is there already" in run("backup", saved, "--data", data).stderr
    assert "isn't empty" in run("restore", saved, "--data", data).stderr
    assert "there is no data folder" in run("backup", tmp_path / "other", "--data", tmp_path / "nowhere").stderr
    (tmp_path / "empty").mkdir()
    assert "there is no database" in run("backup", tmp_path / "other", "--data", tmp_path / "empty").stderr
    assert not (tmp_path / "other").exists()
    assert "manifest.json can't be read" in run("restore", tmp_path / "empty", "--data", tmp_path / "x").stderr


def test_a_blob_that_is_damaged_already_is_told(data: Path, tmp_path: Path) -> None:
    (data / "registry" / "blobs" / HEX).write_bytes(b"rotten")
    result = run("backup", tmp_path / "saved", "--data", data)
    assert result.exit_code == 1
    assert "damaged in the registry already" in result.stderr
    assert f"registry/blobs/{HEX}" in result.stderr
    assert (tmp_path / "saved" / "manifest.json").exists()


def test_what_needs_the_folder_for_itself_names_the_process_that_has_it(data: Path, tmp_path: Path) -> None:
    handle = lock(data)
    try:
        for command in (["backup", tmp_path / "saved", "--offline"], ["db", "upgrade"]):
            result = run(*command, "--data", data)
            assert result.exit_code == 1
            assert f"another process (pid {os.getpid()}) serves {data}" in result.stderr
        assert run("backup", tmp_path / "online", "--data", data).exit_code == 0
    finally:
        os.close(handle)
    assert run("backup", tmp_path / "saved", "--offline", "--data", data).exit_code == 0


def test_a_restore_that_was_cut_off_is_not_served(data: Path, tmp_path: Path) -> None:
    (data / "restore-unfinished").touch()
    assert "was cut off" in run("up", "--data", data, "--port", "0", "--no-build-agent").stderr


def test_the_schema_is_shown_checked_and_upgraded(data: Path) -> None:
    newest = run("db", "current", "--data", data).output.strip()
    assert run("db", "check", "--data", data).exit_code == 0
    assert json.loads(run("db", "check", "--json", "--data", data).output) == {"ok": True, "version": newest, "newest": newest}
    assert json.loads(run("db", "current", "--json", "--data", data).output) == {"version": newest}
    with closing(sqlite3.connect(data / "exclave.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    behind = run("db", "check", "--data", data)
    assert (behind.exit_code, f"needs {newest}" in behind.output) == (1, True)
    assert "newer Exclave" in run("db", "upgrade", "--data", data).stderr
    with closing(sqlite3.connect(data / "exclave.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (newest,))
    assert "the newest" in run("db", "upgrade", "--data", data).output
    assert "there is no database" in run("db", "current", "--data", data.parent / "nowhere").stderr
