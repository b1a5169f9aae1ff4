"""SBOM and provenance. Second implementations: securesystemslib reads the envelope, cyclonedx-python-lib judges the SBOM."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from artifacts import RECORD, image
from registry_server import RegistryServer
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

from agent.oci.client import RegistryClient
from agent.oci.copy import copy_artifact
from agent.oci.digest import hex_of
from agent.oci.dsse import STATEMENT_TYPE, key_id
from agent.oci.manifest import Descriptor
from agent.oci.provenance import (
    SBOM_TYPE,
    ProvenanceError,
    attach_provenance,
    provenance,
    read_provenance,
    sbom,
)
from agent.oci.referrer import attach
from agent.oci.shape import Fields
from agent.oci.vendor_key import VendorKey

pytestmark = pytest.mark.anyio


@pytest.fixture
def key(tmp_path: Path) -> VendorKey:
    return VendorKey.load_or_create(tmp_path / "key.pem")


@pytest.fixture
def other_key(tmp_path: Path) -> VendorKey:
    return VendorKey.load_or_create(tmp_path / "other.pem")


async def built(client: RegistryClient, content: bytes = b"artifact") -> Descriptor:
    return Descriptor.of(Fields(await image(client, "acme/app", content)))


async def referrers(client: RegistryClient, digest: str, repository: str = "acme/app") -> dict[str | None, Descriptor]:
    return {each.artifact_type: each for each in (await client.referrers(repository, digest)).descriptors}


async def layer(client: RegistryClient, digest: str, repository: str = "acme/app") -> bytes:
    (only,) = (await client.get_manifest(repository, digest)).body().layers
    return await client.read_blob(repository, only.digest, only.size)


async def test_a_build_says_where_it_comes_from(target: RegistryServer, key: VendorKey) -> None:
    client = target.client()
    artifact = await built(client)
    await attach_provenance(client, "acme/app", artifact, key, RECORD)
    predicate = await read_provenance(client, "acme/app", artifact.digest, (key.public_pem,))
    assert predicate["runDetails"]["metadata"] == {
        "invocationId": "bld_1",
        "startedOn": "2026-11-01T12:00:00Z",
        "finishedOn": "2026-11-01T12:00:09Z",
    }
    assert predicate["buildDefinition"]["resolvedDependencies"][0]["digest"] == {"gitCommit": RECORD.revision}
    found = await referrers(client, artifact.digest)
    assert predicate["runDetails"]["byproducts"][0]["digest"] == {"sha256": hex_of(found[SBOM_TYPE].digest)}
    assert json.loads(await layer(client, found[SBOM_TYPE].digest)) == sbom(artifact.digest, RECORD)


async def test_a_build_that_is_tried_again_adds_nothing(target: RegistryServer, key: VendorKey) -> None:
    client = target.client()
    artifact = await built(client)
    await attach_provenance(client, "acme/app", artifact, key, RECORD)
    before = await client.referrers("acme/app", artifact.digest)
    await attach_provenance(client, "acme/app", artifact, key, RECORD)
    assert await client.referrers("acme/app", artifact.digest) == before


async def test_provenance_travels_with_a_ticket_for_the_artifact(
    vendor: RegistryServer, customer: RegistryServer, key: VendorKey
) -> None:
    artifact = await built(vendor.client())
    await attach_provenance(vendor.client(), "acme/app", artifact, key, RECORD)
    ticket = vendor.client(vendor.ticket(digests=frozenset({artifact.digest})))
    ends = {"source_repository": "acme/app", "target_repository": "mirror/app"}
    await copy_artifact(ticket, customer.client(), digest=artifact.digest, **ends)
    assert await read_provenance(customer.client(), "mirror/app", artifact.digest, (key.public_pem,))


async def test_another_library_agrees_with_the_signature(vendor: RegistryServer, key: VendorKey, other_key: VendorKey) -> None:
    client = vendor.client()
    artifact = await built(client)
    await attach_provenance(client, "acme/app", artifact, key, RECORD)
    found = (await referrers(client, artifact.digest))[STATEMENT_TYPE]
    envelope = Envelope.from_dict(json.loads(await layer(client, found.digest)))
    theirs, others = (SSlibKey.from_crypto(each.public_key, keyid=key_id(key.public_key)) for each in (key, other_key))
    assert list(envelope.verify([theirs], 1)) == [key_id(key.public_key)]
    with pytest.raises(VerificationError):
        envelope.verify([others], 1)
    assert envelope.payload_type == "application/vnd.in-toto+json"
    assert json.loads(envelope.payload)["subject"][0]["digest"] == {"sha256": hex_of(artifact.digest)}


def test_another_library_finds_the_sbom_valid() -> None:
    outputs = pytest.importorskip("cyclonedx.schema", reason="cyclonedx-python-lib isn't installed")
    validation = pytest.importorskip("cyclonedx.validation.json")
    judge = validation.JsonStrictValidator(outputs.SchemaVersion.V1_6)
    assert judge.validate_str(json.dumps(sbom("sha256:" + "0" * 64, RECORD))) is None
    wrong = sbom("sha256:" + "0" * 64, RECORD) | {"components": [{"name": "no type"}]}
    assert judge.validate_str(json.dumps(wrong)) is not None


def test_the_statement_has_what_slsa_demands() -> None:
    """https://slsa.dev/spec/v1.0/provenance: the fields that are required, and the timestamps of RFC 3339."""
    statement: dict[str, Any] = provenance("sha256:" + "0" * 64, RECORD, "sha256:" + "1" * 64)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    definition, run = statement["predicate"]["buildDefinition"], statement["predicate"]["runDetails"]
    assert definition["buildType"].startswith("https://")
    assert definition["externalParameters"]["config"] == RECORD.parameters
    assert all(each["uri"] and each["digest"] for each in definition["resolvedDependencies"])
    assert run["builder"]["id"]
    assert datetime.fromisoformat(run["metadata"]["startedOn"]) == RECORD.started


