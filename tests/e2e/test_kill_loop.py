"""`kill -9` of the IMS and the agents at random points, under load: nothing lost, nothing applied twice, nothing left open.

`pytest tests/e2e/test_kill_loop.py --kills 100 --seed 7 -s` kills more often, and prints the figures.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kill_loop import KillLoop
from postgresql import PostgresServer, postgres_server, programs


@contextmanager
def opened(folder: Path, seed: int, postgres: PostgresServer | None = None) -> Iterator[KillLoop]:
    loop = KillLoop(folder, seed, postgres)
    try:
        loop.open()
        yield loop
    finally:
        loop.close()


def run(loop: KillLoop, kills: int) -> None:
    work = loop.begin_load()
    loop.kill_at_random(kills)
    loop.end_load(work)
    loop.verify()
    print(loop.figures())
    assert len(loop.written) > kills


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> int:
    found: int = request.config.getoption("--kills")
    return found


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    given: int | None = request.config.getoption("--seed")
    chosen = given if given is not None else random.randrange(1_000_000)
    print(f"--seed {chosen}")
    return chosen


@pytest.mark.timeout(1800)
def test_kills_at_random_points_lose_nothing(tmp_path: Path, kills: int, seed: int) -> None:
    with opened(tmp_path / "loop", seed) as loop:
        run(loop, kills)


@pytest.mark.timeout(1800)
def test_kills_at_random_points_lose_nothing_with_postgresql(tmp_path: Path, kills: int, seed: int) -> None:
    if programs() is None:
        pytest.skip("no PostgreSQL server is installed")
    with postgres_server(durable=True) as postgres, opened(tmp_path / "loop", seed, postgres) as loop:
        run(loop, kills)
