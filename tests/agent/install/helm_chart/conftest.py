import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from charts import Cluster
from customer import Customer
from fake_kubernetes.server import FakeKubernetes
from helm_program import helm, helm3


@pytest.fixture
def kubernetes() -> Iterator[FakeKubernetes]:
    with FakeKubernetes() as fake:
        yield fake


@pytest.fixture
def program(request: pytest.FixtureRequest) -> str:
    """Helm 4, unless the test asks for another."""
    return helm3() if getattr(request, "param", "") == "helm 3" else helm()


@pytest.fixture
def cluster(account: Customer, kubernetes: FakeKubernetes, program: str, tmp_path: Path) -> Cluster:
    """The customer's account with a cluster."""
    kubeconfig = kubernetes.kubeconfig(tmp_path / "kubeconfig")
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "EXCLAVE_HELM": program}
    account.site = replace(account.site, kubeconfig=kubeconfig, env=env)
    return Cluster(account, kubernetes, tmp_path / "chart", program, kubeconfig)