async def test_no_provenance_is_refused(vendor: RegistryServer, key: VendorKey) -> None:
    artifact = await built(vendor.client())
    with pytest.raises(ProvenanceError, match="none") as refused:
        await read_provenance(vendor.client(), "acme/app", artifact.digest, (key.public_pem,))
    assert refused.value.failure.code == "provenance_refused"


async def test_provenance_by_another_key_is_refused(vendor: RegistryServer, key: VendorKey, other_key: VendorKey) -> None:
    artifact = await built(vendor.client())
    await attach_provenance(vendor.client(), "acme/app", artifact, other_key, RECORD)
    with pytest.raises(ProvenanceError, match="vendor's key"):
        await read_provenance(vendor.client(), "acme/app", artifact.digest, (key.public_pem,))


async def test_provenance_of_another_artifact_is_refused(vendor: RegistryServer, key: VendorKey) -> None:
    client = vendor.client()
    good, bad = await built(client, b"good"), await built(client, b"bad")
    await attach_provenance(client, "acme/app", good, key, RECORD)
    stolen = await layer(client, (await referrers(client, good.digest))[STATEMENT_TYPE].digest)
    await attach(client, "acme/app", bad, stolen, artifact_type=STATEMENT_TYPE, media_type="x/y", annotations={})
    with pytest.raises(ProvenanceError, match="another artifact"):
        await read_provenance(client, "acme/app", bad.digest, (key.public_pem,))


@pytest.mark.parametrize("content", [b"{}", b"no json", b'{"payload":"!","payloadType":"x","signatures":[]}'])
async def test_what_is_no_envelope_is_refused(vendor: RegistryServer, key: VendorKey, content: bytes) -> None:
    artifact = await built(vendor.client())
    await attach(vendor.client(), "acme/app", artifact, content, artifact_type=STATEMENT_TYPE, media_type="x/y", annotations={})
    with pytest.raises(ProvenanceError):
        await read_provenance(vendor.client(), "acme/app", artifact.digest, (key.public_pem,))
