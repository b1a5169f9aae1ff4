from datetime import UTC, datetime, timedelta

from api.db.ids import IdMaker

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


def test_ids_sort_by_the_time_they_were_made() -> None:
    ids = IdMaker()
    made = [ids.new("app", NOW + timedelta(milliseconds=number // 50)) for number in range(500)]
    assert made == sorted(made)
    assert len(set(made)) == 500
    assert all(len(one) == len("app_") + 26 and one.startswith("app_") for one in made)


def test_ids_go_on_growing_when_the_clock_jumps_back() -> None:
    ids = IdMaker()
    assert ids.new("a", NOW) < ids.new("a", NOW - timedelta(hours=1)) < ids.new("a", NOW)
