"""What a killed build agent leaves in the temporary folder goes when the next one begins; what lives stays."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from agent.build.build import sweep
from agent.build.docker_build.builder_folder import builder_folder

pytestmark = pytest.mark.anyio

AGENT = """
import asyncio
from agent.build.docker_build.builder_folder import builder_folder
async def work():
    async with builder_folder() as folder:
        (folder / "secrets").mkdir()
        (folder / "secrets" / "0").write_text("canary")
        print(folder, flush=True)
        await asyncio.sleep(300)
asyncio.run(work())
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def _left_behind() -> Path:
    with subprocess.Popen([sys.executable, "-c", AGENT], stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout
        left = Path(killed.stdout.readline().strip())
        killed.send_signal(signal.SIGKILL)
    return left


@pytest.mark.service
async def test_the_folder_of_a_killed_agent_goes_and_that_of_a_living_one_stays(temporary: Path, tmp_path: Path) -> None:
    left = await asyncio.to_thread(_left_behind)
    assert (left / "secrets" / "0").exists()
    async with builder_folder() as living:
        await sweep(tmp_path / "work")
        assert not left.exists()
        assert living.exists()
        assert len(list(temporary.iterdir())) == 2
    assert list(temporary.iterdir()) == []


async def test_a_build_that_was_killed_with_its_agent_leaves_nothing(tmp_path: Path) -> None:
    for name in ("build-0123", "cache"):
        (tmp_path / "work" / name).mkdir(parents=True)
        (tmp_path / "work" / name / "file").touch()
    await sweep(tmp_path / "work")
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["cache"]


async def test_a_sweep_takes_nothing_of_others(temporary: Path, tmp_path: Path) -> None:
    """The temporary folder is everybody's: a link, and a lock of another user, are nothing of ours."""
    victim = tmp_path / "victim"
    (victim / "inside").mkdir(parents=True)
    (temporary / "exclave-build-00.lock").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").touch()
    (temporary / "exclave-build-00").symlink_to(victim)
    (temporary / "exclave-build-01.lock").touch()
    (temporary / "exclave-build-01").symlink_to(victim)
    (temporary / "exclave-build-02").mkdir()
    if os.getuid() == 0:
        (temporary / "exclave-build-02.lock").touch()
        os.chown(temporary / "exclave-build-02.lock", 65534, 65534)
    await sweep(tmp_path / "work")
    assert (victim / "inside").is_dir()
    assert (temporary / "exclave-build-00").is_symlink()
    assert (temporary / "exclave-build-02").is_dir()
