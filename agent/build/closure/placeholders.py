"""Stand-ins for references, so that a text can be read before a deploy knows their values."""

from agent.failure import CodedError
from api.contract.base import Json
from api.contract.references import InvalidReferenceError, Reference, render

OWN_HOST = "exclave.invalid"
"""The registry of images that are components themselves: they are mirrored as such (RFC 2606: the name can't exist)."""

UNKNOWN = "exclave-known-at-deploy"
"""What stands for a value that only a deploy knows."""

_IMAGE = {"tag": "exclave", "digest": "sha256:" + "0" * 64}


class ReferenceWrongError(CodedError):
    """A reference that can't be read."""

    code = "reference_wrong"


def stand_in(text: str, field: str) -> str:
    """The text with each reference replaced. Raises ReferenceWrongError."""
    try:
        found = render(text, _value)
    except InvalidReferenceError as error:
        raise ReferenceWrongError(str(error), field=field) from None
    return str(found)


def _value(reference: Reference) -> Json:
    match reference.path:
        case ("components", name, "image", "repository"):
            return f"{OWN_HOST}/{name.lower()}"
        case ("components", _, "image", part):
            return _IMAGE[part]
    return UNKNOWN
