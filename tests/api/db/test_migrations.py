"""The database's schema: what the migrations make is what the models say, on both databases."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from alembic import command, op
from sqlalchemy import Engine, inspect

from api.db.driver import Driver
from api.db.schema import alembic_config, metadata, open_database
from api.settings import Settings, UnusableDataError


def tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names()) - {"alembic_version"}


@pytest.fixture
def settings(tmp_path: Path, database_url: str | None) -> Settings:
    return Settings(tmp_path, "http://ims.test", database=database_url or "sqlite")


@pytest.fixture
def driver(settings: Settings) -> Iterator[Driver]:
    opened = open_database(settings)
    yield opened
    opened.close()


def test_a_fresh_database_gets_every_table(settings: Settings, driver: Driver) -> None:
    open_database(settings).close()
    assert tables(driver.writer) == set(metadata.tables)


def test_a_fresh_file_is_its_owners_alone(settings: Settings) -> None:
    embedded = replace(settings, database="sqlite")
    open_database(embedded).close()
    assert embedded.database_file.stat().st_mode & 0o777 == 0o600


def test_a_file_of_a_newer_version_or_of_another_program_is_refused_in_words(tmp_path: Path) -> None:
    settings = Settings(tmp_path, "http://ims.test")
    open_database(settings).close()
    with closing(sqlite3.connect(settings.database_file)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(UnusableDataError, match="newer Exclave"):
        open_database(settings)
    other = Settings(tmp_path / "other", "http://ims.test")
    other.data.mkdir()
    other.database_file.write_text("not a database, but long enough to be taken for the header of one")
    with pytest.raises(UnusableDataError, match="can't be used: file is not a database"):
        open_database(other)


def test_a_server_that_can_not_be_reached_is_refused_without_its_password(tmp_path: Path) -> None:
    settings = Settings(tmp_path, "http://ims.test", database=f"postgresql://exclave:hidden-word@/ims?host={tmp_path}")
    with pytest.raises(UnusableDataError, match="can't be used: connection") as refused:
        open_database(settings)
    said = str(refused.value)
    assert "hidden-word" not in said
    assert ("\n" in said, "Check host" in said, "Restore" in said) == (False, True, False)


def test_the_migrations_say_the_same_as_the_models(driver: Driver) -> None:
    with driver.writer.connect() as connection:
        command.check(alembic_config(connection))


def test_the_schema_can_be_taken_down_and_up_again(settings: Settings, driver: Driver) -> None:
    with driver.writer.connect() as connection:
        command.downgrade(alembic_config(connection), "base")
    assert tables(driver.writer) == set()
    open_database(settings).close()
    assert tables(driver.writer) == set(metadata.tables)


def test_a_migration_that_is_cut_off_leaves_nothing_half_made(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def create_table(*arguments: object, **options: object) -> None:
        made.append(arguments[0])
        if len(made) == 5:
            raise KeyboardInterrupt
        original(*arguments, **options)

    original = op.create_table
    monkeypatch.setattr(op, "create_table", create_table)
    with pytest.raises(KeyboardInterrupt):
        open_database(settings)
    monkeypatch.undo()
    driver = open_database(settings)
    assert tables(driver.writer) == set(metadata.tables)
    driver.close()
