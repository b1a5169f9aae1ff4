"""Where an artifact comes from, and what is in it, as referrers of it: SLSA provenance 1.0, signed, and a CycloneDX 1.6 SBOM.

The provenance names the SBOM by its digest, so the one signature holds both. Neither is part of the artifact: two builds of the
same source have the same digest, and each its own provenance.
"""

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.failure import CodedError
from agent.oci.client import RegistryClient
from agent.oci.digest import hex_of
from agent.oci.dsse import STATEMENT_TYPE, STATEMENT_V1, opened_statement, sealed_statement
from agent.oci.manifest import MANIFEST_BYTES, Descriptor, canonical_json
from agent.oci.referrer import attach
from agent.oci.signature import public_key_of
from agent.oci.vendor_key import VendorKey
from api.contract.base import Json
from api.contract.dsse import ENVELOPE_TYPE, UnsignedError

SBOM_TYPE = "application/vnd.cyclonedx+json"
PROVENANCE_V1 = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "https://exclave.dev/build/v1"
PREDICATE_ANNOTATION = "in-toto.io/predicate-type"
BUILD_ANNOTATION = "dev.exclave.build"

_NAMESPACE = uuid.UUID("6b1f2a0e-5f6b-5d0a-9a55-0c1f8a3b7d11")
"""Of the SBOMs' serial numbers, which are made from the artifact's digest."""


class ProvenanceError(CodedError):
    """The artifact has no provenance that the vendor has signed."""

    code = "provenance_refused"
    remedy = "Ask the vendor to build the component again."


@dataclass(frozen=True)
class Material:
    """Something that went into a build: a provider, an engine, a chart, an image, a library.

    `purl` is its package URL, `sha256` the hex digest of what was fetched, `uri` where from, `commit` the git commit that it
    was; each may be unknown.
    """

    name: str
    version: str = ""
    kind: Literal["application", "container", "file", "library"] = "library"
    purl: str = ""
    sha256: str = ""
    uri: str = ""
    commit: str = ""


@dataclass(frozen=True)
class BuildRecord:
    """One build: what the vendor asked for, what was used, by whom, and when.

    `parameters` is the component's config, in which there are references to secrets and never their values. `source` is where
    the source is from (`git+https://…`), and `revision` its commit, or the digest of a folder; both are empty without a source.
    """

    build_id: str
    name: str
    builder: str
    kind: str
    parameters: Mapping[str, Json]
    source: str
    revision: str
    started: datetime
    finished: datetime
    materials: tuple[Material, ...] = field(default=())


async def attach_provenance(
    client: RegistryClient, repository: str, artifact: Descriptor, key: VendorKey, record: BuildRecord
) -> None:
    """Say where `artifact`, which is in `repository`, comes from: push SBOM and provenance as its referrers.

    A build that is tried again adds nothing. Raises the errors of RegistryClient and of `key`.
    """
    present = (await client.referrers(repository, artifact.digest)).descriptors
    done = {each.artifact_type for each in present if each.annotations.get(BUILD_ANNOTATION) == record.build_id}
    if STATEMENT_TYPE in done:
        return
    about = {BUILD_ANNOTATION: record.build_id}
    bom = canonical_json(sbom(artifact.digest, record))
    # First the SBOM: a provenance that is there is about an SBOM that is there.
    listed = await attach(client, repository, artifact, bom, artifact_type=SBOM_TYPE, media_type=SBOM_TYPE, annotations=about)
    statement = provenance(artifact.digest, record, listed.digest)
    envelope = await asyncio.to_thread(sealed_statement, statement, key)
    await attach(
        client,
        repository,
        artifact,
        envelope,
        artifact_type=STATEMENT_TYPE,
        media_type=ENVELOPE_TYPE,
        annotations=about | {PREDICATE_ANNOTATION: PROVENANCE_V1},
    )


