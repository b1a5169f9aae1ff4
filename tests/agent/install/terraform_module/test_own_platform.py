"""An install agent takes the bundle of its own platform out of an index, under the one signature that covers all."""

import pytest
from customer import Customer
from small_modules import NETWORK, failure_of

from agent.bundle.platform import current_platform
from api.contract.agents import ApplyResult
from api.contract.components import PathSource, Source, TerraformModuleConfig

pytestmark = pytest.mark.anyio

OWN = str(current_platform()).replace("_", "/")
FOREIGN = ["darwin/arm64", "freebsd/amd64"]


async def build_for(account: Customer, platforms: list[str]) -> None:
    folder = account.folder / "source" / "network"
    folder.mkdir(parents=True)
    (folder / "main.tf").write_text(NETWORK + 'terraform {\n  required_version = ">= 1.8"\n}\n')
    source = Source(path=PathSource(path=str(folder)))
    await account.build_of("network", TerraformModuleConfig(source=source, platforms=platforms, bundle_engine="never"))


async def test_an_index_is_deployed_with_the_bundle_of_the_agents_platform(account: Customer) -> None:
    await build_for(account, [FOREIGN[0], OWN])
    applied = await account.deploy("network", {"cidr": "10.0.0.0/8"})
    assert isinstance(applied, ApplyResult)
    assert applied.outputs == {"id": "net-10.0.0.0/8"}


async def test_an_index_without_the_agents_platform_is_refused_before_anything_runs(account: Customer) -> None:
    await build_for(account, FOREIGN)
    await account.sync("network")
    refused = await failure_of(account.run(account.job("plan", "network", {"cidr": "10.0.0.0/8"})))
    assert refused.code == "wrong_platform"
    assert OWN in refused.remedy
