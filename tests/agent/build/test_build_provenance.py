"""Every build says where it comes from. securesystemslib reads the envelope, cyclonedx-python-lib judges the SBOM."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from build_job import BuildAgent
from images import push_image
from registry_server import RegistryServer
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey

from agent.build.materials import record_of
from agent.engine.find import EngineNotFoundError, find_engine
from agent.oci.copy import copy_artifact
from agent.oci.digest import hex_of
from agent.oci.dsse import STATEMENT_TYPE, key_id
from agent.oci.provenance import SBOM_TYPE, read_provenance
from agent.oci.vendor_key import VendorKey
from api.contract.agents import BuildJob, RegistryAccess
from api.contract.components import (
    ComponentConfig,
    ContainerImageConfig,
    CustomConfig,
    GitSource,
    KubernetesManifestConfig,
    PathSource,
    Source,
    TerraformModuleConfig,
)
from api.contract.image_sources import PublicImage

pytestmark = pytest.mark.anyio

CANARY = "canary-provenance-8"
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


async def config_of(kind: str, folder: Path, debian: RegistryServer) -> ComponentConfig:
    """A component of this kind, made of what lies in `folder`."""
    host = debian.url.removeprefix("http://")
    await push_image(debian, "team/web", "1")
    match kind:
        case "container_image":
            return ContainerImageConfig(public=PublicImage(image_url=f"{host}/team/web", tag="1"))
        case "kubernetes_manifest":
            return KubernetesManifestConfig(manifest=f"kind: Pod\nspec:\n  containers:\n  - image: {host}/team/web:1\n")
        case "custom":
            (folder / "run.sh").write_text(f'#!/bin/sh\necho \'{{"name": "page", "images": ["{host}/team/web:1"]}}\'\n')
            return CustomConfig(source=Source(path=PathSource(path=str(folder))), command=["sh", "run.sh"], interface="json")
    (folder / "main.tf").write_text('resource "terraform_data" "a" {}\n')
    return TerraformModuleConfig(source=Source(path=PathSource(path=str(folder))))


@pytest.mark.parametrize("kind", ["container_image", "kubernetes_manifest", "custom", "terraform_module"])
async def test_a_build_of_any_kind_has_provenance_that_travels(
    kind: str,
    build_agent: BuildAgent,
    tmp_path: Path,
    key: VendorKey,
    vendor: RegistryServer,
    debian: RegistryServer,
    customer: RegistryServer,
) -> None:
    (tmp_path / "src").mkdir()
    config = await config_of(kind, tmp_path / "src", debian)
    try:
        engine = find_engine(None, os.environ) if kind == "terraform_module" else None
    except EngineNotFoundError as error:
        pytest.skip(str(error))
    result = await build_agent.builds("acme/app", engine)(config)
    digest = result.artifact.digest
    ends = {"source_repository": "acme/app", "target_repository": "shop/app"}
    ticket = vendor.ticket(digests=frozenset({digest}))
    await copy_artifact(vendor.client(ticket), customer.client(), digest=digest, **ends)

    predicate = await read_provenance(customer.client(), "shop/app", digest, (key.public_pem,))

    assert predicate["buildDefinition"]["externalParameters"]["kind"] == kind
    assert predicate["runDetails"]["metadata"]["invocationId"] == "bld_1"
    documents = await referrers(customer, digest)
    envelope = Envelope.from_dict(documents[STATEMENT_TYPE])
    theirs = SSlibKey.from_crypto(key.public_key, keyid=key_id(key.public_key))  # type: ignore[attr-defined]
    assert list(envelope.verify([theirs], 1)) == [key_id(key.public_key)]
    assert json.loads(envelope.payload)["subject"] == [{"name": "acme/app", "digest": {"sha256": hex_of(digest)}}]
    assert documents[SBOM_TYPE]["metadata"]["component"]["hashes"] == [{"alg": "SHA-256", "content": hex_of(digest)}]
    assert documents[SBOM_TYPE]["components"]
    images = [each for each in documents[SBOM_TYPE]["components"] if each["type"] == "container"]
    if kind != "terraform_module":
        web = await debian.client().get_manifest("team/web", "1")
        assert [each["hashes"][0]["content"] for each in images] == [hex_of(web.digest)]
        assert images[0]["purl"].startswith(f"pkg:oci/web@{web.digest.replace(':', '%3A')}?repository_url=")
    judged(documents[SBOM_TYPE])


async def test_provenance_changes_nothing_in_the_artifact(
    build_agent: BuildAgent, tmp_path: Path, vendor: RegistryServer, debian: RegistryServer
) -> None:
    (tmp_path / "src").mkdir()
    config = await config_of("custom", tmp_path / "src", debian)
    build = build_agent.builds("acme/app")
    first = await build(config)
    there = await vendor.client().referrers("acme/app", first.artifact.digest)
    assert (await build(config)).artifact == first.artifact
    assert await vendor.client().referrers("acme/app", first.artifact.digest) == there
    assert len(there.descriptors) == 2


def test_provenance_tells_no_password() -> None:
    url = f"https://me:{CANARY}@git.example.com/acme/product.git"
    access = RegistryAccess(url="https://r.example.com", repository="acme/net", username="writer", password=CANARY)
    config = TerraformModuleConfig(source=Source(git=GitSource(url=url, ref="main")))
    job = BuildJob(build_id="bld_1", app="acme", component="net", config=config, registry=access)
    record = record_of(job, "0" * 40, (), NOW, NOW)
    assert record.source == "git+https://git.example.com/acme/product.git"
    assert CANARY not in repr(record)


async def referrers(server: RegistryServer, digest: str) -> dict[str | None, Any]:
    client = server.client()
    found = {}
    for each in (await client.referrers("shop/app", digest)).descriptors:
        (layer,) = (await client.get_manifest("shop/app", each.digest)).body().layers
        found[each.artifact_type] = json.loads(await client.read_blob("shop/app", layer.digest, layer.size))
    return found


def judged(sbom: dict[str, Any]) -> None:
    """By cyclonedx-python-lib, where it is installed."""
    try:
        from cyclonedx.schema import SchemaVersion
        from cyclonedx.validation.json import JsonStrictValidator
    except ImportError:
        return
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(sbom)) is None
