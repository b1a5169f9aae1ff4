"""Real programs for the tests of charts and manifests: those that the agent's variables name, `tests/programs/setup` has put
into `.build/programs`, or PATH has.
"""

import os
import shutil
from pathlib import Path

import pytest

_FOLDER = Path(__file__).parents[1] / ".build" / "programs"


def helm() -> str:
    """The helm binary; without one the test is skipped."""
    return _program("helm", "EXCLAVE_HELM")


def helm3() -> str:
    """A helm 3; without one the test is skipped."""
    return _program("helm3", "EXCLAVE_HELM3")


def kubectl() -> str:
    """The kubectl binary; without one the test is skipped."""
    return _program("kubectl", "EXCLAVE_KUBECTL")


def _program(name: str, variable: str) -> str:
    places = os.pathsep.join([str(_FOLDER), os.environ["PATH"]])
    found = shutil.which(os.environ.get(variable) or name, path=places)
    if found is None:
        pytest.skip(f"{name} is not installed (run tests/programs/setup, put it on PATH, or name it in {variable})")
    return found
