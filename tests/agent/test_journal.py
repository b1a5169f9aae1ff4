from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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


def test_a_job_may_end_while_entries_are_read(tmp_path: Path) -> None:
    staying = JournalEntry(job_id="job_1", attempt=1)
    Journal(tmp_path).record(staying)

    def end_jobs() -> None:
        journal = Journal(tmp_path)
        for attempt in range(200):
            journal.record(JournalEntry(job_id="job_2", attempt=attempt))
            journal.drop("job_2", attempt)

    with ThreadPoolExecutor(1) as other:
        done = other.submit(end_jobs)
        while not done.done():
            assert staying in Journal(tmp_path).entries()
        done.result()


def test_an_entry_that_was_cut_off_while_it_was_written_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "job_1.json.new").write_text('{"job_id": "jo')
    assert Journal(tmp_path).entries() == []


def test_a_job_cannot_name_a_file_outside_of_the_journal(tmp_path: Path) -> None:
    Journal(tmp_path / "journal").record(JournalEntry(job_id="../escape", attempt=1))
    assert [path.parent for path in tmp_path.rglob("*.json")] == [tmp_path / "journal"]
