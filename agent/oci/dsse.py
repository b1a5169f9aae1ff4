"""Signed statements: in-toto's Statement v1 in a DSSE envelope (`api.contract.dsse`), and other documents in such."""

import base64
import hashlib
import json
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from agent.oci.manifest import canonical_json
from agent.oci.vendor_key import VendorKey
from api.contract.dsse import opened, pae

STATEMENT_TYPE = "application/vnd.in-toto+json"
STATEMENT_V1 = "https://in-toto.io/Statement/v1"


def sealed(payload_type: str, payload: bytes, key: VendorKey) -> bytes:
    """The envelope of a payload. Signs, which may block."""
    signature = key.sign(pae(payload_type, payload))
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": payload_type,
        "signatures": [{"keyid": key_id(key.public_key), "sig": base64.b64encode(signature).decode()}],
    }
    return canonical_json(envelope)


def sealed_statement(statement: dict[str, Any], key: VendorKey) -> bytes:
    """The envelope of a statement. Signs, which may block."""
    return sealed(STATEMENT_TYPE, canonical_json(statement), key)


def opened_statement(envelope: bytes, keys: tuple[ec.EllipticCurvePublicKey, ...]) -> dict[str, Any]:
    """The statement in an envelope that one of `keys` has signed. Raises UnsignedError."""
    payload, _ = opened(envelope, STATEMENT_TYPE, keys)
    statement: dict[str, Any] = json.loads(payload)
    return statement


def key_id(key: ec.EllipticCurvePublicKey) -> str:
    """A hint for verifiers: sha256 of the public key's DER."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()
