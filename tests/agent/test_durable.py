"""Files that must be whole after a crash."""

import fcntl
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from agent.durable import sweep_asides, write_durably


def test_a_file_is_for_its_owner_alone_and_replaces_the_one_before_it(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "file"
    write_durably(file, b"one")
    write_durably(file, b"two")
    assert file.read_bytes() == b"two"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_root_writes_into_an_agents_home_belongs_to_the_agent(tmp_path: Path) -> None:
    os.chown(tmp_path, 10001, 10001)
    write_durably(tmp_path / "approvals" / "job_1.json", b"{}")
    for path in (tmp_path / "approvals", tmp_path / "approvals" / "job_1.json"):
        assert (path.stat().st_uid, path.stat().st_gid) == (10001, 10001)


def test_of_two_writers_at_once_each_puts_its_own_file_there_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one comes while the first one's bytes are on their way to the disk."""
    file = tmp_path / "file"
    fsync = os.fsync

    def meanwhile(descriptor: int) -> None:
        monkeypatch.setattr(os, "fsync", fsync)
        write_durably(file, b"the second")
        assert file.read_bytes() == b"the second"
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", meanwhile)
    write_durably(file, b"the first")
    assert file.read_bytes() == b"the first"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.service
def test_what_a_killed_writer_left_goes_with_the_next_write(tmp_path: Path) -> None:
    file = tmp_path / "file"
    write_durably(file, b"old")
    stranger = tmp_path / "file.0123456789abcdef.new.kept"
    stranger.touch()
    script = (
        "import os, signal, sys; from pathlib import Path; from agent.durable import write_durably\n"
        "os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_durably(Path(sys.argv[1]), b'new')\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(file)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 3
    assert file.read_bytes() == b"old"
    write_durably(file, b"newer")
    assert file.read_bytes() == b"newer"
    assert sorted(tmp_path.iterdir()) == [file, stranger]


def test_a_writer_whose_file_is_taken_for_a_dead_ones_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another writer sweeps just between the file's coming to be and its lock."""
    file = tmp_path / "file"
    flock = fcntl.flock

    def meanwhile(descriptor: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        sweep_asides(file)
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", meanwhile)
    write_durably(file, b"whole")
    assert file.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [file]


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_durably(tmp_path / "file", b"x")
    assert list(tmp_path.iterdir()) == []
