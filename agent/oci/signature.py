"""Signatures of artifacts: cosign's simple signing with an ECDSA P-256 key of the vendor's.

The signature of the manifest `sha256:<hex>` is a layer of the manifest at the tag `sha256-<hex>.sig` (sigstore's signature
specification): its blob is a payload that names the digest, its annotation is the signature over that payload. Other people's
signatures may be layers beside it, and more of the same key's with other claims. `cosign verify --key …
--insecure-ignore-tlog=true` and skopeo check the same thing.
"""

import asyncio
import base64
import binascii
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Literal
from weakref import WeakValueDictionary

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.failure import CodedError
from agent.oci.digest import SIGNATURE_SUFFIX, digest_of, tag_of
from agent.oci.errors import TagMovedError
from agent.oci.manifest import Descriptor, Manifest
from agent.oci.push import push_bytes
from agent.oci.signature_manifest import SIGNATURE_ANNOTATION, manifest_of
from agent.oci.store import ManifestStore, Signable, Writable
from agent.oci.vendor_key import VendorKey

PAYLOAD_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"

_SIGNATURE_OF = "cosign container image signature"
_PAYLOAD_BYTES = 64 * 1024
_SIGNING_TRIES = 20
"""An agent has at most 64 slots, and of all that sign one manifest at once, one gets through each time."""

_at_work: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
"""What is being signed in this process now. A lock goes with the last one who holds or waits for it."""


class SignatureError(CodedError):
    """The artifact must not be used: nobody whom this side trusts has signed its digest. `reason` says in which way."""

    code = "signature_refused"
    remedy = "Ask the vendor to build the component again with the key that this install has pinned."

    def __init__(self, message: str, reason: Literal["unsigned", "other_key", "other_digest", "other_claims"]) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Signed:
    """One signature's worth. `claims` is what was signed along with the digest; `key` (PEM) who signed, if it is good."""

    verdict: Literal["good", "other_key", "other_digest"]
    key: str = ""
    claims: Mapping[str, str] = field(default_factory=dict)

    def makes(self, claims: Mapping[str, str]) -> bool:
        """Whether it is good and has all these claims."""
        return self.verdict == "good" and claims.items() <= self.claims.items()


