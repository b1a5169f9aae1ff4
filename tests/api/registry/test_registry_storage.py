"""The storage: never a half file, however its process ends; one owner; nobody else's eyes."""

import json
import os
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from api.registry.errors import BlobUnknownError, NameInvalidError, UploadBusyError, UploadUnknownError
from api.registry.manifests import digest_of
from api.registry.storage import RegistryStorage, StorageLockedError
from api.registry.uploads import IDLE_SECONDS, Uploads

BLOB = b"blob" * 1000
SUBJECT = "sha256:" + "5" * 64
MANIFEST = json.dumps({"layers": [{"digest": digest_of(BLOB)}], "subject": {"digest": SUBJECT}}).encode()

# Pushes a blob, mounts it, pushes a tagged manifest and deletes all of it again, and is killed at one of its system calls.
# Again and again, in a new folder and a new process each time, each a call later, until one is not killed.
PUSH_AND_DIE = textwrap.dedent("""
    import os, signal, sys
    from pathlib import Path

    from api.registry.manifests import digest_of
    from api.registry.storage import RegistryStorage
    from api.registry.uploads import Uploads

    blob, manifest = sys.argv[2].encode(), sys.argv[3].encode()

    def push(folder, steps):
        def dies(call):
            def counted(*arguments, **options):
                nonlocal steps
                if steps == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                steps -= 1
                return call(*arguments, **options)
            return counted

        def done(what):
            print(folder.name, what, flush=True)

        for name in ("open", "fsync", "link", "rename", "replace", "unlink", "mkdir"):
            setattr(os, name, dies(getattr(os, name)))
        storage = RegistryStorage.open(folder)
        digest = digest_of(blob)
        uploads = Uploads(storage.scratch)
        upload = uploads.start("acme/web")
        upload.append(blob)
        storage.add_blob("acme/web", digest, upload.complete(digest))
        uploads.end(upload)
        storage.mount_blob("acme/api", digest, "acme/web")
        done("blob")
        storage.put_manifest("acme/web", "v1", "a/b", manifest)
        done("manifest")
        storage.delete_manifest("acme/web", digest_of(manifest))
        storage.delete_blob("acme/web", digest)
        storage.delete_blob("acme/api", digest)
        done("deleted")

    for steps in range(1000):
        child = os.fork()
        if not child:
            push(Path(sys.argv[1]) / str(steps), steps)
            os._exit(0)
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(steps, f"ended:{ended}", flush=True)
        if ended != -signal.SIGKILL:
            break
""")


def _check_whole(folder: Path, done: list[str]) -> None:
    """Whatever is there is whole, and what was promised is there."""
    with RegistryStorage.open(folder) as storage:
        for repository in ("acme/web", "acme/api"):
            if storage.has_blob(repository, digest_of(BLOB)):
                assert storage.read_blob(repository, digest_of(BLOB)) == BLOB
        manifest = storage.manifest("acme/web", digest_of(MANIFEST))
        referrers = storage.referrers("acme/web", SUBJECT)
        if manifest is not None:
            assert (manifest.content, manifest.media_type) == (MANIFEST, "a/b")
            assert storage.has_blob("acme/web", digest_of(BLOB))
            assert referrers == [manifest]
        else:
            assert referrers == []
        assert storage.manifest("acme/web", "v1") in (None, manifest)
        if "manifest" not in done and "blob" in done:
            assert storage.has_blob("acme/web", digest_of(BLOB))
            assert storage.has_blob("acme/api", digest_of(BLOB))
        if "deleted" in done:
            assert storage.tags("acme/web") == []
        assert list(storage.scratch.iterdir()) == []
        linked = {path.stat().st_ino for path in (folder / "repositories").rglob("_blobs/*")}
        assert {path.stat().st_ino for path in (folder / "blobs").iterdir()} == linked


