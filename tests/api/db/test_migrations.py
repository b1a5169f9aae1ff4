"""The database's schema: what the migrations make is what the models say."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command, op
from sqlalchemy import Engine, inspect

from api.db.database import open_engine
from api.db.schema import alembic_config, metadata, migrate
from api.settings import UnusableDataError


def tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names()) - {"alembic_version"}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "ims.db"


def test_a_fresh_file_gets_every_table_and_is_its_owners_alone(database: Path) -> None:
    migrate(database)
    migrate(database)
    engine = open_engine(database)
    assert tables(engine) == set(metadata.tables)
    assert database.stat().st_mode & 0o777 == 0o600
    engine.dispose()


def test_a_file_of_a_newer_version_or_of_another_program_is_refused_in_words(database: Path) -> None:
    migrate(database)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(UnusableDataError, match="newer Exclave"):
        migrate(database)
    other = database.with_name("notes.txt")
    other.write_text("not a database, but long enough to be taken for the header of one")
    with pytest.raises(UnusableDataError, match="can't be used: file is not a database"):
        migrate(other)


def test_the_migrations_say_the_same_as_the_models(database: Path) -> None:
    migrate(database)
    engine = open_engine(database)
    with engine.connect() as connection:
        command.check(alembic_config(connection))
    engine.dispose()


def test_the_schema_can_be_taken_down_and_up_again(database: Path) -> None:
    migrate(database)
    engine = open_engine(database)
    with engine.connect() as connection:
        command.downgrade(alembic_config(connection), "base")
    assert tables(engine) == set()
    migrate(database)
    assert tables(engine) == set(metadata.tables)
    engine.dispose()


def test_a_migration_that_is_cut_off_leaves_nothing_half_made(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def create_table(*arguments: object, **options: object) -> None:
        made.append(arguments[0])
        if len(made) == 5:
            raise KeyboardInterrupt
        original(*arguments, **options)

    original = op.create_table
    monkeypatch.setattr(op, "create_table", create_table)
    with pytest.raises(KeyboardInterrupt):
        migrate(database)
    monkeypatch.undo()
    migrate(database)
    engine = open_engine(database)
    assert tables(engine) == set(metadata.tables)
    engine.dispose()
