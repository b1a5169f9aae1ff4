"""Names of images, as Docker reads them: `nginx`, `ghcr.io/acme/web:1.2`, `host:5000/a@sha256:…`."""

import re
from dataclasses import dataclass

from agent.failure import CodedError

_HUB = "docker.io"
_HUB_ALIASES = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})
_HUB_HOST = "registry-1.docker.io"
_LOOPBACK = re.compile(r"(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?")

_HOST = (
    r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[0-9a-fA-F:]+\])(?::\d+)?"
)
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?:(?P<host>{_HOST})/)?(?P<path>{_PART}(?:/{_PART})*)(?::(?P<tag>\w[\w.-]{{0,127}}))?(?:@(?P<digest>sha256:[0-9a-f]{{64}}))?",
    re.ASCII,
)
"""The grammar of https://pkg.go.dev/github.com/distribution/reference, for sha256 alone."""


class ImageNameError(CodedError):
    """The text can't be the name of an image."""

    code = "image_name_wrong"
    remedy = "Write it like `registry.example.com/team/web:1.2`; a name without a registry is one of Docker Hub."


@dataclass(frozen=True)
class ImageReference:
    """An image in a registry. `reference` is a tag or a digest; a digest wins where a name has both."""

    host: str
    repository: str
    reference: str

    @classmethod
    def parse(cls, text: str) -> "ImageReference":
        """Read a name; without a tag it means `latest`. Raises ImageNameError."""
        found = _REFERENCE.fullmatch(text)
        if found is None:
            raise ImageNameError(f"{text!r} is not the name of an image")
        host, path = found["host"] or "", found["path"]
        if host and not _is_host(host):
            host, path = "", f"{host}/{path}"
        if host.lower() in _HUB_ALIASES or not host:
            host = _HUB
            path = path if "/" in path else f"library/{path}"
        return cls(host, path, found["digest"] or found["tag"] or "latest")

    @property
    def url(self) -> str:
        """The base URL of the registry: https, but http for this machine itself, as Docker does it."""
        if self.host == _HUB:
            return f"https://{_HUB_HOST}"
        return f"{'http' if _LOOPBACK.fullmatch(self.host) else 'https'}://{self.host}"

    @property
    def pinned(self) -> bool:
        """Whether it names a digest (`digest-pinned`)."""
        return self.reference.startswith("sha256:")

    def __str__(self) -> str:
        return f"{self.host}/{self.repository}{'@' if self.pinned else ':'}{self.reference}"


def _is_host(text: str) -> bool:
    """Docker's rule: the part before the first slash is a registry if it has a dot or a colon, or is `localhost`."""
    return "." in text or ":" in text or text == "localhost" or text != text.lower()
