"""The agent's own log in its folder: bounded, redacted, and never a reason to stop."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import own_log
from agent.own_log import OwnLogFormatter, kept_in
from agent.redaction import Redactor


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    logger = logging.getLogger("agent.test")
    before = logging.getLogger().level
    logging.getLogger().setLevel(logging.INFO)
    yield logger
    logging.getLogger().setLevel(before)


def test_the_newest_lines_stay_and_the_files_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: logging.Logger
) -> None:
    monkeypatch.setattr(own_log, "FILE_BYTES", 1000)
    with kept_in(tmp_path, OwnLogFormatter()):
        for number in range(500):
            log.info("line %d", number)
    files = sorted(tmp_path.glob("agent.log*"))
    assert len(files) == own_log.FILES
    assert sum(file.stat().st_size for file in files) <= own_log.FILES * 1000
    assert (tmp_path / "agent.log").read_text().endswith("line 499\n")


def test_secrets_of_the_jobs_at_work_do_not_stand_in_it(tmp_path: Path, log: logging.Logger) -> None:
    formatter, redactor = OwnLogFormatter(), Redactor(["canary-4711"])
    formatter.watch(redactor)
    with kept_in(tmp_path, formatter):
        log.info("the password is %s", "canary-4711")
    assert "canary" not in (tmp_path / "agent.log").read_text()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_stops_nothing_and_says_nothing_more(
    tmp_path: Path, log: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "agent.log").symlink_to("/dev/full")
    with kept_in(tmp_path, OwnLogFormatter()):
        log.info("lost")
    assert capsys.readouterr().err == ""
