"""Real programs on one machine: IMS, build agent, registries, install agents, Terraform with the installed provider."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from engineer import open_quickstart
from stage import Stage


@pytest.fixture
def vendor(tmp_path: Path) -> Iterator[Stage]:
    """An IMS with its build agent, the provider installed, and the quickstart opened and initialised."""
    stage = Stage(tmp_path / "stage", lease_seconds=4)
    try:
        open_quickstart(stage)
        yield stage
    finally:
        stage.remove()
