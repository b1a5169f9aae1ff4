"""Maintenance windows. Pure: the clock is an argument."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import get_args
from zoneinfo import ZoneInfo

from agent.policy.document import Day, Window

_DAYS: tuple[Day, ...] = get_args(Day)


def is_open(windows: Sequence[Window], now: datetime) -> bool:
    """Whether `now` is in one of the windows: from its first moment on, and before its last."""
    return any(begins <= now < ends for window in windows for begins, ends in _around(window, now))


def opens_next(windows: Sequence[Window], now: datetime) -> datetime:
    """When the next window opens, in its own time zone. `windows` isn't empty, and each opens once a week at least."""
    coming = [(begins, window) for window in windows for begins, _ in _around(window, now) if begins > now]
    begins, window = min(coming, key=lambda each: each[0])
    return begins.astimezone(ZoneInfo(window.time_zone))


def _around(window: Window, now: datetime) -> Iterator[tuple[datetime, datetime]]:
    """When the window opens and closes, from yesterday on until the same day of next week, in UTC.

    The times are those of the wall clock: on the day of a change of clocks a window is an hour longer or shorter. A time that
    the clocks leave out is taken as if they had not been changed.
    """
    zone = ZoneInfo(window.time_zone)
    today = now.astimezone(zone).date()
    for offset in range(-1, 9):
        day = today + timedelta(days=offset)
        if _DAYS[day.weekday()] not in window.days:
            continue
        last = day if _minutes(window.ends) > _minutes(window.begins) else day + timedelta(days=1)
        yield _moment(day, window.begins, zone), _moment(last, window.ends, zone)


def _moment(day: date, text: str, zone: ZoneInfo) -> datetime:
    if text == "24:00":
        day, text = day + timedelta(days=1), "00:00"
    return datetime.combine(day, time.fromisoformat(text), zone).astimezone(UTC)


def _minutes(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)