@pytest.mark.e2e
def test_a_process_killed_at_any_system_call_leaves_nothing_half_done(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PUSH_AND_DIE, str(tmp_path), BLOB.decode(), MANIFEST.decode()]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    done: dict[str, list[str]] = {}
    for line in said.stdout.splitlines():
        steps, what = line.split()
        done.setdefault(steps, []).append(what)
    *killed, last = done.values()
    for steps, reached in done.items():
        _check_whole(tmp_path / steps, reached)
    assert len(killed) > 30
    assert {reached[-1] for reached in killed} == {"ended:-9"}
    assert last == ["blob", "manifest", "deleted", "ended:0"], said.stderr


def test_an_unfinished_upload_is_removed_at_the_next_start(tmp_path: Path) -> None:
    with RegistryStorage.open(tmp_path) as storage:
        Uploads(storage.scratch).start("acme/web").append(b"half")
        assert len(list(storage.scratch.iterdir())) == 1
    with RegistryStorage.open(tmp_path) as storage:
        assert list(storage.scratch.iterdir()) == []


def test_an_upload_that_nobody_writes_to_is_given_up(tmp_path: Path) -> None:
    now = 0.0
    uploads = Uploads(tmp_path, clock=lambda: now)
    idle, busy = uploads.start("acme/web"), uploads.start("acme/web")
    with uploads.writing(busy):
        now = IDLE_SECONDS + 1
        assert uploads.expire() == 1
    assert uploads.find("acme/web", busy.id) is busy
    with pytest.raises(UploadUnknownError):
        uploads.find("acme/web", idle.id)
    assert len(list(tmp_path.iterdir())) == 1


def test_only_one_request_at_a_time_writes_to_an_upload(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path)
    upload = uploads.start("acme/web")
    with uploads.writing(upload):
        with pytest.raises(UploadBusyError), uploads.writing(upload):
            pass
        with pytest.raises(UploadBusyError), uploads.writing(upload):
            pass
    with uploads.writing(upload):
        pass


def test_a_folder_has_one_owner(tmp_path: Path) -> None:
    with RegistryStorage.open(tmp_path), pytest.raises(StorageLockedError, match="another registry process"):
        RegistryStorage.open(tmp_path)
    RegistryStorage.open(tmp_path).close()


def test_everything_is_for_its_owner_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.umask(0)
    try:
        folder = tmp_path / "storage"
        with RegistryStorage.open(folder) as storage:
            upload = Uploads(storage.scratch).start("acme/web")
            upload.append(BLOB)
            storage.add_blob("acme/web", digest_of(BLOB), upload.complete(digest_of(BLOB)))
            storage.put_manifest("acme/web", "v1", "", MANIFEST)
    finally:
        os.umask(before)
    for path in (folder, *folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_content_is_kept_once_and_goes_with_its_last_repository(tmp_path: Path) -> None:
    with RegistryStorage.open(tmp_path) as storage:
        uploads = Uploads(storage.scratch)
        for repository in ("acme/web", "acme/api"):
            upload = uploads.start(repository)
            upload.append(BLOB)
            storage.add_blob(repository, digest_of(BLOB), upload.complete(digest_of(BLOB)))
            uploads.end(upload)
        (content,) = (tmp_path / "blobs").iterdir()
        assert content.stat().st_nlink == 3
        storage.delete_blob("acme/web", digest_of(BLOB))
        assert storage.read_blob("acme/api", digest_of(BLOB)) == BLOB
        storage.delete_blob("acme/api", digest_of(BLOB))
        assert list((tmp_path / "blobs").iterdir()) == []
        with pytest.raises(BlobUnknownError):
            storage.read_blob("acme/api", digest_of(BLOB))


@pytest.mark.parametrize("name", ["", "..", "../x", "a/../b", "/etc", "a//b", "A", "_blobs", "a/_tags", "a\n", "a/"])
def test_a_name_can_not_leave_the_folder(tmp_path: Path, name: str) -> None:
    with RegistryStorage.open(tmp_path) as storage, pytest.raises(NameInvalidError):
        storage.manifest(name, "v1")


@pytest.mark.parametrize("reference", ["../../lock", "..", ".", "", "v1\n", "sha256:..", "sha256:" + "A" * 64])
def test_a_reference_can_not_leave_the_folder(tmp_path: Path, reference: str) -> None:
    with RegistryStorage.open(tmp_path) as storage:
        assert storage.manifest("acme/web", reference) is None
