"""The rows of one transaction: each there once, written together, and read anew where a statement has changed them."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from migrated import open_new
from sqlalchemy import Connection, delete, event, text, update
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlmodel import col, select

from api.apps.models import AppRow
from api.components.models import ComponentRow
from api.db.link import Link, StaleRowError, run
from api.db.pipeline import PipelinedLink
from api.db.schema import metadata
from api.db.session import Session
from api.db.statements import Query, among
from api.deploys import drift, loading
from api.deploys import service as deploys
from api.installs import service as installs
from api.jobs import hot
from api.logins.models import DeviceLoginRow, SessionRow
from api.releases import service as releases
from api.settings import Settings
from api.tokens.models import TokenRow

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NAMED = Query(select(TokenRow).where(among(TokenRow.name, "names")).order_by(col(TokenRow.name)))


@pytest.fixture
def connection(tmp_path: Path, database_url: str | None) -> Iterator[Connection]:
    driver = open_new(Settings(tmp_path, "http://ims.test", database=database_url or "sqlite"))
    with driver.writer.connect() as opened, opened.begin():
        yield opened
    driver.close()


def link(connection: Connection) -> Link:
    """As the driver makes it."""
    return PipelinedLink(connection) if connection.dialect.name == "postgresql" else Link(connection)


@pytest.fixture
def session(connection: Connection) -> Session:
    return Session(link(connection))


def token(name: str) -> TokenRow:
    return TokenRow(id=f"tok_{name}", name=name, role="admin", secret_hash="x", created_at=NOW)


def login(name: str) -> SessionRow:
    return SessionRow(id=name, subject="s", name="n", role="admin", secret_hash="x", created_at=NOW, expires_at=NOW)


def added(connection: Connection, *names: str) -> Session:
    """A new session, with tokens in the database that it doesn't know yet."""
    before = Session(link(connection))
    before.add_all(token(name) for name in names)
    before.flush()
    before.connection()
    return Session(link(connection))


def test_a_row_is_one_object_whichever_query_finds_it(connection: Connection) -> None:
    session = added(connection, "a", "b")
    found = session.get_one(TokenRow, "tok_a")
    assert session.exec(select(TokenRow).where(TokenRow.name == "a")).one() is found
    assert session.all(NAMED, names=["a"]) == [found]
    assert found in session.get_many(TokenRow, ["tok_a", "tok_b", "tok_c", None])
    (both,) = session.exec(select(TokenRow, TokenRow.name).where(TokenRow.name == "a"))
    assert both[0] is found
    assert found.created_at == NOW
    assert session.get(TokenRow, "tok_c") is None


def test_every_table_s_rows_are_read_as_they_were_written(connection: Connection) -> None:
    """The order of a query's columns is that of the table, for each table: rows are put together by it."""
    session = Session(link(connection))
    for mapper in TokenRow._sa_registry.mappers:
        chosen = [column.key for column in select(mapper.class_).selected_columns]
        assert chosen == [column.key for column in mapper.local_table.columns]
        assert session.exec(select(mapper.class_)).all() == []
    assert len(list(TokenRow._sa_registry.mappers)) == len(metadata.tables)


def test_a_query_sees_what_was_added_changed_and_deleted_before_it(session: Session) -> None:
    first, second = token("a"), token("b")
    session.add_all([first, second])
    assert session.all(NAMED, names=["a", "b", "c"]) == [first, second]
    first.name = "c"
    session.delete(second)
    assert session.all(NAMED, names=["a", "b", "c"]) == [first]
    assert session.get(TokenRow, "tok_b") is None
    assert session.exec(select(TokenRow.name)).all() == ["c"]


def test_a_row_that_is_there_already_can_be_added_again(connection: Connection) -> None:
    session = added(connection, "a")
    row = session.get_one(TokenRow, "tok_a")
    row.name = "b"
    session.add(row)
    assert session.exec(select(TokenRow.name)).all() == ["b"]


def test_a_value_that_comes_back_to_what_it_was_is_not_written(connection: Connection) -> None:
    session = added(connection, "a")
    row = session.get_one(TokenRow, "tok_a")
    said: list[str] = []
    event.listen(connection, "before_cursor_execute", lambda *given: said.append(given[2]))
    row.name, row.role = "b", "viewer"
    row.name = "a"
    session.flush()
    assert [statement.split()[0] for statement in said] == ["UPDATE"]
    assert "role" in said[0]
    assert "name" not in said[0]


