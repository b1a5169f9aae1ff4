"""A release that the vendor has signed as a whole: what its number stands for, said by somebody who isn't the IMS.

The document is canonical JSON in a DSSE envelope of the type DOCUMENT_TYPE, signed with a key that install agents trust. The
IMS keeps the envelope and hands it on; it can hold it back, but neither make one nor change one. See docs/decisions/0019.
"""

from pydantic import Field

from api.contract.base import Digest, Model, Name, Timestamp
from api.contract.components import ComponentConfig

DOCUMENT_TYPE = "application/vnd.exclave.signed-release.v1+json"
ENVELOPE_CHARACTERS = 1024 * 1024


class ReleaseLine(Model):
    """One component of a release."""

    digest: Digest = Field(description="Of its artifact.")
    config: Digest = Field(description="Of the config with which it runs, as its build was signed for.")


class ReleaseDocument(Model):
    """What is signed. Whoever finds a field in it that they don't know takes none of it."""

    app: Name
    number: int = Field(ge=1)
    components: dict[str, ReleaseLine] = Field(description="Every component of the release, by name.")
    revoked: list[Digest] = Field(
        default_factory=list, description="Artifacts, keys and documents of releases that agents must not take any more."
    )


class ReleaseSignature(Model):
    """A signed document, as the IMS keeps it and hands it on. Agents take neither the key nor anything else on its word."""

    envelope: str = Field(max_length=ENVELOPE_CHARACTERS, description="The DSSE envelope (JSON).")
    public_key: str = Field(max_length=4096, description="The public half (PEM, ECDSA P-256) of the key that signed it.")


class StoredSignature(ReleaseSignature):
    """The same, with what the IMS says of it."""

    document: Digest = Field(description="Of the signed document: what it is revoked by.")
    signed_by: Digest = Field(description="The key's fingerprint.")
    stored_at: Timestamp


class ReleaseContent(Model):
    """What one component of a release was built from and what came out, for whoever signs it to check."""

    repository: str
    digest: Digest
    config: ComponentConfig
    source_revision: str | None


class ReleaseContents(Model):
    """A release that is ready, as the IMS would have it deployed. Who signs it checks it against the builds' signatures."""

    app: Name
    number: int
    components: dict[str, ReleaseContent]
