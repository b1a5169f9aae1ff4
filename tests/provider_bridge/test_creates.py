"""The creates that a killed run has left: the next run takes them up, and nobody else does."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_ims import FakeIms
from fake_ims_http import TOKEN

from provider_bridge.client import Client
from provider_bridge.creates import Creates
from provider_bridge.problems import ProblemError

SHOP = {"name": "shop"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = tmp_path / ".terraform"
    data.mkdir()
    return data


class Runs:
    """The provider's processes in one folder, most of them those of runs that are killed."""

    def __init__(self, ims: FakeIms, folder: Path) -> None:
        self._ims = ims
        self._folder = folder
        self._begun: list[Client] = []
        self._live: list[Creates] = []

    def begin(self, folder: Path | None = None, **environment: str) -> Client:
        """The client of a new run's process. Those before it are killed, if they weren't closed."""
        self.kill()
        return self.join(folder, **environment)

    def join(self, folder: Path | None = None, **environment: str) -> Client:
        """The client of one more process, such as an alias has in the same run."""
        creates = Creates({"TF_DATA_DIR": str(folder or self._folder), **environment}, self._ims.url)
        self._live.append(creates)
        self._begun.append(Client(self._ims.url, TOKEN, threading.Event(), creates))
        return self._begun[-1]

    def kill(self) -> None:
        """Do what the end of a process does."""
        while self._live:
            self._live.pop()._let_go()

    def end(self) -> None:
        """Let go of the connections."""
        for client in self._begun:
            client.close()


@pytest.fixture
def runs(ims: FakeIms, folder: Path) -> Iterator[Runs]:
    runs = Runs(ims, folder)
    yield runs
    runs.end()


def test_what_a_killed_run_has_made_is_taken_up_by_the_next(ims: FakeIms, runs: Runs, folder: Path) -> None:
    made = runs.begin().create("apps", body=SHOP)  # and it never gets to `close`
    again = runs.begin()
    assert again.check_create("apps", body=SHOP) is None
    assert again.create("apps", body=SHOP) == made
    assert len(ims.apps) == 1


def test_what_a_run_that_ended_well_has_made_is_nobody_elses(ims: FakeIms, runs: Runs, folder: Path) -> None:
    first = runs.begin()
    first.create("apps", body=SHOP)
    first.close()
    assert list(folder.iterdir()) == []
    second = runs.begin()
    with pytest.raises(ProblemError, match="taken"):
        second.create("apps", body=SHOP)


def test_a_plan_leaves_what_the_apply_after_it_takes_up(ims: FakeIms, runs: Runs, folder: Path) -> None:
    made = runs.begin().create("apps", body=SHOP)
    plan = runs.begin()
    assert plan.check_create("apps", body=SHOP) is None
    plan.close()
    apply = runs.begin()
    assert apply.create("apps", body=SHOP) == made
    apply.close()
    assert list(folder.iterdir()) == []


def test_two_creates_of_one_name_in_one_run_are_two_requests(ims: FakeIms, runs: Runs, folder: Path) -> None:
    client = runs.begin()
    client.create("apps", body=SHOP)
    with pytest.raises(ProblemError, match="taken"):
        client.create("apps", body=SHOP)


def test_a_refused_create_hides_no_earlier_one_of_its_name(ims: FakeIms, runs: Runs, folder: Path) -> None:
    """The key of the refused one was kept in place of the other's, whose object no run after a kill could take up then."""
    client = runs.begin()
    made = client.create("apps", body=SHOP)
    with pytest.raises(ProblemError, match="taken"):
        client.create("apps", body=SHOP)
    assert runs.begin().create("apps", body=SHOP) == made


def test_what_was_made_and_deleted_since_is_made_anew(ims: FakeIms, runs: Runs, folder: Path) -> None:
    made = runs.begin().create("apps", body=SHOP)
    runs.begin().delete("apps", made["id"])
    assert runs.begin().create("apps", body=SHOP)["id"] != made["id"]


