"""The collection removes what nothing needs, and nothing else (`in-use-stays`)."""

import asyncio
import json
import os
import threading
import time
from pathlib import Path

import pytest

from api.registry.care import ReadOnlyRegistryError, RegistryCare
from api.registry.collect import LEAST_GRACE_SECONDS, Collected, Needs, collect
from api.registry.errors import ManifestBlobUnknownError, QuotaExceededError, UploadUnknownError
from api.registry.manifests import INDEX_MEDIA_TYPE, MANIFEST_MEDIA_TYPE, digest_of
from api.registry.quota import Quota
from api.registry.settings import RegistrySettings
from api.registry.storage import RegistryStorage

GRACE = 2 * LEAST_GRACE_SECONDS
ALL = Needs(manifests_go=True)


class Shelf:
    """A storage, with a short way to fill it. What is made is old, unless something touches it afterwards."""

    def __init__(self, storage: RegistryStorage) -> None:
        self.storage = storage
        self.now = time.time()

    def blob(self, content: bytes, repository: str = "acme/web") -> str:
        received = self.storage.scratch / digest_of(content).partition(":")[2]
        received.write_bytes(content)
        self.storage.add_blob(repository, digest_of(content), received)
        received.unlink(missing_ok=True)
        self._age(repository, "_blobs", digest_of(content))
        return digest_of(content)

    def image(self, name: str, *, tag: str | None = None, repository: str = "acme/web", **more: object) -> str:
        layer = {"mediaType": "a/b", "digest": self.blob(name.encode(), repository), "size": len(name)}
        return self.put({"schemaVersion": 2, "layers": [layer], **more}, MANIFEST_MEDIA_TYPE, tag, repository)

    def index(self, *children: str, tag: str | None = None) -> str:
        listed = [{"mediaType": MANIFEST_MEDIA_TYPE, "digest": child, "size": 1} for child in children]
        return self.put({"schemaVersion": 2, "manifests": listed}, INDEX_MEDIA_TYPE, tag, "acme/web")

    def put(self, fields: dict[str, object], media_type: str, tag: str | None, repository: str) -> str:
        content = json.dumps(fields).encode()
        digest = self.storage.put_manifest(repository, tag or digest_of(content), media_type, content).digest
        self._age(repository, "_manifests", digest)
        return digest

    def _age(self, repository: str, part: str, digest: str) -> None:
        path = self.storage.folder / "repositories" / repository / part / digest.partition(":")[2]
        os.utime(path, (self.now - 2 * GRACE, self.now - 2 * GRACE))

    def collect(self, needs: Needs = ALL, *, dry_run: bool = False) -> Collected:
        return collect(self.storage, needs, now=time.time(), grace=GRACE, dry_run=dry_run)

    def left(self, repository: str = "acme/web") -> set[str]:
        return set(self.storage.manifests(repository)) | set(self.storage.blobs(repository))


@pytest.fixture
def shelf(tmp_path: Path):
    with RegistryStorage.open(tmp_path / "registry") as storage:
        yield Shelf(storage)


def test_what_has_no_tag_and_no_need_goes_with_its_blobs(shelf: Shelf) -> None:
    kept, gone = shelf.image("kept", tag="v1"), shelf.image("gone")
    collected = shelf.collect()
    assert collected.manifests == [("acme/web", gone)]
    assert collected.blobs == [("acme/web", digest_of(b"gone"))]
    assert collected.freed == len(b"gone")
    assert shelf.left() == {kept, digest_of(b"kept")}


def test_a_dry_run_says_the_same_and_removes_nothing(shelf: Shelf) -> None:
    shelf.image("kept", tag="v1")
    shelf.image("gone")
    shelf.image("gone", repository="acme/api")
    before = shelf.left() | shelf.left("acme/api")
    dry = shelf.collect(dry_run=True)
    assert shelf.left() | shelf.left("acme/api") == before
    assert shelf.collect() == dry
    assert len(dry.manifests) == 2
    assert dry.freed == len(b"gone"), "two repositories have it, and it is on the disk once"


