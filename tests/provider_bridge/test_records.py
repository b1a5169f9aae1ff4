"""Records: what frozen dataclasses are, but quicker to define."""

import pytest

from provider_bridge.records import Record


class Place(Record):
    name: str
    floor: int = 0


class Room(Place):
    number: int = 1

    @property
    def sign(self) -> str:
        return f"{self.floor}.{self.number}"


def test_fields_are_given_by_place_or_by_name_or_left_out() -> None:
    assert (Place("hall").name, Place("hall").floor, Place("hall", 2).floor, Place(floor=3, name="hall").floor) == (
        "hall",
        0,
        2,
        3,
    )
    assert Room("study", 4, 5).sign == "4.5"
    assert Room("study", number=7).sign == "0.7"


@pytest.mark.parametrize(
    ("given", "named"),
    [((), {}), (("hall", 1, 2), {}), (("hall",), {"name": "hall"}), (("hall",), {"height": 3}), ((), {"floor": 1})],
    ids=["missing", "too many", "twice", "unknown", "missing of some"],
)
def test_other_fields_are_refused(given: tuple[object, ...], named: dict[str, object]) -> None:
    with pytest.raises(TypeError, match="Place takes name, floor"):
        Place(*given, **named)  # type: ignore[arg-type]


def test_records_of_one_class_are_equal_if_their_fields_are() -> None:
    assert Place("hall") == Place("hall", 0)
    assert hash(Place("hall")) == hash(Place("hall", 0))
    assert Place("hall") != Place("hall", 1)
    assert Place("hall") != Room("hall")
    assert repr(Room("hall", 1)) == "Room(name='hall', floor=1, number=1)"


def test_a_record_is_matched_by_its_fields() -> None:
    match Room("hall", 1, 2):
        case Room(name, floor, number):
            assert (name, floor, number) == ("hall", 1, 2)


def test_a_record_stays_as_it_is() -> None:
    place = Place("hall")
    with pytest.raises(AttributeError, match="Place can't be changed"):
        place.floor = 1  # type: ignore[misc]
    with pytest.raises(AttributeError, match="Place can't be changed"):
        del place.floor
    assert place.floor == 0
