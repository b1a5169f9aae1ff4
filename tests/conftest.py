"""Marks the tests that run real programs, which `scripts/test unit` leaves out; and chooses the database to test with."""

import gc
import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from httpx._config import DEFAULT_TIMEOUT_CONFIG
from hypothesis import HealthCheck, settings
from postgresql import PostgresServer, postgres_server, programs

settings.register_profile("usual", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("usual")  # the same examples each time, however long a loaded machine takes for one

REAL_PROGRAMS = (
    "e2e",
    "provider",
    "agent/airgap/test_airgap.py",
    "agent/build/test_custom.py",
    "agent/build/test_docker_build.py",
    "agent/build/test_helm_chart.py",
    "agent/build/test_kubernetes_manifest.py",
    "agent/bundle/test_bundle.py",
    "agent/engine/test_run_engine.py",
    "agent/install/helm_chart",
    "agent/oci/test_copy.py",
    "agent/oci/test_provenance.py",
    "agent/plugin/test_conformance.py",
    "agent/test_agent_cli.py",
    "agent/test_support_bundle.py",
    "api/backup/test_backup.py",
    "api/cli/test_access_commands.py",
    "api/cli/test_bundle_cli.py",
    "api/cli/test_ims_cli.py",
    "api/cli/test_webhooks_cli.py",
    "api/logins/test_login_command.py",
    "api/registry/test_conformance_of_registries.py",
    "api/registry/test_registry_standalone.py",
    "api/test_contract_of_the_api.py",
    "api/test_life_of_jobs.py",
    "api/test_server_kill.py",
    "deploy",
    "provider_bridge/test_apply.py",
    "provider_bridge/test_errors.py",
    "provider_bridge/test_installed.py",
    "provider_bridge/test_interrupt.py",
    "provider_bridge/test_packaging.py",
)
"""Terraform, agents, servers or other real programs as processes of their own; and two that try out a great deal."""

_WITH_REAL_PROGRAMS = {"account"}
"""Fixtures that do the same: a customer's account has registries, and most of its tests run an engine or plugins."""

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

_HERE = Path(__file__).parent
_FILES = [_HERE / path for path in REAL_PROGRAMS]
_ONCE = [_HERE / "api" / path for path in SAME_ON_ANY_DATABASE]


_ON_THE_CHOSEN_DATABASE = {"postgres_if_chosen", "ims"}
"""Fixtures that everything that depends on `--database` has, by itself or through another one."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if _is_one_of(item, _FILES) or _has_one_of(item, _WITH_REAL_PROGRAMS):
            item.add_marker(pytest.mark.e2e)
    if config.getoption("--database") != "sqlite":  # the rest would do the same as without the option
        others = {item for item in items if _is_one_of(item, _ONCE) or not _has_one_of(item, _ON_THE_CHOSEN_DATABASE)}
        config.hook.pytest_deselected(items=list(others))
        items[:] = [item for item in items if item not in others]


def _is_one_of(item: pytest.Item, paths: list[Path]) -> bool:
    return any(item.path == path or path in item.path.parents for path in paths)


def _has_one_of(item: pytest.Item, fixtures: set[str]) -> bool:
    return not fixtures.isdisjoint(getattr(item, "fixturenames", ()))


_PATIENCE = 60.0
"""Seconds that a test's HTTP call may take. httpx's own 5 s are what a loaded machine exceeds, and then they decide a test."""


def pytest_configure() -> None:
    """A shell that runs the tests in the background has them ignore SIGINT, and with them every program that they start."""
    for part in ("connect", "read", "write", "pool"):
        setattr(DEFAULT_TIMEOUT_CONFIG, part, _PATIENCE)
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
