"""Marks the tests that run real programs, which `scripts/test unit` leaves out."""

from pathlib import Path

import pytest

REAL_PROGRAMS = (
    "e2e",
    "agent/bundle/test_bundle.py",
    "agent/engine/test_run_engine.py",
    "agent/install/test_install_terraform.py",
    "agent/oci/test_copy.py",
    "agent/test_agent_cli.py",
    "api/registry/test_registry_standalone.py",
    "api/test_server_kill.py",
    "provider_bridge/test_apply.py",
    "provider_bridge/test_errors.py",
    "provider_bridge/test_installed.py",
    "provider_bridge/test_interrupt.py",
)
"""Terraform, agents, servers or Debian's registry as processes of their own."""

_HERE = Path(__file__).parent
_FILES = [_HERE / path for path in REAL_PROGRAMS]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if any(item.path == file or file in item.path.parents for file in _FILES):
            item.add_marker(pytest.mark.e2e)
