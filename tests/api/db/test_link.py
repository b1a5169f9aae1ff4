"""What reaches the database, whether each statement is sent at once or kept back until its outcome must be known."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import psycopg
import pytest
from migrated import open_new
from sqlalchemy import Connection, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from api.contract.base import Json
from api.db.driver import Driver
from api.db.link import StaleRowError
from api.db.session import Session
from api.db.statements import Bulk
from api.events.models import EventRow
from api.secrets.models import DataKeyRow
from api.settings import Settings
from api.tokens.models import TokenRow

NOW = datetime(2026, 1, 1, 12, 30, 1, 250000, tzinfo=UTC)
TEXTS = ["", "NULL", "null", "it's", '"', "\\", "a,b", "{c}", " ü\n\t", "%s %(x)s", '\\"']


@pytest.fixture
def driver(tmp_path: Path, database_url: str | None) -> Iterator[Driver]:
    opened = open_new(Settings(tmp_path, "http://ims.test", database=database_url or "sqlite"))
    yield opened
    opened.close()


@pytest.fixture
def connection(driver: Driver) -> Iterator[Connection]:
    with driver.writer.connect() as opened, opened.begin():
        yield opened


@pytest.fixture
def session(driver: Driver, connection: Connection) -> Session:
    return Session(driver.link(connection))


def token(name: str) -> TokenRow:
    return TokenRow(id=f"tok_{name}", name=name, role="admin", secret_hash="x", created_at=NOW)


def written(session: Session, *rows: TokenRow, then: type[Exception] | None = None) -> None:
    """Rows in a savepoint, of which the session doesn't know whether they are there."""
    with session.begin_nested():
        session._rows.clear()
        session.add_all(rows)
        session.flush()
        if then:
            raise then


def names(session: Session) -> list[str]:
    return sorted(row[0] for row in session.connection().execute(select(TokenRow.__table__.c.name)))  # type: ignore[attr-defined]


def test_what_came_before_a_savepoint_outlives_it(session: Session) -> None:
    session.add(token("a"))
    with pytest.raises(RuntimeError):
        written(session, token("b"), then=RuntimeError)
    written(session, token("c"))
    with pytest.raises(RuntimeError):
        written(session, then=RuntimeError)
    assert names(session) == ["a", "c"]


def test_a_failed_change_is_known_when_its_savepoint_is_left(session: Session) -> None:
    with session.begin_nested():
        session.add(token("a"))
        with pytest.raises(IntegrityError):
            written(session, token("a"))
        session.add(token("c"))
    assert names(session) == ["a", "c"]


def change_role(session: Session, rows: list[TokenRow]) -> None:
    """In a savepoint."""
    with session.begin_nested():
        for row in rows:
            row.role = "viewer"


def test_of_many_changed_rows_each_must_be_there(session: Session) -> None:
    rows = [token(name) for name in "abc"]
    session.add_all(rows)
    session.flush()
    session.connection().execute(text("DELETE FROM token WHERE name = 'b'"))
    with pytest.raises(StaleRowError, match="of 3 rows"):
        change_role(session, rows)
    assert [row.role for row in Session(session._link).get_many(TokenRow, ["tok_a", "tok_c"])] == ["admin", "admin"]


def test_several_queries_at_once_find_what_each_would(session: Session) -> None:
    session.add_all([token("a"), token("b")])
    session.flush()
    again = Session(session._link)
    assert again.fetch(keys={TokenRow: ["tok_a", "tok_a", None, "tok_z"]}) == []
    known = again.get_one(TokenRow, "tok_a")
    assert again.get(TokenRow, "tok_z") is None
    again.fetch(keys={TokenRow: ["tok_a", "tok_b"]})
    assert again.get_one(TokenRow, "tok_a") is known
    assert again.get_one(TokenRow, "tok_b").name == "b"


@pytest.mark.parametrize("value", [None, [], {}, *TEXTS, TEXTS, {"a": TEXTS, "b": {"c": 1.5, "d": None, "e": True}}, 0, False])
def test_many_rows_that_are_written_at_once_come_back_as_they_were(session: Session, value: Json) -> None:
    moments = [NOW, NOW.replace(microsecond=0), NOW.astimezone(timezone(timedelta(hours=-3)))]
    lines: list[dict[str, Any]] = [
        {
            "seq": number,
            "at": moments[number % 3],
            "actor": TEXTS[number],
            "action": "a.b",
            "object_id": "x",
            "before": None if number % 2 else value,
            "after": value,
            "app_id": None,
            "install_id": TEXTS[number] if number % 2 else None,
            "previous_hash": "",
            "hash": "",
        }
        for number in range(len(TEXTS))
    ]
    session.add_all(EventRow(**line) for line in lines)
    session.flush()
    found = [row for number in range(len(TEXTS)) if (row := Session(session._link).get(EventRow, number))]
    assert [{name: getattr(row, name) for name in lines[0]} for row in found] == lines


def test_bytes_that_are_written_many_at_once_come_back_as_they_were(session: Session) -> None:
    wrapped = [b"", bytes(range(256)), b"\\x00"]
    session.add_all(
        DataKeyRow(
            id=f"dek_{number}", kind="data", wrapped_by="file", wrapped=one, created_at=NOW, finished_at=None, retired_at=NOW
        )
        for number, one in enumerate(wrapped)
    )
    session.flush()
    again = Session(session._link)
    assert [again.get_one(DataKeyRow, f"dek_{number}").wrapped for number in range(3)] == wrapped


def test_a_connection_that_was_lost_while_nobody_used_it_is_replaced(driver: Driver, database_url: str | None) -> None:
    if database_url is None:
        pytest.skip("SQLite's is no connection that could be lost")
    for engine in (driver.writer, driver.reader):
        with engine.connect() as connection, connection.begin():
            driver.link(connection).rows("SELECT 1", {})
    with psycopg.connect(database_url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'exclave'")
    with pytest.raises(DBAPIError) as lost, driver.writer.connect() as connection, connection.begin():
        driver.link(connection).rows("SELECT 1", {})
    assert lost.value.connection_invalidated


def test_a_commit_goes_with_what_was_kept_back(driver: Driver) -> None:
    with driver.writer.connect() as connection, connection.begin():
        link = driver.link(connection)
        session = Session(link)
        session.add_all([token("a"), token("b")])
        session.flush()
        link.commit()
    with driver.reader.connect() as connection, connection.begin():
        assert names(Session(driver.link(connection))) == ["a", "b"]


def test_many_rows_are_one_statement(session: Session) -> None:
    if session._dialect.name != "postgresql":
        pytest.skip("SQLite runs a statement for each row, without leaving the process")
    bulk = Bulk(TokenRow.__table__, session._dialect, [TokenRow.__table__.c.role], [TokenRow.__table__.c.id])  # type: ignore[attr-defined]
    assert bulk.text.startswith("UPDATE token SET role = given.role FROM unnest(")
    assert bulk.bind([{"role": "a", "id": 'b"'}, {"role": None, "id": "c\\"}]) == {
        "role": '{"a",NULL}',
        "key_id": '{"b\\"","c\\\\"}',
    }
