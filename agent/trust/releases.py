"""Releases that the vendor has signed as a whole (`release-signed`): which artifact and which config belong to a number.

A build's signature says for which component and config an artifact was made; this says which of them were released together.
It is signed where a person or the vendor's CI has the key, never by a job, so the IMS can offer only what somebody meant.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from agent.failure import CodedError
from agent.oci.digest import digest_of
from agent.oci.dsse import sealed
from agent.oci.manifest import canonical_json
from agent.oci.signature import public_key_of
from agent.oci.vendor_key import VendorKey
from agent.trust.claims import config_digest
from api.contract.base import Digest
from api.contract.components import ComponentConfig
from api.contract.dsse import UnsignedError, opened
from api.contract.signed_releases import (
    DOCUMENT_TYPE,
    ReleaseContents,
    ReleaseDocument,
    ReleaseLine,
    ReleaseSignature,
)


class ReleaseUnsignedError(CodedError):
    """The customer runs signed releases alone, and the job's isn't one."""

    code = "release_unsigned"
    remedy = "Sign it where the vendor's key is, with `exclave releases sign`; then deploy again."


class ReleaseRefusedError(CodedError):
    """The release is signed, but the job isn't what was signed, or the customer's rule doesn't take that release."""

    code = "release_refused"
    remedy = "Deploy a release as the vendor has signed it: `exclave releases list` shows which are."


@dataclass(frozen=True)
class SignedRelease:
    """A document that a trusted key (PEM) has signed, and its digest."""

    document: ReleaseDocument
    digest: Digest
    key: str

    def check(self, app: str, component: str, digest: Digest, config: ComponentConfig, others: Mapping[str, Digest]) -> None:
        """Whether what is to run is in it, and the artifacts of `others`, to which the config can refer.

        Raises ReleaseRefusedError.
        """
        said = self.document
        if said.app != app:
            raise ReleaseRefusedError(f"the signed release is one of the app {said.app!r}, and this is an install of {app!r}")
        line = said.components.get(component)
        if line is None:
            raise ReleaseRefusedError(f"release {said.number}, as the vendor has signed it, has no component {component!r}")
        if line.digest != digest:
            raise ReleaseRefusedError(
                f"release {said.number}, as the vendor has signed it, has {line.digest} as {component}, not {digest}"
            )
        if line.config != config_digest(config):
            raise ReleaseRefusedError(
                f"release {said.number}, as the vendor has signed it, has {component} with another config than the job"
            )
        for name, other in others.items():
            if name not in said.components or said.components[name].digest != other:
                raise ReleaseRefusedError(f"release {said.number}, as the vendor has signed it, doesn't have {other} as {name}")


def check_may_run(number: int, document: Digest, revoked: Container[Digest], highest: int) -> None:
    """Whether the customer still takes a signed release: its document isn't revoked, nor its number below `highest`.

    `highest` is that of the releases that were applied, where the rule is `forward`, and else 0. Raises ReleaseRefusedError.
    """
    if document in revoked:
        raise ReleaseRefusedError(f"release {number} ({document}) is revoked", remedy="Deploy a release that isn't.")
    if number < highest:
        raise ReleaseRefusedError(
            f"the customer's policy says `releases: forward`, and release {number} is older than {highest}, which was "
            "applied here",
            remedy="Make a new release of the older components, sign it, and deploy that.",
        )


def changes(document: ReleaseDocument, before: ReleaseDocument | None) -> dict[str, str]:
    """What a document says otherwise than the one before it, in words, by component; those that are gone come last."""
    there = before.components if before else {}
    told = {name: _change(line, there.get(name)) for name, line in document.components.items()}
    return told | {name: "isn't in it any more" for name in there if name not in document.components}


def _change(line: ReleaseLine, before: ReleaseLine | None) -> str:
    if before is None:
        return "new"
    said = [what for what in ("digest", "config") if getattr(line, what) != getattr(before, what)]
    return {"": "as before", "digest": "another artifact", "config": "another config"}.get(
        " ".join(said), "another artifact and config"
    )


def document_of(contents: ReleaseContents, revoked: Iterable[Digest] = ()) -> ReleaseDocument:
    """What there is to sign of a release."""
    lines = {
        name: ReleaseLine(digest=one.digest, config=config_digest(one.config))
        for name, one in sorted(contents.components.items())
    }
    return ReleaseDocument(app=contents.app, number=contents.number, components=lines, revoked=sorted(revoked))


def signed_release(document: ReleaseDocument, key: VendorKey) -> ReleaseSignature:
    """Sign a release as a whole. May block: a KMS is asked. Raises VendorKeyError."""
    payload = canonical_json(document.model_dump(mode="json"))
    return ReleaseSignature(envelope=sealed(DOCUMENT_TYPE, payload, key).decode(), public_key=key.public_pem)


def opened_release(envelope: str, pinned: Sequence[str]) -> SignedRelease:
    """What an envelope says, if one of the `pinned` keys (PEM) has signed it as a release. Raises ReleaseRefusedError."""
    try:
        payload, signer = opened(envelope, DOCUMENT_TYPE, [public_key_of(pem) for pem in pinned])
    except UnsignedError as error:
        raise ReleaseRefusedError(f"the release's signature can't be used: {error}") from None
    try:
        document = ReleaseDocument.model_validate_json(payload)
    except ValidationError as error:
        why = error.errors(include_url=False)[0]["msg"]
        raise ReleaseRefusedError(
            f"this agent can't read what was signed as a release: {why}", remedy="Update the agent, and deploy again."
        ) from None
    return SignedRelease(document, digest_of(payload), pinned[signer])
