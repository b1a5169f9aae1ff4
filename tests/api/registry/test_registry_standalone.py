"""`exclave registry` as its users run it: a process of its own."""

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from api.registry.manifests import digest_of

Start = Callable[..., "Running"]


@dataclass(frozen=True)
class Running:
    """The command's process and the first line that it printed; none if it ended at once."""

    process: "subprocess.Popen[str]"
    first_line: str

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """End it; gives its exit code and all else that it printed, on both streams."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> tuple[int, str]:
        """Wait for its end."""
        output, complaint = self.process.communicate()
        return self.process.returncode, output + complaint


@pytest.fixture
def start() -> Iterator[Start]:
    """Start the command; returns once it listens, or has ended."""
    started: list[subprocess.Popen[str]] = []

    def run(data: Path, *options: str) -> Running:
        command = [sys.executable, "-m", "api.registry.standalone", "--data", str(data), *options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        return Running(process, process.stdout.readline())

    yield run
    for process in started:
        process.kill()
        process.communicate()


class Caller:
    """One of the two users, with the file that the registry made for it."""

    def __init__(self, data: Path, role: str) -> None:
        login = json.loads((data / f"{role}.json").read_text())
        assert set(login) == {"url", "username", "password"}
        self.url, self.auth = login["url"], (login["username"], login["password"])

    def call(self, method: str, path: str, content: bytes = b"") -> httpx.Response:
        repository = path.split("/")[2]
        scope = f"repository:{repository}:pull,push,delete"
        token = httpx.get(f"{self.url}/token", params={"scope": scope}, auth=self.auth).json()["token"]
        return httpx.request(method, self.url + path, headers={"Authorization": f"Bearer {token}"}, content=content)

    def push(self, content: bytes) -> httpx.Response:
        return self.call("POST", f"/v2/web/blobs/uploads/?digest={digest_of(content)}", content)


def test_the_writer_pushes_and_the_reader_only_pulls(start: Start, tmp_path: Path) -> None:
    running = start(tmp_path / "data", "--port-file", str(tmp_path / "port"))
    writer, reader = Caller(tmp_path / "data", "writer"), Caller(tmp_path / "data", "reader")
    assert writer.url in running.first_line
    assert writer.url == reader.url == f"http://127.0.0.1:{(tmp_path / 'port').read_text().strip()}"

    assert writer.push(b"content").status_code == 201
    path = f"/v2/web/blobs/{digest_of(b'content')}"
    assert reader.call("GET", path).content == b"content"
    assert reader.push(b"more").status_code == 401
    assert reader.call("DELETE", path).status_code == 401
    assert writer.call("DELETE", path).status_code == 202


def test_a_wrong_password_is_refused(start: Start, tmp_path: Path) -> None:
    start(tmp_path)
    url = Caller(tmp_path, "writer").url
    for auth in (("writer", "x"), ("nobody", "x"), ("writer", Caller(tmp_path, "reader").auth[1]), ("", "")):
        assert httpx.get(f"{url}/token", auth=auth).status_code == 401


def test_credentials_rest_for_their_owner_only_and_as_hashes(start: Start, tmp_path: Path) -> None:
    start(tmp_path / "data")
    for path in (tmp_path / "data").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    password = Caller(tmp_path / "data", "writer").auth[1]
    assert password not in (tmp_path / "data" / "credentials.json").read_text()


def test_a_restart_keeps_content_and_passwords_and_says_the_new_url(start: Start, tmp_path: Path) -> None:
    first = start(tmp_path)
    before = Caller(tmp_path, "writer")
    before.push(b"content")
    (tmp_path / "reader.json").rename(tmp_path / "moved.json")
    assert first.stop() == (0, "")

    start(tmp_path)

    after = Caller(tmp_path, "writer")
    assert after.auth == before.auth
    assert after.call("GET", f"/v2/web/blobs/{digest_of(b'content')}").content == b"content"
    assert not (tmp_path / "reader.json").exists()
    moved = json.loads((tmp_path / "moved.json").read_text())
    assert httpx.get(f"{after.url}/token", auth=(moved["username"], moved["password"])).status_code == 200


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_cleanly_and_says_nothing_more(start: Start, tmp_path: Path, stop: signal.Signals) -> None:
    running = start(tmp_path)
    Caller(tmp_path, "writer").push(b"content")
    assert running.stop(stop) == (0, "")


def test_a_folder_in_use_is_refused(start: Start, tmp_path: Path) -> None:
    start(tmp_path)
    before = (tmp_path / "writer.json").read_text()
    code, complaint = start(tmp_path).wait()
    assert code == 1
    assert "another registry process uses" in complaint
    assert "Traceback" not in complaint
    assert (tmp_path / "writer.json").read_text() == before


def test_a_port_in_use_is_refused(start: Start, tmp_path: Path) -> None:
    start(tmp_path / "one", "--port-file", str(tmp_path / "port"))
    code, complaint = start(tmp_path / "two", "--port", (tmp_path / "port").read_text().strip()).wait()
    assert code == 1
    assert "can't listen on" in complaint
    assert "Traceback" not in complaint


def test_what_it_can_not_use_is_refused_in_words(start: Start, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "token-key.pem").write_text("hello")
    for data, reason in (("file/data", "can't keep a registry in"), ("data", "must hold an ECDSA P-256 key")):
        code, complaint = start(tmp_path / data).wait()
        assert code == 1
        assert reason in complaint
        assert "Traceback" not in complaint


def test_an_upload_cut_off_by_kill_is_never_seen_and_can_be_done_again(start: Start, tmp_path: Path) -> None:
    running = start(tmp_path)
    writer = Caller(tmp_path, "writer")
    content = os.urandom(3_000_000)
    location = writer.call("POST", "/v2/web/blobs/uploads/").headers["location"]
    assert writer.call("PATCH", location, content[:2_000_000]).headers["range"] == "0-1999999"
    assert running.stop(signal.SIGKILL) == (-9, "")

    start(tmp_path)

    writer = Caller(tmp_path, "writer")
    assert writer.call("HEAD", f"/v2/web/blobs/{digest_of(content)}").status_code == 404
    assert writer.call("PATCH", location, content[2_000_000:]).status_code == 404
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size >= 1_000_000] == []
    assert writer.push(content).status_code == 201
    assert writer.call("GET", f"/v2/web/blobs/{digest_of(content)}").content == content


def test_an_upload_whose_client_goes_away_keeps_what_came(start: Start, tmp_path: Path) -> None:
    running = start(tmp_path)
    writer = Caller(tmp_path, "writer")
    location = writer.call("POST", "/v2/web/blobs/uploads/").headers["location"]

    def cut_off() -> Iterator[bytes]:
        yield b"x" * 2_000_000
        raise InterruptedError

    scope = {"scope": "repository:web:pull,push"}
    token = httpx.get(f"{writer.url}/token", params=scope, auth=writer.auth).json()["token"]
    with pytest.raises(InterruptedError):
        httpx.patch(writer.url + location, headers={"Authorization": f"Bearer {token}"}, content=cut_off())

    status = writer.call("GET", location)
    assert status.status_code == 204
    assert int(status.headers["range"].removeprefix("0-")) < 2_000_000
    assert running.stop() == (0, "")


def test_a_reader_that_goes_away_is_no_trouble(start: Start, tmp_path: Path) -> None:
    running = start(tmp_path)
    writer = Caller(tmp_path, "writer")
    content = os.urandom(30_000_000)
    writer.push(content)
    token = httpx.get(f"{writer.url}/token", params={"scope": "repository:web:pull"}, auth=writer.auth).json()["token"]
    path = f"{writer.url}/v2/web/blobs/{digest_of(content)}"
    with httpx.stream("GET", path, headers={"Authorization": f"Bearer {token}"}) as answer:
        assert len(next(answer.iter_raw())) > 0
    assert running.stop() == (0, "")


def _collect(data: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from api.cli import main; main()", "registry", "gc", "--data", str(data), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_what_no_manifest_lists_is_collected_once_the_registry_is_stopped(start: Start, tmp_path: Path) -> None:
    running = start(tmp_path)
    writer = Caller(tmp_path, "writer")
    for content in (b"stray", b"listed"):
        writer.push(content)
    image = json.dumps({"layers": [{"digest": digest_of(b"listed")}]}).encode()
    assert writer.call("PUT", f"/v2/web/manifests/{digest_of(image)}", image).status_code == 201
    refused = _collect(tmp_path)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "stop it, or start it with --collect-hours" in refused.stderr
    running.stop()
    for path in (tmp_path / "registry" / "blobs").iterdir():
        os.utime(path, (0, 0))

    assert "Would remove 0 manifests and 1 blobs of 1 repositories" in _collect(tmp_path, "--dry-run").stdout
    collected = json.loads(_collect(tmp_path, "--json").stdout)

    assert collected["blobs"] == [{"repository": "web", "digest": digest_of(b"stray")}]
    assert (collected["manifests"], collected["freed_bytes"], collected["dry_run"]) == ([], 5, False)
    start(tmp_path)
    after = Caller(tmp_path, "writer")
    assert after.call("GET", f"/v2/web/blobs/{digest_of(b'listed')}").content == b"listed"
    assert after.call("GET", f"/v2/web/blobs/{digest_of(b'stray')}").status_code == 404


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--quota", "much"), "--quota"),
        (("--blobs", "ftp://x"), "must be `disk`, or an address like s3://bucket/prefix"),
        (("--collect-grace-hours", "0.5"), "--collect-grace-hours"),
    ],
)
def test_an_option_that_can_not_be_is_refused_in_words(
    start: Start, tmp_path: Path, options: tuple[str, ...], says: str
) -> None:
    code, complaint = start(tmp_path, *options).wait()
    assert code == 2
    assert says in complaint
    assert "Traceback" not in complaint


def test_a_limited_registry_says_so(start: Start, tmp_path: Path) -> None:
    running = start(tmp_path, "--quota", "10")
    assert "doesn't fit" in Caller(tmp_path, "writer").push(b"12345678901").text
    running.stop()
    start(tmp_path, "--read-only")
    assert Caller(tmp_path, "writer").push(b"1").status_code == 405
