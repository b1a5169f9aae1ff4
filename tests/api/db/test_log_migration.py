"""Migration 0007 with data, on both databases."""

from pathlib import Path

from alembic import command
from sqlalchemy import text

from api.db.schema import alembic_config, open_database
from api.settings import Settings

JOB = """INSERT INTO job (id, kind, agent_kind, state, attempt, cancel, created_at)
         VALUES ('job_1', 'sync', 'install', 'succeeded', 1, 'none', '2026-11-21')"""
CHUNK = """INSERT INTO log_chunk (job_id, attempt, seq, "offset", size, received_at)
           VALUES ('job_1', 1, :seq, :seq, 1, '2026-11-21')"""


def test_logs_that_were_files_keep_their_rows_and_newer_ones_go_with_their_column(
    tmp_path: Path, database_url: str | None
) -> None:
    settings = Settings(tmp_path, "http://ims.test", database=database_url or "sqlite")
    driver = open_database(settings)
    with driver.writer.connect() as connection:
        command.downgrade(alembic_config(connection), "0006")
    with driver.writer.begin() as connection:
        connection.execute(text(JOB))
        for seq in range(3):
            connection.execute(text(CHUNK), {"seq": seq})
    open_database(settings).close()
    with driver.writer.begin() as connection:
        assert connection.execute(text("SELECT job_id, bytes, pruned_at FROM job_log")).all() == [("job_1", 3, None)]
        assert connection.execute(text("SELECT COUNT(*) FROM log_chunk WHERE data IS NULL")).scalar() == 3
        connection.execute(text("UPDATE log_chunk SET data = :data WHERE seq = 1"), {"data": b"x"})
    with driver.writer.connect() as connection:
        command.downgrade(alembic_config(connection), "0006")
    with driver.writer.begin() as connection:
        assert connection.execute(text("SELECT seq FROM log_chunk ORDER BY seq")).scalars().all() == [0, 2]
    driver.close()
