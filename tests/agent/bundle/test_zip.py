import os
import stat
import zipfile
from pathlib import Path

import pytest

from agent.bundle.zip import Limits, PackedFile, UnsafeZipError, extract_zip, write_zip
from agent.bundle.zip_store import ZipStore


def packed(folder: Path, contents: dict[str, bytes], executable: str = "") -> list[PackedFile]:
    files = []
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        files.append(PackedFile(name, path, executable=name == executable))
    return files


def archive(path: Path, *entries: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in entries:
            opened.writestr(name, content)
    return path


def with_mode(name: str, mode: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.create_system = 3
    entry.external_attr = mode << 16
    return entry


def test_files_come_out_as_they_went_in(tmp_path: Path) -> None:
    contents = {"main.tf": b"a", "empty": b"", "scripts/run.sh": b"#!/bin/sh\n", "ünïcode/x": b"\0\xff" * 1000}
    write_zip(tmp_path / "a.zip", packed(tmp_path / "in", contents, executable="scripts/run.sh"), "stored")
    extract_zip(tmp_path / "a.zip", tmp_path / "out")
    found = {path.relative_to(tmp_path / "out").as_posix(): path for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert {name: path.read_bytes() for name, path in found.items()} == contents
    assert [name for name, path in found.items() if path.stat().st_mode & stat.S_IXUSR] == ["scripts/run.sh"]


@pytest.mark.parametrize("compression", ["stored", "deflated"])
def test_equal_files_give_equal_bytes(tmp_path: Path, compression: str) -> None:
    first = packed(tmp_path / "one", {"b": b"2", "a": b"1"})
    second = packed(tmp_path / "two", {"a": b"1", "b": b"2"})
    os.utime(tmp_path / "two" / "a", (0, 0))
    (tmp_path / "two" / "b").chmod(0o600)
    write_zip(tmp_path / "1.zip", first, compression)  # type: ignore[arg-type]
    write_zip(tmp_path / "2.zip", second, compression)  # type: ignore[arg-type]
    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.zip").read_bytes()


def test_empty_folders_of_an_archive_are_made(tmp_path: Path) -> None:
    extract_zip(archive(tmp_path / "a.zip", ("empty/", b"")), tmp_path / "out")
    assert (tmp_path / "out" / "empty").is_dir()


@pytest.mark.parametrize(
    "name",
    ["/etc/x", "../x", "a/../../x", "a/./b", "C:/x", "c:x", "a//b", "..", "a\\..\\..\\x"],
)
def test_names_that_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnsafeZipError):
        extract_zip(archive(tmp_path / "a.zip", ("fine", b"1"), (name, b"2")), tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip"]


@pytest.mark.parametrize("mode", [stat.S_IFLNK | 0o777, stat.S_IFIFO | 0o644, stat.S_IFCHR | 0o644, stat.S_IFDIR | 0o755])
def test_links_and_devices_are_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(UnsafeZipError, match="neither a file nor a folder"):
        extract_zip(archive(tmp_path / "a.zip", (with_mode("x", mode), b"/etc/passwd")), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("names", [("a", "a"), ("a", "a/b"), ("a/b", "a"), ("a/", "a")])
def test_one_name_twice_is_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    with pytest.raises(UnsafeZipError, match="twice"):
        extract_zip(archive(tmp_path / "a.zip", *((name, b"") for name in names)), tmp_path / "out")


def test_a_zip_bomb_is_refused_before_it_unpacks(tmp_path: Path) -> None:
    bomb = archive(tmp_path / "a.zip", ("zeros", bytes(64 * 1024 * 1024)))
    with pytest.raises(UnsafeZipError, match="bomb"):
        extract_zip(bomb, tmp_path / "out")


def test_limits_on_size_and_count_hold(tmp_path: Path) -> None:
    two = archive(tmp_path / "a.zip", ("a", b"x" * 100), ("b", b"y" * 100))
    with pytest.raises(UnsafeZipError, match="2 entries"):
        extract_zip(two, tmp_path / "out", Limits(entries=1))
    with pytest.raises(UnsafeZipError, match="200 bytes"):
        extract_zip(two, tmp_path / "out", Limits(bytes=199))


def test_a_size_that_lies_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", (zipfile.ZipInfo("a"), b"x" * 1000))
    data = path.read_bytes()
    size = (1000).to_bytes(4, "little")
    path.write_bytes(data.replace(size, (10).to_bytes(4, "little")))
    with pytest.raises(UnsafeZipError):
        extract_zip(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_no_zip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"no")
    with pytest.raises(UnsafeZipError, match="isn't a zip"):
        extract_zip(tmp_path / "a.zip", tmp_path / "out")


def test_a_zip_of_another_build_may_get_its_name_while_unused_ones_are_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "iterdir", lambda folder: iter([folder / "another.new"]))
    store = ZipStore(tmp_path / "store")
    assert store.zip_of(packed(tmp_path / "in", {"main.tf": b"1"})).is_file()


def test_a_zip_that_was_just_asked_for_is_not_unused(tmp_path: Path) -> None:
    now = [1_000_000.0]
    store = ZipStore(tmp_path / "store", clock=lambda: now[0])
    old, used = (store.zip_of(packed(tmp_path / name, {"main.tf": name.encode()})) for name in ("old", "used"))
    now[0] += 29 * 24 * 3600
    assert store.zip_of(packed(tmp_path / "used", {"main.tf": b"used"})) == used
    now[0] += 2 * 24 * 3600
    new = store.zip_of(packed(tmp_path / "new", {"main.tf": b"new"}))
    assert {path for path in (old, used, new) if path.exists()} == {used, new}
