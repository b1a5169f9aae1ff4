"""Files that must be whole after a crash."""

import os
import stat
from pathlib import Path

import pytest

from agent.durable import write_durably


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
