from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from agent.policy.document import Window
from agent.policy.windows import is_open, opens_next

BERLIN = ZoneInfo("Europe/Berlin")


def window(begins: str, ends: str, *days: str, zone: str = "Europe/Berlin") -> Window:
    chosen = {"days": days} if days else {}
    return Window.model_validate({"from": begins, "to": ends, "time_zone": zone, **chosen})


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("now", "open_now"),
    [
        ("2026-11-21T21:59:59", False),  # a Saturday
        ("2026-11-21T22:00:00", True),
        ("2026-11-22T03:59:59", True),  # Sunday, but the window began on Saturday
        ("2026-11-22T04:00:00", False),
        ("2026-11-22T23:00:00", False),
    ],
)
def test_a_window_past_midnight_belongs_to_the_day_on_which_it_begins(now: str, open_now: bool) -> None:
    assert is_open([window("22:00", "04:00", "sat")], at(now)) is open_now


@pytest.mark.parametrize("now", ["2026-11-21T00:00:00", "2026-11-21T23:59:59"])
def test_a_whole_day_has_no_gap(now: str) -> None:
    assert is_open([window("00:00", "24:00", "sat")], at(now))
    assert is_open([window("12:00", "12:00")], at(now))


def test_the_next_opening_is_said_in_the_windows_own_time() -> None:
    windows = [window("22:00", "04:00", "sat"), window("06:00", "07:00", "mon", zone="UTC")]
    assert opens_next(windows, at("2026-11-22T05:00:00")).isoformat() == "2026-11-23T06:00:00+00:00"
    assert opens_next(windows, at("2026-11-23T12:00:00")).isoformat() == "2026-11-28T22:00:00+01:00"
    assert opens_next(windows[:1], at("2026-11-21T23:00:00")).isoformat() == "2026-11-28T22:00:00+01:00"


def test_a_window_follows_the_wall_clock_when_the_clocks_change() -> None:
    # 2026-10-25 03:00 summer time becomes 02:00: the window is five hours long that night.
    night = [window("00:00", "04:00", "sun")]
    assert is_open(night, datetime.fromisoformat("2026-10-24T22:00:00+00:00"))
    assert is_open(night, datetime.fromisoformat("2026-10-25T02:59:59+00:00"))
    assert not is_open(night, datetime.fromisoformat("2026-10-25T03:00:00+00:00"))