class _Named(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class _Image(_Named):
    digest: str = Field(alias="docker-manifest-digest")


class _Critical(_Named):
    image: _Image
    type: str


class _Payload(_Named):
    critical: _Critical
    optional: dict[str, object] | None = None


async def sign(
    client: Signable,
    repository: str,
    digest: str,
    key: VendorKey,
    docker_reference: str,
    claims: Mapping[str, str] | None = None,
) -> bool:
    """Sign `digest` and store the signature beside it; False if one by this key with these claims was there already.

    `docker_reference` names the repository for people and policies (`host/repository`). Other signatures stay, also those that
    come meanwhile: two builds that made the same bytes for two configs sign them at once. Raises TagMovedError if that goes on.

    Only a registry that keeps to `If-Match`, as the built-in one does, sees what another process writes meanwhile; in this one,
    whoever signs the same thing waits.
    """
    lock = _at_work.setdefault((repository, digest), asyncio.Lock())
    async with lock:
        return await _sign(client, repository, digest, key, docker_reference, claims)


async def _sign(
    client: Signable, repository: str, digest: str, key: VendorKey, docker_reference: str, claims: Mapping[str, str] | None
) -> bool:
    tries = _SIGNING_TRIES
    while True:
        present = await client.find_manifest(repository, tag_of(digest, SIGNATURE_SUFFIX))
        if present is not None:
            async for signed in _judge(client, repository, digest, present, {key.public_pem: key.public_key}):
                if signed.makes(claims or {}):
                    return False
        tries -= 1
        try:
            await put_signature(client, repository, digest, key, docker_reference, claims, beside=present)
        except TagMovedError:
            if not tries:
                raise
        else:
            return True


async def put_signature(
    client: Writable,
    repository: str,
    digest: str,
    key: VendorKey,
    docker_reference: str,
    claims: Mapping[str, str] | None = None,
    *,
    beside: Manifest | None = None,
) -> None:
    """Sign `digest`, as `sign` does, and store the signature `beside` those that were found there.

    Raises TagMovedError if others are there by now, and changes nothing.
    """
    payload = _payload(digest, docker_reference, claims or {})
    signature = base64.b64encode(await asyncio.to_thread(key.sign, payload)).decode()
    layer = Descriptor(
        media_type=PAYLOAD_TYPE,
        digest=digest_of(payload),
        size=len(payload),
        annotations={SIGNATURE_ANNOTATION: signature},
    )
    manifest, config = manifest_of([*(beside.body().layers if beside else []), layer])
    await push_bytes(client, repository, payload)
    await push_bytes(client, repository, config)
    tag, over = tag_of(digest, SIGNATURE_SUFFIX), beside.digest if beside else ""
    await client.put_manifest(repository, tag, manifest.data, manifest.media_type, over=over)


async def verify(
    client: ManifestStore, repository: str, digest: str, pinned: tuple[str, ...], claims: Mapping[str, str] | None = None
) -> Signed:
    """The signature of `digest` with one of the `pinned` public keys (PEM), and with all of the `claims`; else SignatureError.

    Reads signatures only: that the artifact's bytes are those of `digest` is checked by whoever reads them. Also raises
    the errors of RegistryClient, such as DigestMismatchError for a payload that was tampered with.
    """
    keys = {pem: public_key_of(pem) for pem in pinned}
    present = await client.find_manifest(repository, tag_of(digest, SIGNATURE_SUFFIX))
    verdicts = set[str]()
    if present:
        async for signed in _judge(client, repository, digest, present, keys):
            if signed.makes(claims or {}):
                return signed
            verdicts.add(signed.verdict)
    if "good" in verdicts:
        said = ", ".join(f"{name}={value}" for name, value in sorted((claims or {}).items()))
        raise SignatureError(f"{digest} in {repository} is signed by the vendor, but not for {said}", "other_claims")
    if "other_digest" in verdicts:
        raise SignatureError(
            f"{digest} in {repository} has a signature with the vendor's key for another digest", "other_digest"
        )
    if "other_key" in verdicts:
        raise SignatureError(f"{digest} in {repository} isn't signed with the vendor's key, but with another", "other_key")
    raise SignatureError(f"{digest} in {repository} has no signature", "unsigned")


async def good_signatures(client: ManifestStore, repository: str, digest: str, pinned: tuple[str, ...]) -> list[Signed]:
    """All signatures of `digest` with one of the `pinned` keys, the newest first. Raises the errors of RegistryClient."""
    keys = {pem: public_key_of(pem) for pem in pinned}
    present = await client.find_manifest(repository, tag_of(digest, SIGNATURE_SUFFIX))
    found = [signed async for signed in _judge(client, repository, digest, present, keys)] if present else []
    return [signed for signed in found if signed.verdict == "good"]


async def _judge(
    client: ManifestStore, repository: str, digest: str, present: Manifest, keys: Mapping[str, ec.EllipticCurvePublicKey]
) -> AsyncIterator[Signed]:
    """What each signature is worth, the newest first: mostly, that is the one that is looked for."""
    for layer in reversed(present.body().layers):
        signature = _decoded(layer.annotations.get(SIGNATURE_ANNOTATION, ""))
        if layer.media_type != PAYLOAD_TYPE or layer.size > _PAYLOAD_BYTES or not signature:
            continue
        payload = await client.read_blob(repository, layer.digest, layer.size)
        signer = next((pem for pem, key in keys.items() if _signed_by(key, signature, payload)), None)
        if signer is None:
            yield Signed("other_key")
        else:
            yield _read(payload, digest, signer)


def _payload(digest: str, docker_reference: str, claims: Mapping[str, str]) -> bytes:
    critical = {
        "identity": {"docker-reference": docker_reference},
        "image": {"docker-manifest-digest": digest},
        "type": _SIGNATURE_OF,
    }
    return json.dumps({"critical": critical, "optional": dict(claims) or None}, separators=(",", ":")).encode()


def public_key_of(pem: str) -> ec.EllipticCurvePublicKey:
    """A pinned key. Raises ValueError."""
    key = serialization.load_pem_public_key(pem.encode())
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ValueError("a vendor key must be an ECDSA key")
    return key


def _decoded(signature: str) -> bytes:
    try:
        return base64.b64decode(signature, validate=True)
    except binascii.Error:
        return b""


def _signed_by(key: ec.EllipticCurvePublicKey, signature: bytes, payload: bytes) -> bool:
    try:
        key.verify(signature, payload, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def _read(payload: bytes, digest: str, signer: str) -> Signed:
    """What a payload that `signer` has signed is worth for `digest`."""
    try:
        read = _Payload.model_validate_json(payload)
    except ValidationError:
        return Signed("other_digest")
    if read.critical.type != _SIGNATURE_OF or read.critical.image.digest != digest:
        return Signed("other_digest")
    return Signed("good", signer, {name: value for name, value in (read.optional or {}).items() if isinstance(value, str)})
