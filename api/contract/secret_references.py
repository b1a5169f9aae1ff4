"""`ref+…` texts: where a sensitive input's value is in the customer's account. Only the install's agent resolves them."""

from api.contract.base import Json

PREFIX = "ref+"
SCHEMES = {
    "env": "ref+env://NAME",
    "file": "ref+file:///path#/json/pointer",
    "awssm": "ref+awssm://name-or-arn?region=REGION#key",
    "gcpsm": "ref+gcpsm://project/secret/version",
}


def scheme_of(value: Json) -> str | None:
    """The scheme of a reference, known or not; None if the value isn't one."""
    if not isinstance(value, str) or not value.startswith(PREFIX) or "://" not in value:
        return None
    return value.removeprefix(PREFIX).partition("://")[0]


def complaint(value: Json) -> str | None:
    """What is wrong with a reference, without repeating it; None if nothing is, or if the value isn't one."""
    scheme = scheme_of(value)
    if scheme is None:
        return None
    if scheme not in SCHEMES:
        return f"the scheme of this reference isn't known; write {', '.join(SCHEMES.values())}"
    if not value.partition("://")[2].split("#")[0].split("?")[0].strip("/"):
        return f"the reference names nothing; write {SCHEMES[scheme]}"
    return None