def test_what_is_needed_stays_with_all_that_belongs_to_it(shelf: Shelf) -> None:
    child = shelf.image("child")
    index = shelf.index(child)
    subject = {"mediaType": INDEX_MEDIA_TYPE, "digest": index, "size": 1}
    bill = shelf.image("bill", subject=subject)
    seal = shelf.image("seal", tag=child.replace(":", "-") + ".sig")
    stays = {child, index, bill, seal, *(digest_of(name) for name in (b"child", b"bill", b"seal"))}
    other = shelf.image("other", tag="bld_1")

    collected = shelf.collect(Needs(frozenset({index}), retired_tags=frozenset({"bld_1"}), manifests_go=True))

    assert collected.manifests == [("acme/web", other)]
    assert shelf.left() == stays
    assert shelf.storage.tags("acme/web") == [child.replace(":", "-") + ".sig"]


def test_a_signature_goes_with_what_it_signs(shelf: Shelf) -> None:
    gone = shelf.image("gone")
    shelf.image("seal", tag=gone.replace(":", "-") + ".sig")
    shelf.image("bill", subject={"mediaType": MANIFEST_MEDIA_TYPE, "digest": gone, "size": 1})
    shelf.collect()
    assert shelf.left() == set()
    assert shelf.storage.tags("acme/web") == []
    assert shelf.storage.referrers("acme/web", gone) == []


def test_a_repository_that_is_being_pushed_to_is_left_alone(shelf: Shelf) -> None:
    gone = shelf.image("gone")
    collected = shelf.collect(Needs(busy=frozenset({"acme/web"}), manifests_go=True))
    assert collected.skipped == [("acme/web", "a build is being pushed")]
    assert gone in shelf.left()


def test_a_push_that_found_its_blobs_there_keeps_them_until_its_manifest_comes(shelf: Shelf) -> None:
    asked, mounted, pushed, idle = (shelf.blob(name) for name in (b"asked", b"mounted", b"pushed", b"idle"))
    shelf.storage.asked_for("acme/web", asked)  # HEAD
    assert shelf.storage.mount_blob("acme/api", mounted, "acme/web")
    received = shelf.storage.scratch / "again"
    received.write_bytes(b"pushed")
    shelf.storage.add_blob("acme/web", pushed, received)

    assert shelf.collect().blobs == [("acme/web", idle)]

    layers = [{"digest": digest} for digest in (asked, mounted, pushed)]
    shelf.put({"layers": layers}, MANIFEST_MEDIA_TYPE, "v1", "acme/web")


def test_a_child_that_a_push_found_there_stays_until_its_index_comes(shelf: Shelf) -> None:
    child, other = shelf.image("child"), shelf.image("other")
    shelf.storage.asked_for("acme/web", child)
    assert shelf.collect().manifests == [("acme/web", other)]


def test_without_knowing_the_needs_only_blobs_go_that_no_manifest_lists(shelf: Shelf) -> None:
    untagged, stray = shelf.image("untagged"), shelf.blob(b"stray")
    collected = shelf.collect(Needs())
    assert (collected.manifests, collected.blobs) == ([], [("acme/web", stray)])
    assert untagged in shelf.left()


def test_a_repository_with_a_manifest_that_the_disk_has_spoilt_is_left_alone(shelf: Shelf) -> None:
    spoilt = shelf.image("spoilt")
    path = shelf.storage.folder / "repositories" / "acme/web" / "_manifests" / spoilt.partition(":")[2]
    path.write_bytes(b"a/b\n{")
    collected = shelf.collect()
    assert collected.manifests == collected.blobs == []
    assert "can't be read" in collected.skipped[0][1]


def test_pushes_while_it_collects_end_whole_or_are_told_what_to_push_again(shelf: Shelf) -> None:
    """Over and over, a blob that is old enough to go is listed by a manifest at the moment when it goes."""
    stop = threading.Event()
    collector = threading.Thread(target=lambda: [shelf.collect() for _ in iter(stop.is_set, True)])
    collector.start()
    kept = told = 0
    try:
        for number in range(150):
            blob = shelf.blob(b"%d" % number)
            try:
                shelf.put({"layers": [{"digest": blob}]}, MANIFEST_MEDIA_TYPE, f"v{number}", "acme/web")
                kept += 1
            except ManifestBlobUnknownError:
                told += 1
            except FileNotFoundError:
                told += 1  # `_age` came too late: the blob had gone before there was a manifest
    finally:
        stop.set()
        collector.join()
    assert kept + told == 150
    for tag in shelf.storage.tags("acme/web"):
        manifest = shelf.storage.manifest("acme/web", tag)
        assert manifest is not None
        for layer in json.loads(manifest.content)["layers"]:
            assert shelf.storage.has_blob("acme/web", layer["digest"]), tag


