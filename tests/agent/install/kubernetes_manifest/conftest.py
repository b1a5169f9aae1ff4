from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from customer import Customer
from fake_kubernetes.server import FakeKubernetes


@pytest.fixture
def kubernetes() -> Iterator[FakeKubernetes]:
    with FakeKubernetes() as running:
        yield running


@pytest.fixture
def shop(account: Customer, kubernetes: FakeKubernetes, tmp_path: Path) -> Customer:
    """The customer's account with a cluster."""
    account.site = replace(account.site, kubeconfig=kubernetes.kubeconfig(tmp_path / "kubeconfig", namespace="kube-system"))
    return account
