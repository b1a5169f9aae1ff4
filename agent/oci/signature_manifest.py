"""The manifest that holds signatures, as cosign writes it: one layer for each. Knows nothing of keys, nor loads what does.

A copy needs only this: it brings signatures together, and judges none.
"""

from agent.oci.digest import digest_of
from agent.oci.errors import BadAnswerError
from agent.oci.manifest import IMAGE_MANIFEST, Descriptor, Manifest, canonical_json, descriptor_json

SIGNATURE_ANNOTATION = "dev.cosignproject.cosign/signature"

_IMAGE_CONFIG = "application/vnd.oci.image.config.v1+json"
_NO_TIME = "0001-01-01T00:00:00Z"


def united(present: Manifest, coming: Manifest) -> tuple[Manifest, bytes | None]:
    """The signatures of both: either manifest as it is, where it has all of them; else a new one, and its config to push."""
    try:
        there, new = present.body().layers, coming.body().layers
    except BadAnswerError:
        return coming, None
    known = {_identity(layer) for layer in there}
    missing = [layer for layer in new if _identity(layer) not in known]
    if not missing:
        return present, None
    if known <= {_identity(layer) for layer in new}:
        return coming, None
    return manifest_of([*there, *missing])


def _identity(layer: Descriptor) -> tuple[str, str]:
    return layer.digest, layer.annotations.get(SIGNATURE_ANNOTATION, "")


def manifest_of(layers: list[Descriptor]) -> tuple[Manifest, bytes]:
    """The manifest of these signatures, and its config."""
    config = _config(layers)
    document = {
        "schemaVersion": 2,
        "mediaType": IMAGE_MANIFEST,
        "config": {"mediaType": _IMAGE_CONFIG, "digest": digest_of(config), "size": len(config)},
        "layers": [descriptor_json(each) for each in layers],
    }
    data = canonical_json(document)
    return Manifest(data, IMAGE_MANIFEST, digest_of(data)), config


def _config(layers: list[Descriptor]) -> bytes:
    """The image config that cosign writes for signatures: no time, no platform."""
    return canonical_json(
        {
            "architecture": "",
            "config": {},
            "created": _NO_TIME,
            "history": [{"created": _NO_TIME} for _ in layers],
            "os": "",
            "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in layers]},
        }
    )
