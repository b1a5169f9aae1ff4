"""`exclave provider package`: what is in a package, that it is the same each time, and how it finds a Python."""

import hashlib
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from provider_bridge import install as installation
from provider_bridge.cli import provider_command
from provider_bridge.packaging import contents
from provider_bridge.packaging.build import PYTHONS, THIS_PYTHON
from provider_bridge.packaging.contents import PackageError, Target
from provider_bridge.protocol import serve

HERE = installation.terraform_platform(platform.system(), platform.machine())
COOKIE = dict([serve._COOKIE])
REAL_PYTHON = os.path.realpath(sys.executable)


def package(output: Path, *options: str) -> Path:
    done = CliRunner().invoke(provider_command, ["package", "--output", str(output), "--json", *options])
    assert done.exit_code == 0, done.output
    (made,) = json.loads(done.output)
    assert hashlib.sha256(Path(made["file"]).read_bytes()).hexdigest() == made["sha256"]
    return Path(made["file"])


def refused(*options: str) -> str:
    done = CliRunner().invoke(provider_command, ["package", *options])
    assert done.exit_code, done.output
    return done.output


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return package(tmp_path_factory.mktemp("packages"))


@pytest.fixture
def unpacked(made: Path, tmp_path: Path) -> Path:
    return unpack(made, tmp_path / "package")


def unpack(archive: Path, folder: Path) -> Path:
    """As Terraform does: files with their modes, but none of their times."""
    with zipfile.ZipFile(archive) as opened:
        for entry in opened.infolist():
            opened.extract(entry, folder)
            (folder / entry.filename).chmod(entry.external_attr >> 16 & 0o777)
    return folder


