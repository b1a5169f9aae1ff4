"""What the vendor has signed of a release as a whole: kept here, offered to agents, and vouched for by nobody here.

The checks are for whoever stores it: an agent takes nothing of it on the word of the IMS (docs/decisions/0019).
"""

import hashlib

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from pydantic import ValidationError

from api.apps.models import AppRow
from api.contract.base import Digest
from api.contract.dsse import UnsignedError, opened
from api.contract.problems import ConflictError, InvalidError, NotFoundError
from api.contract.resources import Release
from api.contract.signed_releases import (
    DOCUMENT_TYPE,
    ReleaseContent,
    ReleaseContents,
    ReleaseDocument,
    ReleaseSignature,
    StoredSignature,
)
from api.db.transaction import Read, Write
from api.releases import service
from api.releases.models import ReleaseRow, ReleaseSignatureRow


def contents(tx: Read, release: str) -> ReleaseContents:
    """What a release that is ready consists of. Raises NotFoundError or ConflictError."""
    row = service.find(tx, release)
    if row.status != "ready":
        raise ConflictError(f"release {row.number} is {row.status}", remedy="Only a release that is ready can be signed.")
    configs, made = service.parts_of(tx, row.id)
    return ReleaseContents(
        app=_app(tx, row),
        number=row.number,
        components={
            component: ReleaseContent(
                repository=build.artifact.repository,
                digest=build.artifact.digest,
                config=configs[component],
                source_revision=build.source_revision,
            )
            for component, build in made.items()
            if build.artifact
        },
    )


def get(tx: Read, release: str) -> StoredSignature:
    """The signed document of a release. Raises NotFoundError."""
    row = service.find(tx, release)
    found = of_release(tx, row.id)
    if found is None:
        raise NotFoundError(f"release {row.number} isn't signed", remedy=f"Sign it: `exclave releases sign {row.id}`.")
    return found


def of_release(tx: Read, release_id: str) -> StoredSignature | None:
    """The signed document of a release, for its readers and its agents; None if nobody has signed it."""
    row = tx.get(ReleaseSignatureRow, release_id)
    return StoredSignature(**row.model_dump(exclude={"release_id"})) if row else None


def put(tx: Write, release: str, body: ReleaseSignature) -> Release:
    """Keep a signed document, in place of one that may be there. The same again changes nothing.

    Raises NotFoundError, ConflictError, or InvalidError if it isn't this release's, or isn't signed with the key that it names.
    """
    said = contents(tx, release)
    row = service.find(tx, release)
    payload = _payload(body)
    try:
        document = ReleaseDocument.model_validate_json(payload)
    except ValidationError as error:
        raise InvalidError.at("envelope", f"the signed document can't be read: {error.errors()[0]['msg']}") from None
    if (document.app, document.number) != (said.app, said.number):
        raise InvalidError.at(
            "envelope",
            f"the signed document is of {document.app} release {document.number}, not of {said.app} release {said.number}",
        )
    signed = {name: line.digest for name, line in document.components.items()}
    if signed != {name: one.digest for name, one in said.components.items()}:
        raise InvalidError.at("envelope", "the signed document has other components, or other artifacts, than the release")
    digest: Digest = "sha256:" + hashlib.sha256(payload).hexdigest()
    signer: Digest = "sha256:" + hashlib.sha256(body.public_key.encode()).hexdigest()
    present = tx.get(ReleaseSignatureRow, row.id)
    if present and (present.envelope, present.public_key) == (body.envelope, body.public_key):
        return service.public(tx, row)
    before = {"document": present.document, "signed_by": present.signed_by} if present else None
    if present:
        present.envelope, present.public_key, present.stored_at = body.envelope, body.public_key, tx.now
        present.document, present.signed_by = digest, signer
    else:
        tx.session.add(
            ReleaseSignatureRow(
                release_id=row.id,
                envelope=body.envelope,
                public_key=body.public_key,
                document=digest,
                signed_by=signer,
                stored_at=tx.now,
            )
        )
    tx.session.flush()
    after = {"number": row.number, "document": digest, "signed_by": signer}
    tx.emit("release.signed", row.id, before=before, after=after, app_id=row.app_id)
    return service.public(tx, row)


def _payload(body: ReleaseSignature) -> bytes:
    try:
        key = load_pem_public_key(body.public_key.encode())
    except ValueError:
        key = None
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise InvalidError.at("public_key", "not the public half of an ECDSA P-256 key, as PEM")
    try:
        payload, _ = opened(body.envelope, DOCUMENT_TYPE, [key])
    except UnsignedError as error:
        raise InvalidError.at("envelope", f"no release that this key has signed: {error}") from None
    return payload


def _app(tx: Read, row: ReleaseRow) -> str:
    app = tx.get(AppRow, row.app_id)
    assert app
    return app.name