def sbom(digest: str, record: BuildRecord) -> dict[str, Any]:
    """A CycloneDX 1.6 document (https://cyclonedx.org/docs/1.6/json)."""
    root = {
        "type": "application",
        "bom-ref": digest,
        "name": record.name,
        "version": record.revision,
        "hashes": [{"alg": "SHA-256", "content": hex_of(digest)}],
    }
    components = [_component(number, each) for number, each in enumerate(record.materials)]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, digest + record.build_id)}",
        "version": 1,
        "metadata": {
            "timestamp": _time(record.finished),
            "component": root,
            "tools": {"components": [{"type": "application", "name": "exclave"}]},
        },
        "components": components,
        "dependencies": [{"ref": digest, "dependsOn": [each["bom-ref"] for each in components]}],
    }


def _component(number: int, material: Material) -> dict[str, Any]:
    known: dict[str, Any] = {"type": material.kind, "bom-ref": f"{number}:{material.name}", "name": material.name}
    if version := material.version or material.commit:
        known["version"] = version
    if material.purl:
        known["purl"] = material.purl
    if material.sha256:
        known["hashes"] = [{"alg": "SHA-256", "content": material.sha256}]
    if material.uri:
        known["externalReferences"] = [{"type": "distribution", "url": material.uri}]
    return known


def provenance(digest: str, record: BuildRecord, sbom_digest: str) -> dict[str, Any]:
    """An in-toto statement with a SLSA provenance (https://slsa.dev/spec/v1.0/provenance). `sbom_digest` is of its manifest."""
    resolved: list[dict[str, Any]] = []
    if record.source:
        resolved.append({"uri": record.source, "digest": {_revision_kind(record.revision): hex_of(record.revision)}})
    resolved += [
        {
            "name": each.name,
            "uri": each.uri or each.purl or each.name,
            "digest": {"sha256": each.sha256} | ({"gitCommit": each.commit} if each.commit else {}),
        }
        for each in record.materials
        if each.sha256
    ]
    return {
        "_type": STATEMENT_V1,
        "subject": [{"name": record.name, "digest": {"sha256": hex_of(digest)}}],
        "predicateType": PROVENANCE_V1,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"kind": record.kind, "config": dict(record.parameters)},
                "internalParameters": {},
                "resolvedDependencies": resolved,
            },
            "runDetails": {
                "builder": {"id": record.builder},
                "metadata": {
                    "invocationId": record.build_id,
                    "startedOn": _time(record.started),
                    "finishedOn": _time(record.finished),
                },
                "byproducts": [{"name": "sbom", "mediaType": SBOM_TYPE, "digest": {"sha256": hex_of(sbom_digest)}}],
            },
        },
    }


class _Subject(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    digest: dict[str, str]


class _Statement(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    type: Literal["https://in-toto.io/Statement/v1"] = Field(alias="_type")
    subject: list[_Subject]
    predicate_type: str = Field(alias="predicateType")
    predicate: dict[str, Any]


async def read_provenance(client: RegistryClient, repository: str, digest: str, pinned: tuple[str, ...]) -> dict[str, Any]:
    """The predicate of the provenance of `digest` that one of the `pinned` public keys (PEM) has signed.

    Raises ProvenanceError if there is none, and the errors of RegistryClient.
    """
    keys = tuple(public_key_of(pem) for pem in pinned)
    why = "it has none"
    for referrer in (await client.referrers(repository, digest)).descriptors:
        if referrer.artifact_type != STATEMENT_TYPE:
            continue
        body = (await client.get_manifest(repository, referrer.digest)).body()
        if body.subject is None or body.subject.digest != digest or len(body.layers) != 1:
            continue
        layer = body.layers[0]
        if layer.size > MANIFEST_BYTES:
            continue
        try:
            document = opened_statement(await client.read_blob(repository, layer.digest, layer.size), keys)
            statement = _Statement.model_validate(document)
        except (UnsignedError, ValidationError) as error:
            why = str(error) if isinstance(error, UnsignedError) else "it isn't an in-toto statement"
            continue
        if statement.predicate_type != PROVENANCE_V1:
            continue
        if any(subject.digest.get("sha256") == hex_of(digest) for subject in statement.subject):
            return statement.predicate
        why = "it is about another artifact"
    raise ProvenanceError(f"{digest} in {repository} has no provenance by the vendor: {why}")


def _revision_kind(revision: str) -> str:
    return "sha256" if revision.startswith("sha256:") else "gitCommit"


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
