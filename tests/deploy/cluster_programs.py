"""The real programs that render what goes into a cluster. tests/agent/build/helm_program.py says where helm can be had."""

import os
import shutil

import pytest


def program(name: str) -> str:
    """`helm` or `kubectl`, from PATH or the variable EXCLAVE_HELM or EXCLAVE_KUBECTL; without one the test is skipped."""
    variable = f"EXCLAVE_{name.upper()}"
    found = shutil.which(os.environ.get(variable) or name)
    if found is None:
        pytest.skip(f"{name} is not installed (put it on PATH, or name it in {variable})")
    return found
