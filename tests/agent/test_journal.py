from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from agent.journal import Journal, JournalEntry
from api.contract.agents import Finish


def test_what_was_recorded_is_there_for_the_next_process(tmp_path: Path) -> None:
    entry = JournalEntry(job_id="job_1", attempt=1)
    Journal(tmp_path).record(entry)
    assert Journal(tmp_path).entries() == [entry]

    finished = JournalEntry(job_id="job_1", attempt=1, finish=Finish(attempt=1, outcome="cancelled"))
    Journal(tmp_path).record(finished)
    assert Journal(tmp_path).entries() == [finished]

    Journal(tmp_path).drop("job_1", 1)
    assert Journal(tmp_path).entries() == []


def test_dropping_an_attempt_leaves_a_later_one(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.record(JournalEntry(job_id="job_1", attempt=2))
    journal.drop("job_1", 1)
    journal.drop("job_unknown", 1)
    assert [entry.attempt for entry in journal.entries()] == [2]


def test_a_job_may_end_while_entries_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path)
    for job in ("job_1", "job_2"):
        journal.record(JournalEntry(job_id=job, attempt=1))
    glob = Path.glob

    def just_before_one_ends(folder: Path, pattern: str) -> list[Path]:
        found = list(glob(folder, pattern))
        journal.drop("job_2", 1)
        return found

    monkeypatch.setattr(Path, "glob", just_before_one_ends)
    assert [entry.job_id for entry in journal.entries()] == ["job_1"]


def test_the_end_of_an_attempt_leaves_the_entry_of_one_that_begins_at_the_same_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path)
    journal.record(JournalEntry(job_id="job_1", attempt=1))
    read = JournalEntry.model_validate_json
    with ThreadPoolExecutor(1) as other, monkeypatch.context() as patched:

        def read_just_before_the_next_begins(data: bytes) -> JournalEntry:
            found = read(data)
            wait([other.submit(journal.record, JournalEntry(job_id="job_1", attempt=2))], timeout=0.2)
            return found

        patched.setattr(JournalEntry, "model_validate_json", read_just_before_the_next_begins)
        journal.drop("job_1", 1)
    assert [entry.attempt for entry in journal.entries()] == [2]


def test_an_entry_that_was_cut_off_while_it_was_written_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "job_1.json.new").write_text('{"job_id": "jo')
    assert Journal(tmp_path).entries() == []


def test_a_job_cannot_name_a_file_outside_of_the_journal(tmp_path: Path) -> None:
    Journal(tmp_path / "journal").record(JournalEntry(job_id="../escape", attempt=1))
    assert [path.parent for path in tmp_path.rglob("*.json")] == [tmp_path / "journal"]
