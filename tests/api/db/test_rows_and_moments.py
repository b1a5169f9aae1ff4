"""Rows are plain objects; moments are written as SQLAlchemy writes them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy.dialects import sqlite
from sqlmodel import col, select

from api.db.columns import UtcDateTime
from api.events.lines import Line, hash_of
from api.jobs.models import JobLogRow

DIALECT = sqlite.dialect()


def test_a_class_has_columns_for_queries_and_its_rows_have_plain_values() -> None:
    row = JobLogRow(job_id="job_1", bytes=7)
    assert row.bytes == 7
    assert set(row.__dict__) == set(JobLogRow.model_fields)
    assert "job_log.bytes = " in str(select(JobLogRow).where(JobLogRow.bytes == 7).order_by(col(JobLogRow.job_id)))
    with pytest.raises(AttributeError):
        _ = object.__new__(JobLogRow).bytes


@pytest.mark.parametrize("microsecond", [0, 5, 123456])
def test_a_moment_is_written_in_utc_and_read_again(microsecond: int) -> None:
    moment = datetime(2026, 11, 22, 1, 2, 3, microsecond, UTC)
    elsewhere = moment.astimezone(timezone(timedelta(hours=5, minutes=30)))
    column = UtcDateTime()
    write, read = column.bind_processor(DIALECT), column.result_processor(DIALECT, None)
    assert write
    assert read
    text = f"2026-11-22 01:02:03.{microsecond:06}"
    assert [write(moment), write(elsewhere), write(None)] == [text, text, None]
    assert read(text) == moment
    assert read(text).tzinfo is UTC  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="no time zone"):
        write(moment.replace(tzinfo=None))


def test_the_hash_of_a_line_covers_its_moment_as_it_is_written() -> None:
    moment = datetime(2026, 11, 22, 1, 2, 3, tzinfo=UTC)
    line = Line(1, moment, "a", "b", "c", None, None, None, None, "0" * 64, "")
    elsewhere = line._replace(at=moment.astimezone(timezone(timedelta(hours=1))))
    assert hash_of(line) != hash_of(elsewhere)
    assert hash_of(line) == "211436c7da80a3a182ad33a4835694b65bdf7edd8c585a79f74db4e90959e490"
