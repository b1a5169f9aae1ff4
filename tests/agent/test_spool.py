from pathlib import Path

import pytest

from agent import spool
from agent.spool import Chunk, LogSpool
from api.contract.agents import LOG_CHUNK_BYTES


def everything(log: LogSpool) -> list[Chunk]:
    chunks = []
    while chunk := log.next():
        chunks.append(chunk)
        log.sent()
    return chunks


def test_chunks_have_consecutive_numbers_and_offsets(tmp_path: Path) -> None:
    log = LogSpool(tmp_path, "job_1", 1)
    text = "line\n" * LOG_CHUNK_BYTES
    log.append(text)
    chunks = everything(log)
    assert b"".join(chunk.data for chunk in chunks).decode() == text
    assert [chunk.seq for chunk in chunks] == list(range(len(chunks)))
    assert all(len(chunk.data) <= LOG_CHUNK_BYTES for chunk in chunks)
    assert [chunk.offset for chunk in chunks] == [n * LOG_CHUNK_BYTES for n in range(len(chunks))]
    assert log.waiting == 0


@pytest.mark.parametrize("character", ["é", "€", "😀"])
@pytest.mark.parametrize("shift", [0, 1, 2, 3])
def test_no_character_is_cut_in_two(character: str, shift: int, tmp_path: Path) -> None:
    log = LogSpool(tmp_path, "job_1", 1)
    log.append("x" * shift + character * LOG_CHUNK_BYTES)
    for chunk in everything(log):
        chunk.data.decode()


def test_a_chunk_on_its_way_is_the_same_after_a_crash(tmp_path: Path) -> None:
    log = LogSpool(tmp_path, "job_1", 1)
    log.append("first\n")
    on_its_way = log.next()
    log.append("second\n")

    again = LogSpool(tmp_path, "job_1", 1)
    again.append("third\n")

    assert again.next() == on_its_way == Chunk(0, 0, b"first\n")
    again.sent()
    assert again.next() == Chunk(1, 6, b"second\nthird\n")


def test_attempts_have_logs_of_their_own(tmp_path: Path) -> None:
    LogSpool(tmp_path, "job_1", 1).append("one")
    other = LogSpool(tmp_path, "job_1", 2)
    assert other.next() is None
    other.remove()
    assert LogSpool(tmp_path, "job_1", 1).waiting == 3


def test_what_is_refused_or_too_much_is_counted_as_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "LOG_BYTES", 10)
    log = LogSpool(tmp_path, "job_1", 1)
    log.append("123456")
    log.append("7890123")
    assert log.lost_bytes == 7
    log.next()
    log.give_up()
    assert log.lost_bytes == 13
    log.append("abcd")
    assert log.next() == Chunk(1, 6, b"abcd")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_loses_log_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "job_1.1.log").symlink_to("/dev/full")
    log = LogSpool(tmp_path, "job_1", 1)
    log.append("123456")
    assert log.lost_bytes == 6
    assert log.next() is None


def test_a_job_cannot_name_a_file_outside_of_the_folder(tmp_path: Path) -> None:
    LogSpool(tmp_path / "logs", "../../escape", 1).append("x")
    assert [path.parent for path in tmp_path.rglob("*.log")] == [tmp_path / "logs"]