def test_a_grace_that_a_push_could_outlast_is_refused(shelf: Shelf) -> None:
    with pytest.raises(ValueError, match="grace"):
        collect(shelf.storage, ALL, now=time.time(), grace=LEAST_GRACE_SECONDS - 1)


@pytest.mark.anyio
async def test_a_read_only_registry_collects_nothing(shelf: Shelf) -> None:
    shelf.blob(b"stray")
    care = RegistryCare(shelf.storage, RegistrySettings(read_only=True, collect_grace_hours=1))
    with pytest.raises(ReadOnlyRegistryError):
        await care.collect()
    assert len((await care.collect(dry_run=True)).blobs) == 1


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_a_quota_counts_content_once_and_a_repository_all_it_has(tmp_path: Path) -> None:
    def open_with(**quota: int) -> RegistryStorage:
        return RegistryStorage.open(tmp_path, quota=Quota(**quota))

    with open_with(whole=10, repository=8) as storage:
        shelf = Shelf(storage)
        first = shelf.blob(b"12345")
        shelf.blob(b"12345", "acme/api")  # no more on the disk
        with pytest.raises(QuotaExceededError, match="5 of 8 bytes are used"):
            shelf.blob(b"abcd")
        shelf.blob(b"abc")
        with pytest.raises(QuotaExceededError, match="8 of 10 bytes are used"):
            shelf.blob(b"xyz", "acme/job")
        shelf.blob(b"12345")  # it is there already
    with open_with(whole=10) as storage:  # counted anew at the start
        shelf = Shelf(storage)
        with pytest.raises(QuotaExceededError, match="8 of 10 bytes are used"):
            shelf.blob(b"xyz", "acme/job")
        storage.delete_blob("acme/api", first)
        with pytest.raises(QuotaExceededError):
            shelf.blob(b"xyz", "acme/job")
        storage.delete_blob("acme/web", first)
        shelf.blob(b"xyz", "acme/job")


@pytest.mark.anyio
async def test_a_running_registry_collects_when_it_is_due_and_gives_up_idle_uploads(shelf: Shelf, monkeypatch) -> None:
    monkeypatch.setattr("api.registry.care._PASS_SECONDS", 0.001)
    now = time.time()
    settings = RegistrySettings(collect_hours=2, collect_grace_hours=1, upload_idle=0.001)
    care = RegistryCare(shelf.storage, settings, clock=lambda: now)
    upload = care.uploads.start("acme/web")
    stray = shelf.blob(b"stray")
    told: asyncio.Queue[Collected] = asyncio.Queue()
    running = asyncio.create_task(care.run(told.put))
    try:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(told.get(), 0.05)  # it isn't due yet
        now += 2 * 3600
        collected = await asyncio.wait_for(told.get(), 60)
        assert collected.blobs == [("acme/web", stray)]
        with pytest.raises(UploadUnknownError):
            care.uploads.find("acme/web", upload.id)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.mark.anyio
async def test_a_failed_pass_is_not_the_last(shelf: Shelf, monkeypatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("api.registry.care._PASS_SECONDS", 0.001)
    asked = 0

    async def needs() -> Needs:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise RuntimeError("the database is away")
        return ALL

    times = iter(range(0, 10**9, 7200))
    care = RegistryCare(shelf.storage, RegistrySettings(collect_hours=1), needs=needs, clock=lambda: next(times))
    told: asyncio.Queue[Collected] = asyncio.Queue()
    running = asyncio.create_task(care.run(told.put))
    try:
        await asyncio.wait_for(told.get(), 60)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert asked >= 2
    assert "the care of the registry failed" in caplog.text
