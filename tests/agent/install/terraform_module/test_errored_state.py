import json
from pathlib import Path

import pytest

from agent.install.terraform_module.errored_state import FILE_NAME, StateConflictError, has_resources, recover


def state(lineage: str, serial: int, resources: list[object] | None = None) -> str:
    return json.dumps({"version": 4, "lineage": lineage, "serial": serial, "resources": resources or []})


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    (tmp_path / "work").mkdir()
    return tmp_path / "state" / "terraform.tfstate"


def left(place: Path, content: str) -> Path:
    path = place.parent.parent / "work" / FILE_NAME
    path.write_text(content)
    return path.parent


def test_nothing_left_is_nothing_to_do(place: Path) -> None:
    assert recover(place.parent.parent / "work", place) is None


@pytest.mark.parametrize("current", [None, state("one", 3)])
def test_a_later_state_is_put_in_place_and_all_is_kept(current: str | None, place: Path) -> None:
    if current:
        place.write_text(current)
    work = left(place, state("one", 4))
    assert recover(work, place)
    assert place.read_text() == state("one", 4)
    assert (place.parent / "errored-4.tfstate").read_text() == state("one", 4)
    assert not (work / FILE_NAME).exists()
    if current:
        assert (place.parent / "before-errored-4.tfstate").read_text() == current
    assert recover(work, place) is None


def test_a_state_that_is_as_new_stays(place: Path) -> None:
    place.write_text(state("one", 4, ["x"]))
    work = left(place, state("one", 4))
    assert recover(work, place)
    assert place.read_text() == state("one", 4, ["x"])
    assert (place.parent / "errored-4.tfstate").exists()


@pytest.mark.parametrize("content", [state("other", 9), "{", "[]"])
def test_a_state_of_another_lineage_is_left_for_a_person(content: str, place: Path) -> None:
    place.write_text(state("one", 3))
    work = left(place, content)
    with pytest.raises(StateConflictError, match="not a later version"):
        recover(work, place)
    assert (work / FILE_NAME).read_text() == content
    assert place.read_text() == state("one", 3)


def test_whether_there_is_anything_to_destroy(place: Path) -> None:
    assert not has_resources(place)
    place.write_text(state("one", 1))
    assert not has_resources(place)
    place.write_text(state("one", 1, [{}]))
    assert has_resources(place)
    place.write_text("{damaged")
    assert has_resources(place)
