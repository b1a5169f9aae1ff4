"""Where an image is in the customer's registry, in the words of those who pull it."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from api.contract.base import Digest
from api.contract.components import ComponentConfig, ContainerImageConfig

_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")  # distribution specification 1.1, "pulling manifests"


@dataclass(frozen=True)
class ImagePlace:
    """`path` is the repository in the registry at `registry`, a URL."""

    registry: str
    path: str
    tag: str
    digest: Digest

    @property
    def repository(self) -> str:
        """The repository with its registry: `registry.example.com/shop/web`."""
        return f"{urlsplit(self.registry).netloc}/{self.path}"

    @property
    def uri(self) -> str:
        """What a manifest should name: the repository and the digest."""
        return f"{self.repository}@{self.digest}"


def tag_of(config: ComponentConfig, digest: Digest) -> str:
    """The tag that an image gets: that of its source, or, for one that has none, the beginning of its digest."""
    if isinstance(config, ContainerImageConfig):
        image = config.public or config.aws_ecr or config.gcp_gar or config.azure_acr or config.registry
        # Tags that begin so are those of signatures.
        if image and _TAG.fullmatch(image.tag) and not image.tag.startswith("sha256-"):
            return image.tag
    return digest.removeprefix("sha256:")[:12]
