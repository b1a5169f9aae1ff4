"""The folder of packages that an IMS serves to Terraform, and their checksums.

What is in it says its name alone: `terraform-provider-exclave_VERSION_OS_ARCH.zip`, and `NAME_SYSTEM_VERSION.zip` for a module.
Packages of earlier versions stay, so that whoever has pinned one can still install it.
"""

import base64
import hashlib
import re
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

NAMESPACE = PROVIDER = "exclave"
_VERSION = r"(?P<version>\d+\.\d+\.\d+(-[0-9a-z.]+)?)"
_PROVIDER_FILE = re.compile(rf"terraform-provider-{PROVIDER}_{_VERSION}_(?P<os>[a-z]+)_(?P<arch>[a-z0-9]+)\.zip")
_MODULE_FILE = re.compile(rf"(?P<name>[a-z0-9-]+-access)_(?P<system>[a-z]+)_{_VERSION}\.zip")


@dataclass(frozen=True)
class ProviderPackage:
    """The provider in one version for one platform."""

    path: Path
    version: str
    os: str
    arch: str

    @property
    def platform(self) -> str:
        """As Terraform writes it."""
        return f"{self.os}_{self.arch}"


@dataclass(frozen=True)
class ModulePackage:
    """A module in one version; `system` is the provider that it is for."""

    path: Path
    name: str
    system: str
    version: str


@dataclass(frozen=True)
class Checksums:
    """Of one zip: of its bytes, and of its content as lock files have it (`h1:…`)."""

    sha256: str
    h1: str


class Packages:
    """One folder of packages. It is looked into at each question: packages may be added while the IMS runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[tuple[str, int, int], Checksums] = {}
        self._counting = threading.Lock()

    def providers(self, version: str | None = None) -> list[ProviderPackage]:
        """Every package of the provider, or of one version of it, in the order of their names."""
        found = [
            ProviderPackage(path, match["version"], match["os"], match["arch"]) for path, match in self._files(_PROVIDER_FILE)
        ]
        return [one for one in found if version in (None, one.version)]

    def modules(self, name: str, system: str) -> list[ModulePackage]:
        """Every version of a module."""
        found = [
            ModulePackage(path, match["name"], match["system"], match["version"]) for path, match in self._files(_MODULE_FILE)
        ]
        return [one for one in found if (one.name, one.system) == (name, system)]

    def file(self, name: str) -> Path | None:
        """The package with this file name, if it is one and is there."""
        known = _PROVIDER_FILE.fullmatch(name) or _MODULE_FILE.fullmatch(name)
        path = self.folder / name
        return path if known and path.is_file() else None

    def checksums(self, path: Path) -> Checksums:
        """Read once for each package and each change of it: a tenth of a second or more. Raises OSError."""
        status = path.stat()
        key = (path.name, status.st_size, status.st_mtime_ns)
        with self._counting:
            if key not in self._known:
                self._known[key] = Checksums(_sha256(path), _h1(path))
            return self._known[key]

    def sums_file(self, version: str) -> bytes:
        """`SHA256SUMS` of one version, as `sha256sum` writes it."""
        lines = [f"{self.checksums(one.path).sha256}  {one.path.name}\n" for one in self.providers(version)]
        return "".join(lines).encode()

    def _files(self, pattern: re.Pattern[str]) -> Iterator[tuple[Path, re.Match[str]]]:
        for path in sorted(self.folder.iterdir()) if self.folder.is_dir() else ():
            match = pattern.fullmatch(path.name)
            if match and path.is_file():
                yield path, match


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _h1(path: Path) -> str:
    """Go's `dirhash.Hash1` of a zip: SHA-256 of the sorted list of the files' own SHA-256."""
    with zipfile.ZipFile(path) as archive:
        names = sorted(one.filename for one in archive.infolist() if not one.is_dir())
        lines = [f"{hashlib.sha256(archive.read(name)).hexdigest()}  {name}\n" for name in names]
    return "h1:" + base64.b64encode(hashlib.sha256("".join(lines).encode()).digest()).decode()
