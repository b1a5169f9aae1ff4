"""What kind of test each one is: `unit`, `service` or `e2e`. Its place and its fixtures say so, or a mark on what differs.

`unit` is the rest: what happens in the test's own process, servers on loopback included, within half a second of a quiet
machine. A unit test that starts a program fails, in whatever run: so it can't be one unnoticed. What takes longer shows in
`scripts/test unit --durations=20`.
"""

import sys
from collections.abc import Generator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

E2E = (
    "deploy",
    "e2e",
    "provider",
    "agent/airgap/test_airgap.py",
    "agent/test_agent_cli.py",
    "api/test_life_of_jobs.py",
    "api/test_server_kill.py",
    "provider_bridge/test_apply.py",
    "provider_bridge/test_drift_and_imports.py",
    "provider_bridge/test_errors.py",
    "provider_bridge/test_installed.py",
    "provider_bridge/test_interrupt.py",
    "provider_bridge/test_packaging.py",
)
"""The IMS, agents or the provider as processes of their own, or with Terraform; and one that tries out a great deal."""

SERVICE = (
    "agent/build/test_build_provenance.py",
    "agent/build/test_container_image.py",
    "agent/build/test_custom.py",
    "agent/build/test_docker_build.py",
    "agent/build/test_git_logins.py",
    "agent/build/test_helm_chart.py",
    "agent/build/test_image_verification.py",
    "agent/build/test_kubernetes_manifest.py",
    "agent/build/test_registry_logins.py",
    "agent/build/test_several_platforms.py",
    "agent/build/test_source.py",
    "agent/build/test_ticket_logins.py",
    "agent/bundle/test_bundle.py",
    "agent/doctor/test_doctor.py",
    "agent/engine/test_find_engine.py",
    "agent/engine/test_run_engine.py",
    "agent/install/helm_chart",
    "agent/kubernetes/test_fake_kubernetes.py",
    "agent/oci/test_copy.py",
    "agent/oci/test_provenance.py",
    "agent/plugin",
    "agent/policy/test_rego.py",
    "agent/sandbox/test_sandbox.py",
    "agent/test_agent_disk.py",
    "agent/test_closed_memory.py",
    "agent/test_idle_agent.py",
    "agent/test_offline.py",
    "agent/test_support_bundle.py",
    "agent/update/test_supervisor.py",
    "api/backup/test_backup.py",
    "api/cli/test_access_commands.py",
    "api/cli/test_bundle_cli.py",
    "api/cli/test_events_cli.py",
    "api/cli/test_ims_cli.py",
    "api/cli/test_registry_cli.py",
    "api/cli/test_secrets_cli.py",
    "api/cli/test_sign_releases_cli.py",
    "api/cli/test_webhooks_cli.py",
    "api/logins/test_login_command.py",
    "api/registry/test_conformance_of_blobs.py",
    "api/registry/test_conformance_of_manifests.py",
    "api/registry/test_registry_interop.py",
    "api/registry/test_registry_s3.py",
    "api/registry/test_registry_standalone.py",
    "api/test_contract_of_the_api.py",
    "api/test_tls.py",
    "api/tickets/test_registry_front.py",
    "provider_bridge/test_other_pythons.py",
    "provider_bridge/test_start.py",
)
"""A real program beside the test: a registry, git, an engine, a part of ours; or two that try out a great deal."""

_WITH_PROGRAMS = {"account", "aws_endpoint", "debian", "engine", "postgres", "s3_endpoint"}
"""Fixtures that make a test one of service: a customer's account has an engine, the others are servers of their own."""

_MARKS = ("unit", "service", "e2e")
_HERE = Path(__file__).parent
_PLACES = [("e2e", {_HERE / path for path in E2E}), ("service", {_HERE / path for path in SERVICE})]
_STARTS = {"subprocess.Popen", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"}


def mark(item: pytest.Item) -> None:
    """Give a test the mark of its kind, unless it has one."""
    if not any(item.get_closest_marker(name) for name in _MARKS):
        item.add_marker(_kind(item))


def is_elsewhere(path: Path) -> bool:
    """Whether no test of a file or folder is one of `unit`."""
    return _by_place(path) is not None


def is_in(path: Path, places: set[Path]) -> bool:
    """Whether a file or folder is one of these, or in one."""
    return not places.isdisjoint([path, *path.parents])


@cache  # it is asked of each test, of which a file has many
def _by_place(path: Path) -> str | None:
    return next((kind for kind, places in _PLACES if is_in(path, places)), None)


def has_one_of(item: pytest.Item, fixtures: set[str]) -> bool:
    """Whether a test has one of these fixtures, by itself or through another one."""
    return not fixtures.isdisjoint(getattr(item, "fixturenames", ()))


def _kind(item: pytest.Item) -> str:
    if kind := _by_place(item.path):
        return kind
    with_server = item.config.getoption("--database") != "sqlite"
    return "service" if with_server or has_one_of(item, _WITH_PROGRAMS) else "unit"


class Guard:
    """Refuses programs to a unit test. Not while it ends: what other tests share may end with it."""

    def __init__(self) -> None:
        self._test = ""
        self._refused: list[str] = []
        sys.addaudithook(self._hear)

    def watch(self, item: pytest.Item) -> Generator[None, object, object]:
        """Stands around a step of a test. Raises pytest's failure if it was refused a program and took no notice."""
        self._test = item.nodeid if item.get_closest_marker("unit") else ""
        self._refused.clear()
        try:
            result = yield
        finally:
            self._test = ""
        if self._refused:
            pytest.fail(self._refused[0], pytrace=False)
        return result

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._test and event in _STARTS:
            self._refused.append(f"{self._test} starts {arguments[:2]}, so it is no unit test: tests/kinds.py has the others")
            raise RuntimeError(self._refused[-1])
