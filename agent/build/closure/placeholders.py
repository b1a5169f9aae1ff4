"""Stand-ins for references, so that a text can be read before a deploy knows their values."""

from agent.failure import CodedError
from api.contract.reference_grammar import Expression, malformed, parse
from api.contract.references import InvalidReferenceError, Reference, Value, evaluate

OWN_HOST = "exclave.invalid"
"""The registry of images that are components themselves: they are mirrored as such (RFC 2606: the name can't exist)."""

UNKNOWN = "exclave-known-at-deploy"
"""What stands for a value that only a deploy knows."""

_IMAGE = {"tag": "exclave", "digest": "sha256:" + "0" * 64}


class ReferenceWrongError(CodedError):
    """A reference that can't be read."""

    code = "reference_wrong"


def stand_in(text: str, field: str) -> str:
    """The text with each reference replaced. Raises ReferenceWrongError.

    An expression that is made of more than the images of components stands for something that only a deploy knows.
    """
    wrong = malformed(text)
    if wrong:
        raise ReferenceWrongError(str(wrong), field=field, remedy=wrong.remedy)
    return "".join(part if isinstance(part, str) else _known(part) for part in parse(text))


def _known(expression: Expression) -> str:
    try:
        return str(evaluate(expression, _value).value)
    except InvalidReferenceError:
        return UNKNOWN


def _value(reference: Reference) -> Value:
    match reference.path:
        case ("components", name, "image", "repository"):
            return Value(f"{OWN_HOST}/{name.lower()}")
        case ("components", name, "image", "uri"):
            return Value(f"{OWN_HOST}/{name.lower()}@{_IMAGE['digest']}")
        case ("components", _, "image", part):
            return Value(_IMAGE[part])
    raise InvalidReferenceError(f"{reference} is known only at the deploy")
