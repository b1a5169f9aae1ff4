"""The grammar of repositories, tags and digests (OCI distribution spec 1.1, "Pulling manifests").

Every name is checked here before it becomes a part of a path, so none can leave the storage folder.
"""

import re

from api.registry.errors import DigestInvalidError, NameInvalidError, TagInvalidError

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")

ALGORITHMS = ("sha256", "sha512")
"""The algorithms of digests, as `hashlib` calls them too. What is pushed without one named has the first."""

REPOSITORY_LENGTH = 255
"""At most so many characters in a repository's name."""


def is_repository(text: str) -> bool:
    """Whether `text` is a repository's name."""
    return len(text) <= REPOSITORY_LENGTH and _REPOSITORY.fullmatch(text) is not None


def is_digest(text: str) -> bool:
    """Whether `text` is a digest that this registry keeps: sha256 or sha512."""
    return _DIGEST.fullmatch(text) is not None


def is_tag(text: str) -> bool:
    """Whether `text` is a tag."""
    return _TAG.fullmatch(text) is not None


def check_repository(text: str) -> str:
    """`text`, if it is a repository's name. Raises NameInvalidError."""
    if not is_repository(text):
        raise NameInvalidError(f"{text[:80]!r} is not a repository name: write lower-case words separated by one of . _ - /")
    return text


def check_digest(text: str) -> str:
    """`text`, if it is a digest. Raises DigestInvalidError."""
    if not is_digest(text):
        raise DigestInvalidError(
            f"{text[:80]!r} is not a digest: write sha256: and 64 hex digits, or sha512: and 128, all in lower case"
        )
    return text


def algorithm_of(digest: str) -> str:
    """The name of a digest's algorithm."""
    return digest.partition(":")[0]


def hex_of(digest: str) -> str:
    """The hex digits of a digest, by which files are named: their number tells the algorithm. Raises DigestInvalidError."""
    return check_digest(digest).partition(":")[2]


def digest_named(hex_digits: str) -> str:
    """The digest whose hex digits these are."""
    return f"{'sha256' if len(hex_digits) == 64 else 'sha512'}:{hex_digits}"


def check_reference(text: str) -> str:
    """`text`, if it is a tag or a digest. Raises TagInvalidError or DigestInvalidError."""
    if ":" in text:
        return check_digest(text)
    if not is_tag(text):
        raise TagInvalidError(f"{text[:80]!r} is not a tag: write 1 to 128 letters, digits, dots, dashes and underscores")
    return text


def cosign_tags(digest: str) -> tuple[str, ...]:
    """The tags under which cosign keeps what belongs to `digest`: signature, attestations and SBOM (`sha256-<hex>.sig`, …)."""
    return tuple(digest.replace(":", "-") + suffix for suffix in (".sig", ".att", ".sbom"))