@contextmanager
def started(folder: Path, **environment: str) -> Iterator["subprocess.Popen[str]"]:
    """The program of a package, with a home of its own and only the Pythons that the test gives it."""
    (program,) = folder.glob("terraform-provider-exclave_v*")
    base = {"HOME": str(folder.parent / "home"), "PATH": "/nowhere"}
    with subprocess.Popen(
        [program], env=base | COOKIE | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/"
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def with_pythons(folder: Path, **programs: str) -> str:
    """A PATH with the tools that the launcher needs, and these programs as scripts."""
    folder.mkdir()
    for tool in ("mkdir", "mv"):
        (folder / tool).symlink_to(str(shutil.which(tool)))
    for name, text in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    return str(folder)


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_package_made_twice_is_the_same_byte_for_byte(made: Path, tmp_path: Path) -> None:
    assert package(tmp_path).read_bytes() == made.read_bytes()


def test_only_the_program_may_be_executed_and_licences_travel_along(made: Path) -> None:
    with zipfile.ZipFile(made) as archive:
        modes = {entry.filename: entry.external_attr >> 16 & 0o777 for entry in archive.infolist()}
    version = made.name.split("_")[1]
    assert [name for name, mode in modes.items() if mode & 0o111] == [f"terraform-provider-exclave_v{version}"]
    for name in contents.LIBRARIES:
        assert any(f"lib/{name}-" in path and "licen" in path.lower() for path in modes), name
    assert not [path for path in modes if path.startswith("lib/provider_bridge/packaging") or "tests/" in path]


def test_every_module_is_compiled_for_whatever_time_it_is_unzipped(made: Path) -> None:
    with zipfile.ZipFile(made) as archive:
        names = set(archive.namelist())
        compiled = [name for name in names if name.endswith(".pyc")]
        assert len(compiled) == len([name for name in names if name.endswith(".py") and name != "start.py"])
        for name in compiled:
            assert int.from_bytes(archive.read(name)[4:8], "little") == 0b01, "PEP 552: a hash that nobody checks"


def test_it_runs_and_writes_nothing_into_itself(unpacked: Path) -> None:
    before = digests(unpacked)
    for _ in range(2):
        with started(unpacked, EXCLAVE_PROVIDER_PYTHON=REAL_PYTHON) as process:
            assert process.stdout
            assert process.stdout.readline().startswith("1|6|unix|")
    assert digests(unpacked) == before


def test_it_imports_only_its_own_libraries(unpacked: Path) -> None:
    # On PATH, the Python of a virtual environment, whose packages must not be seen.
    code = (
        (unpacked / "start.py")
        .read_text()
        .replace("\nmain()", "\nimport msgpack, yaml\nprint(msgpack.__file__, yaml.__file__)")
    )
    (unpacked / "start.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "-B", "-I", "-S", unpacked / "start.py"], capture_output=True, text=True, check=True, cwd="/"
    )
    assert done.stdout.split() == [str(unpacked / "lib/msgpack/__init__.py"), str(unpacked / "lib/yaml/__init__.py")]


def test_the_real_interpreter_behind_a_shim_is_noted_and_started_from_then_on(unpacked: Path, tmp_path: Path) -> None:
    shim = f'echo asked >> "{tmp_path}/log"; exec "{REAL_PYTHON}" "$@"'
    path = with_pythons(tmp_path / "bin", **{f"python{THIS_PYTHON}": shim})
    for _ in range(3):
        with started(unpacked, PATH=path) as process:
            assert process.stdout
            assert process.stdout.readline().startswith("1|6|unix|")
    note = tmp_path / "home" / ".cache" / "exclave" / f"provider-python-{THIS_PYTHON}"
    assert note.read_text() == f"{REAL_PYTHON}\n"
    assert (tmp_path / "log").read_text() == "asked\n"


def test_a_noted_python_that_is_gone_is_looked_for_anew(unpacked: Path, tmp_path: Path) -> None:
    note = tmp_path / "home" / ".cache" / "exclave" / f"provider-python-{THIS_PYTHON}"
    note.parent.mkdir(parents=True)
    note.write_text("/gone/python\n")
    path = with_pythons(tmp_path / "bin", python3=f'exec "{REAL_PYTHON}" "$@"')
    with started(unpacked, PATH=path) as process:
        assert process.stdout
        assert process.stdout.readline().startswith("1|6|unix|")
    assert note.read_text() == f"{REAL_PYTHON}\n"


def test_a_home_that_cannot_be_written_costs_a_search_and_nothing_else(unpacked: Path, tmp_path: Path) -> None:
    path = with_pythons(tmp_path / "bin", python3=f'exec "{REAL_PYTHON}" "$@"')
    with started(unpacked, PATH=path, HOME="/dev/null") as process:
        assert process.stdout
        assert process.stdout.readline().startswith("1|6|unix|")


def test_without_a_python_that_fits_it_says_which_ones_do(unpacked: Path, tmp_path: Path) -> None:
    path = with_pythons(tmp_path / "bin", python3="exit 127", python="echo")
    with started(unpacked, PATH=path) as process:
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (1, "")
    assert f"needs Python {THIS_PYTHON}: put it on PATH, or name it in EXCLAVE_PROVIDER_PYTHON" in errors


def test_a_named_python_of_another_version_is_told(unpacked: Path) -> None:
    start = unpacked / "start.py"
    start.write_text(start.read_text().replace("{(3, ", "{(2, "))
    with started(unpacked, EXCLAVE_PROVIDER_PYTHON=REAL_PYTHON) as process:
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (1, "")
    assert f"and {REAL_PYTHON} is {THIS_PYTHON}" in errors


def test_a_platform_or_a_python_without_packages_is_refused_in_words(tmp_path: Path) -> None:
    output = ("--output", str(tmp_path))
    assert "no packages for windows_amd64: choose of linux_amd64" in refused(
        *output, "--platform", "windows_amd64", "--python", THIS_PYTHON
    )
    assert "/nowhere/python is no Python that can be started" in refused(*output, "--python", "/nowhere/python")
    assert "leave --platform and --python out" in refused(*output, "--self-contained", "--python", "3.12")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert f"can't write {tmp_path}/file" in refused("--output", str(tmp_path / "file" / "packages"))


@pytest.mark.parametrize(
    ("lacking", "words"),
    [
        ("msgpack/_cmsgpack", "no compiled msgpack/_cmsgpack for darwin_arm64 and Python 3.12"),
        ("google/_upb/_message", "no compiled google/_upb/_message for darwin_arm64 and Python 3.12"),
    ],
)
def test_libraries_that_would_run_but_slowly_are_refused(lacking: str, words: str) -> None:
    files = {
        "msgpack/_cmsgpack.cpython-312-darwin.so": b"",
        "google/_upb/_message.abi3.so": b"",
    }
    target = Target("darwin_arm64", ("3.12",))
    contents._check(files, target)
    with pytest.raises(PackageError, match=words):
        contents._check({name: content for name, content in files.items() if not name.startswith(lacking)}, target)


def test_what_cannot_be_fetched_is_told_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    other = "linux_arm64" if HERE != "linux_arm64" else "linux_amd64"
    said = refused("--output", str(tmp_path), "--platform", other, "--python", THIS_PYTHON)
    assert f"pip can't fetch the libraries for {other} and Python {THIS_PYTHON}" in said
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(THIS_PYTHON not in PYTHONS, reason="this Python is none that packages are made for")
@pytest.mark.parametrize("platform_name", sorted(contents.WHEEL_PLATFORMS))
@pytest.mark.skipif(not os.environ.get("EXCLAVE_TEST_INDEX"), reason="EXCLAVE_TEST_INDEX isn't set: no package index is asked")
def test_every_platform_has_wheels(platform_name: str, tmp_path: Path) -> None:
    archive = package(tmp_path, "--platform", platform_name, "--python", THIS_PYTHON)
    assert archive.name.endswith(f"_{platform_name}.zip")
    if platform_name == HERE:
        with started(unpack(archive, tmp_path / "package"), EXCLAVE_PROVIDER_PYTHON=REAL_PYTHON) as process:
            assert process.stdout
            assert process.stdout.readline().startswith("1|6|unix|")


@pytest.mark.e2e
@pytest.mark.skipif(not importlib.util.find_spec("PyInstaller"), reason="PyInstaller isn't installed: exclave[self-contained]")
def test_a_self_contained_package_needs_no_python(tmp_path: Path) -> None:
    folder = unpack(package(tmp_path / "made", "--self-contained"), tmp_path / "package")
    before = digests(folder)
    with started(folder) as process:
        assert process.stdout
        assert process.stdout.readline().startswith("1|6|unix|")
    assert digests(folder) == before


@pytest.mark.skipif(bool(importlib.util.find_spec("PyInstaller")), reason="PyInstaller is installed")
def test_a_self_contained_package_without_pyinstaller_is_refused_in_words(tmp_path: Path) -> None:
    assert "pip install 'exclave[self-contained]'" in refused("--output", str(tmp_path), "--self-contained")
