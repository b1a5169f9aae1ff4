"""DSSE envelopes (https://github.com/secure-systems-lab/dsse, protocol 1.0), signed with ECDSA P-256 and SHA-256.

The type of the payload is signed with it: what was signed as one thing is never taken for another.
"""

import base64
import binascii
from collections.abc import Sequence

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import BaseModel, ConfigDict, Field, ValidationError

ENVELOPE_TYPE = "application/vnd.dsse.envelope.v1+json"


class UnsignedError(Exception):
    """The envelope is none, or has something else in it, or nobody trusted has signed it."""


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


def opened(envelope: bytes | str, payload_type: str, keys: Sequence[ec.EllipticCurvePublicKey]) -> tuple[bytes, int]:
    """The payload of an envelope, and the place of the key among `keys` that has signed it as `payload_type`.

    Raises UnsignedError.
    """
    try:
        parsed = _Envelope.model_validate_json(envelope)
        payload = base64.b64decode(parsed.payload, validate=True)
        signatures = [base64.b64decode(each.sig, validate=True) for each in parsed.signatures]
    except (ValidationError, binascii.Error, ValueError):
        raise UnsignedError("it isn't a DSSE envelope") from None
    if parsed.payload_type != payload_type:
        raise UnsignedError(f"it is {parsed.payload_type!r}, not {payload_type!r}")
    signed = pae(payload_type, payload)
    signer = next((place for place, key in enumerate(keys) if any(_by(key, each, signed) for each in signatures)), None)
    if signer is None:
        raise UnsignedError("it isn't signed with the vendor's key")
    return payload, signer


def _by(key: ec.EllipticCurvePublicKey, signature: bytes, signed: bytes) -> bool:
    try:
        key.verify(signature, signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True