def test_rows_are_written_after_those_that_they_refer_to(session: Session) -> None:
    session.add(DeviceLoginRow(id="d", device_hash="x", user_hash="x", session_id="s", expires_at=NOW))
    session.add(login("s"))
    session.flush()
    session.delete(session.get_one(SessionRow, "s"))
    session.delete(session.get_one(DeviceLoginRow, "d"))
    session.flush()
    assert session.exec(select(SessionRow)).first() is None


def test_a_savepoint_that_is_left_with_an_exception_never_was(session: Session) -> None:
    session.add(token("a"))
    with pytest.raises(IntegrityError), session.begin_nested():
        session.add_all([token("b"), token("a")])
    assert session.exec(select(TokenRow.name)).all() == ["a"]
    assert session.get(TokenRow, "tok_b") is None
    with session.begin_nested():
        session.add(token("c"))
    assert [row.name for row in session.all(NAMED, names=["a", "b", "c"])] == ["a", "c"]


def test_what_a_statement_changes_is_read_anew(connection: Connection) -> None:
    session = added(connection, "a", "b")
    session.get_many(TokenRow, ["tok_a", "tok_b"])
    session.exec(update(TokenRow).where(col(TokenRow.id) == "tok_a").values(name="c"))
    session.exec(delete(TokenRow).where(col(TokenRow.id) == "tok_b"))
    assert session.get_one(TokenRow, "tok_a").name == "c"
    assert session.get(TokenRow, "tok_b") is None
    with pytest.raises(LookupError):
        session.get_one(TokenRow, "tok_b")


def test_a_change_of_a_row_that_is_gone_is_an_error(connection: Connection) -> None:
    session = added(connection, "a")
    row = session.get_one(TokenRow, "tok_a")
    connection.execute(text("DELETE FROM token"))
    row.name = "b"
    with pytest.raises(StaleRowError, match="token"):
        session.get(TokenRow, "tok_b")


def test_an_outer_join_that_finds_nothing_gives_none(session: Session) -> None:
    session.add(AppRow(id="app_1", name="shop", description="", inputs=[], version=1, created_at=NOW, updated_at=NOW))
    query = select(AppRow, ComponentRow).join(ComponentRow, col(ComponentRow.app_id) == col(AppRow.id), isouter=True)
    assert [(app.name, component) for app, component in session.exec(query)] == [("shop", None)]


def test_a_query_for_any_number_of_texts(connection: Connection) -> None:
    odd = ["", "it's", '"', "ü", "a,b", "{c}", "NULL"]
    session = added(connection, *odd)
    assert [row.name for row in session.all(NAMED, names=[])] == []
    assert {row.name for row in session.all(NAMED, names=[*odd, *(f"other-{n}" for n in range(5000))])} == set(odd)


def test_a_query_for_texts_goes_by_an_index(connection: Connection) -> None:
    of_agents = (hot._LEASED, hot._OFFERED, hot._PLANS, hot._DEPLOYS_OF, hot._STEPS_MOVED, releases._LINKS, releases._LINKED)
    of_deploys = (loading._STEPS, loading._INSTALLED, deploys.UNDER_WAY, drift.UNDER_WAY, installs._BY_NAME)
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL enable_seqscan = off"))  # the tables are empty; what counts is whether it must
    given = {
        "steps": ["a"],
        "jobs": ["a"],
        "releases": ["a"],
        "agents": ["a"],
        "installs": ["a"],
        "deploys": ["a"],
        "names": ["a"],
        "now": NOW,
    }
    for query in (NAMED, *of_agents, *of_deploys):
        command = query.command(connection.dialect)
        explain = "EXPLAIN QUERY PLAN " if connection.dialect.name == "sqlite" else "EXPLAIN "
        plan = [str(line[-1]) for line in run(connection, explain + command.text, command.bind(given)).fetchall()]
        scans = [line for line in plan if (line.startswith("SCAN ") and "json_each" not in line) or "Seq Scan" in line]
        assert not scans, (command.text, plan)


def test_errors_of_the_driver_are_sqlalchemy_s(session: Session, connection: Connection) -> None:
    with pytest.raises(IntegrityError), session.begin_nested():
        session.add(TokenRow(id="tok_a", name=None, role="admin", secret_hash="x", created_at=NOW))
    if connection.dialect.name == "sqlite":
        with pytest.raises(OperationalError, match="no such table"):
            run(connection, "SELECT * FROM no_such_table")