def test_a_request_that_says_something_else_by_now_is_refused_in_words(ims: FakeIms, runs: Runs, folder: Path) -> None:
    runs.begin().create("apps", body=SHOP)
    with pytest.raises(ProblemError, match="taken"):
        runs.begin().create("apps", body={**SHOP, "description": "another"})


def test_another_workspace_takes_up_nothing(ims: FakeIms, runs: Runs, folder: Path) -> None:
    runs.begin().create("apps", body=SHOP)
    with pytest.raises(ProblemError, match="taken"):
        runs.begin(TF_WORKSPACE="staging").create("apps", body=SHOP)


def test_the_end_of_one_process_leaves_what_another_of_its_run_has_begun(ims: FakeIms, runs: Runs, folder: Path) -> None:
    """An alias that ended well cleared the one file that all had, and a kill after that left an object that nobody knew."""
    one, other = runs.begin(), runs.join()
    one.create("apps", body=SHOP)
    made = other.create("apps", body={"name": "other"})
    one.close()
    again = runs.begin()
    with pytest.raises(ProblemError, match="taken"):
        again.create("apps", body=SHOP)
    assert again.create("apps", body={"name": "other"}) == made


def test_the_end_of_one_process_leaves_what_another_has_yet_to_take_up(ims: FakeIms, runs: Runs, folder: Path) -> None:
    made = runs.begin().create("apps", body=SHOP)
    one, other = runs.begin(), runs.join()
    one.create("apps", body={"name": "other"})
    one.close()
    third = runs.begin()  # the other one is killed before it comes to it
    assert third.create("apps", body=SHOP) == made
    third.close()
    assert list(folder.iterdir()) == []
    assert other.url == third.url


def test_the_last_process_of_a_run_clears_what_nobody_took_up(ims: FakeIms, runs: Runs, folder: Path) -> None:
    runs.begin().create("apps", body=SHOP)
    one, other = runs.begin(), runs.join()
    one.create("apps", body={"name": "other"})
    one.close()
    other.close()
    assert list(folder.iterdir()) == []


def test_what_two_processes_of_a_run_would_take_up_is_one_ones(ims: FakeIms, runs: Runs, folder: Path) -> None:
    made = runs.begin().create("apps", body=SHOP)
    one, other = runs.begin(), runs.join()
    assert one.create("apps", body=SHOP) == made
    with pytest.raises(ProblemError, match="taken"):
        other.create("apps", body=SHOP)
    with pytest.raises(ProblemError, match="taken"):
        runs.join().create("apps", body=SHOP)
    assert runs.begin().create("apps", body=SHOP) == made  # for the run that took it up was killed as well


def test_what_another_process_of_the_run_has_begun_is_not_taken_up(ims: FakeIms, runs: Runs, folder: Path) -> None:
    runs.begin().create("apps", body=SHOP)
    runs.kill()
    first = runs.begin()
    first.create("apps", body={"name": "other"})
    with pytest.raises(ProblemError, match="taken"):
        runs.join().create("apps", body={"name": "other"})


def test_what_was_begun_a_day_ago_is_not_taken_up(ims: FakeIms, runs: Runs, folder: Path) -> None:
    runs.begin().create("apps", body=SHOP)
    (file,) = folder.iterdir()
    os.utime(file, (0, 0))
    with pytest.raises(ProblemError, match="taken"):
        runs.begin().create("apps", body=SHOP)


def test_half_a_line_and_a_missing_folder_do_no_harm(runs: Runs, folder: Path, tmp_path: Path) -> None:
    (folder / "exclave-creates-1.jsonl").write_text('{"what": "x", "ke')
    assert runs.begin().create("apps", body=SHOP)
    elsewhere = tmp_path / "gone"
    assert runs.begin(elsewhere).create("apps", body={"name": "other"})
    assert not elsewhere.exists()


def test_the_file_is_the_users_own_and_says_nothing_of_the_body(ims: FakeIms, runs: Runs, folder: Path) -> None:
    runs.begin().create("apps", body={**SHOP, "description": "canary"})
    (file,) = folder.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert "canary" not in file.read_text()
    assert TOKEN not in file.read_text()
