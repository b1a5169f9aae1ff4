"""The stores, all by the same rules. Amazon's is MiniStack, Google's a fake written from its documentation."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from fake_gcs import fake_gcs

from agent.state import s3
from agent.state.folder import FolderStore
from agent.state.gcs import GcsStore
from agent.state.place import StatePlaceError, open_store
from agent.state.store import Found, MovedOnError, StateUnreachableError, Store


def test_an_object_is_what_was_written_last(store: Store) -> None:
    assert store.read("ins/a/current") is None
    first = store.write("ins/a/current", b"one", None)
    assert store.read("ins/a/current") == Found(b"one", first)
    second = store.write("ins/a/current", b"two", first)
    assert store.read("ins/a/current") == Found(b"two", second)
    store.delete("ins/a/current")
    store.delete("ins/a/current")
    assert store.read("ins/a/current") is None


def test_only_who_knows_what_is_there_may_write(store: Store) -> None:
    first = store.write("x", b"one", None)
    with pytest.raises(MovedOnError):
        store.write("x", b"other", None)
    second = store.write("x", b"two", first)
    with pytest.raises(MovedOnError):
        store.write("x", b"three", first)
    assert store.read("x") == Found(b"two", second)
    store.delete("x")
    with pytest.raises(MovedOnError):
        store.write("x", b"three", second)


def test_of_many_writers_one_writes(store: Store) -> None:
    def write(number: int) -> str | None:
        try:
            return store.write("contended", b"%d" % number, None)
        except MovedOnError:
            return None

    with ThreadPoolExecutor(8) as pool:
        tags = [tag for tag in pool.map(write, range(8)) if tag]
    found = store.read("contended")
    assert found
    assert tags == [found.tag]


def test_names_are_listed_whole(store: Store) -> None:
    for name in ("ins/a/current", "ins/a/versions/1", "ins/a/versions/2", "ins/a/versions/3", "ins/ab/current", "other/a"):
        store.write(name, b"x", None)
    assert store.names("ins/a/versions/") == [f"ins/a/versions/{n}" for n in (1, 2, 3)]
    assert store.names("ins/a") == ["ins/a/current", *(f"ins/a/versions/{n}" for n in (1, 2, 3)), "ins/ab/current"]
    assert store.names("nothing/") == []


def test_names_can_be_listed_while_others_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FolderStore(tmp_path)
    for name in ("ins/a/current", "ins/b/versions/1"):
        store.write(name, b"x", None)
    scandir = os.scandir

    def just_after_one_has_gone(folder: str) -> "os._ScandirIterator[str]":
        if Path(folder).name == "b":
            store.delete("ins/b/versions/1")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", just_after_one_has_gone)
    assert store.names("ins/") == ["ins/a/current"]
    assert not (tmp_path / "ins" / "b").exists()


@pytest.mark.service
def test_a_place_that_does_not_answer_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    (tmp_path / "file").touch()
    with fake_gcs() as (url, bucket), requests.Session() as session:
        bucket.refuse = (403, "agent does not have storage.objects.get access")
        refusing = GcsStore(session, "states", "", "gs://states", url=url)
        with pytest.raises(StateUnreachableError, match=r"gs://states can't be used: agent does not have"):
            refusing.read("x")
    silent = s3.connect("s3://states", "states", "", endpoint="http://127.0.0.1:9", region="us-east-1")
    for store in (FolderStore(tmp_path / "file"), silent, refusing):
        with pytest.raises(StateUnreachableError) as caught:
            store.write("x", b"x", None)
        assert caught.value.failure.retryable


@pytest.mark.parametrize(
    "text", ["relative/folder", "ftp://x/y", "s3://", "s3://B_/x", "s3://bucket/x?colour=red", "file://host/x"]
)
def test_a_place_that_is_not_understood_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(StatePlaceError):
        open_store(text, tmp_path)
