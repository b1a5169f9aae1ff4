"""Signed statements: in-toto's Statement v1 in a DSSE envelope (https://github.com/secure-systems-lab/dsse, protocol 1.0)."""

import base64
import binascii
import hashlib
import json
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.oci.manifest import canonical_json
from agent.oci.vendor_key import VendorKey

ENVELOPE_TYPE = "application/vnd.dsse.envelope.v1+json"
STATEMENT_TYPE = "application/vnd.in-toto+json"
STATEMENT_V1 = "https://in-toto.io/Statement/v1"


class UnsignedStatementError(Exception):
    """The envelope is none, or nobody trusted has signed it."""


class _Signature(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    sig: str


class _Envelope(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    payload: str
    payload_type: str = Field(alias="payloadType")
    signatures: list[_Signature]


def pae(payload_type: str, payload: bytes) -> bytes:
    """What is signed: type and payload, each with its length before it."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def sealed_statement(statement: dict[str, Any], key: VendorKey) -> bytes:
    """The envelope of a statement. Signs, which may block."""
    payload = canonical_json(statement)
    signature = key.sign(pae(STATEMENT_TYPE, payload))
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": STATEMENT_TYPE,
        "signatures": [{"keyid": key_id(key.public_key), "sig": base64.b64encode(signature).decode()}],
    }
    return canonical_json(envelope)


def opened_statement(envelope: bytes, keys: tuple[ec.EllipticCurvePublicKey, ...]) -> dict[str, Any]:
    """The statement in an envelope that one of `keys` has signed. Raises UnsignedStatementError."""
    try:
        parsed = _Envelope.model_validate_json(envelope)
        payload = base64.b64decode(parsed.payload, validate=True)
        signatures = [base64.b64decode(each.sig, validate=True) for each in parsed.signatures]
    except (ValidationError, binascii.Error):
        raise UnsignedStatementError("it isn't a DSSE envelope") from None
    signed = pae(parsed.payload_type, payload)
    if parsed.payload_type != STATEMENT_TYPE or not any(_by(key, each, signed) for key in keys for each in signatures):
        raise UnsignedStatementError("it isn't signed with the vendor's key")
    statement: dict[str, Any] = json.loads(payload)
    return statement


def key_id(key: ec.EllipticCurvePublicKey) -> str:
    """A hint for verifiers: sha256 of the public key's DER."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def _by(key: ec.EllipticCurvePublicKey, signature: bytes, signed: bytes) -> bool:
    try:
        key.verify(signature, signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True
