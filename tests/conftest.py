"""Marks each test with its kind (see `kinds`), chooses the database to test with, and leaves each test a usual process."""

import gc
import logging
import os
import signal
import ssl
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import httpx._transports.default
import pytest
from httpx._config import DEFAULT_TIMEOUT_CONFIG, create_ssl_context
from hypothesis import HealthCheck, settings
from kinds import Guard, has_one_of, is_elsewhere, is_in, mark
from postgresql import PostgresServer, postgres_server, programs

settings.register_profile("usual", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("usual")  # the same examples each time, however long a loaded machine takes for one

SAME_ON_ANY_DATABASE = (
    "access/test_rate_limits.py",
    "access/test_streams_end.py",
    "cli/test_bundle_cli.py",
    "installs/test_regions.py",
    "installs/test_render_install.py",
    "jobs/test_log_stream.py",
    "monitoring/test_log.py",
    "monitoring/test_traces.py",
    "secrets/test_kms.py",
    "terraform_registry",
    "test_ims_client.py",
    "test_openapi.py",
)
"""Tests with an IMS whose subject is in front of the database or beside it: once, on SQLite, is enough."""

_ONCE = {Path(__file__).parent / "api" / path for path in SAME_ON_ANY_DATABASE}

_ON_THE_CHOSEN_DATABASE = {"postgres_if_chosen", "ims"}
"""Fixtures that everything that depends on `--database` has, by itself or through another one."""


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses among the marks
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        mark(item)
    if config.getoption("--database") != "sqlite":  # the rest would do the same as without the option
        others = {item for item in items if is_in(item.path, _ONCE) or not has_one_of(item, _ON_THE_CHOSEN_DATABASE)}
        config.hook.pytest_deselected(items=list(others))
        items[:] = [item for item in items if item not in others]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Importing files takes longer than many tests: with `-m unit`, those that have no unit test are left out at once."""
    return True if config.option.markexpr == "unit" and is_elsewhere(collection_path) else None


_guard = Guard()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    return (yield from _guard.watch(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    return (yield from _guard.watch(item))


_PATIENCE = 60.0
"""Seconds that a test's HTTP call may take. httpx's own 5 s are what a loaded machine exceeds, and then they decide a test."""


def _authorities() -> tuple[str | None, str | None]:
    """Where the environment says that the authorities are which everybody trusts."""
    return os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")


_trusted: dict[bool, ssl.SSLContext] = {}
_usual_authorities = _authorities()


def _context(verify: Any = True, cert: Any = None, trust_env: bool = True) -> ssl.SSLContext:
    """What httpx makes for each client: reading the authorities that everybody trusts takes 20 ms, so it is done once."""
    if verify is not True or cert or (trust_env and _authorities() != _usual_authorities):
        return create_ssl_context(verify, cert, trust_env)
    if trust_env not in _trusted:
        _trusted[trust_env] = create_ssl_context(verify, cert, trust_env)
    return _trusted[trust_env]


def pytest_configure() -> None:
    """A shell that runs the tests in the background has them ignore SIGINT, and with them every program that they start."""
    for part in ("connect", "read", "write", "pool"):
        setattr(DEFAULT_TIMEOUT_CONFIG, part, _PATIENCE)
    httpx._transports.default.create_ssl_context = _context
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--database", choices=("sqlite", "postgresql"), default="sqlite", help="what the IMS keeps its data in")
    parser.addoption("--cases", type=int, default=1500, help="how many odd requests the API is sent at least")
    parser.addoption("--examples", type=int, default=10, help="how many lives of jobs and deploys are tried out")
    parser.addoption("--kills", type=int, default=5, help="how often the kill loop kills")
    parser.addoption("--seed", type=int, help="what the kill loop's choices are made from; printed, else chosen at random")


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    """Commands that are run in this process narrow it for all that comes later."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture(autouse=True)
def usual_log() -> Iterator[None]:
    """Commands that are run in this process send its log elsewhere, and choose what is in it, for all that comes later."""
    root = logging.getLogger()
    handlers = root.handlers[:]
    loggers = [root, *(one for one in logging.root.manager.loggerDict.values() if isinstance(one, logging.Logger))]
    levels = {logger: logger.level for logger in loggers}
    yield
    root.handlers[:] = [handler for handler in root.handlers if handler in handlers]
    for logger, level in levels.items():
        if logger.level != level:
            logger.setLevel(level)


@pytest.fixture(autouse=True)
def usual_interpreter() -> Iterator[None]:
    """A server that is run in this process sets these for one that does nothing else: garbage stays for long."""
    thresholds, interval = gc.get_threshold(), sys.getswitchinterval()
    yield
    gc.set_threshold(*thresholds)
    sys.setswitchinterval(interval)


@pytest.fixture(autouse=True)
def no_power_failures(request: pytest.FixtureRequest) -> Iterator[None]:
    """A unit test doesn't wait for the disk: what is written is there for all who look, until the machine stops."""
    flush = os.fsync
    if request.node.get_closest_marker("unit"):
        os.fsync = lambda file: os.fstat(file) and None  # type: ignore[assignment]
    yield
    os.fsync = flush


@pytest.fixture(autouse=True)
def own_cloud_credentials() -> Iterator[None]:
    """boto3 keeps those that it has found for the whole process, and with them one test's for all that come later."""
    yield
    if boto3 := sys.modules.get("boto3"):
        boto3.DEFAULT_SESSION = None


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server of this test process's own."""
    if programs() is None:
        pytest.skip("no PostgreSQL server is installed")
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_if_chosen(request: pytest.FixtureRequest) -> PostgresServer | None:
    """The server with `--database postgresql`; else None."""
    if request.config.getoption("--database") == "sqlite":
        return None
    server: PostgresServer = request.getfixturevalue("postgres")
    return server


@pytest.fixture
def database_url(postgres_if_chosen: PostgresServer | None) -> Iterator[str | None]:
    """A new, empty database; None is SQLite."""
    if postgres_if_chosen is None:
        yield None
        return
    url = postgres_if_chosen.new_database()
    yield url
    postgres_if_chosen.drop(url)
