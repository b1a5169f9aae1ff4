"""The folder of packages that an IMS serves to Terraform, and their checksums.

What is in it says its name alone: `terraform-provider-exclave_VERSION_OS_ARCH.zip`, and `NAME_SYSTEM_VERSION.zip` for a module.
Packages of earlier versions stay, so that whoever has pinned one can still install it.
"""

import base64
import hashlib
import re
import threading
import zipfile
from collections.abc import Callable, Iterator
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


class Packages:
    """One folder of packages. It is looked into at each question: packages may be added while the IMS runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[tuple[str, int, int, str], str] = {}
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

    def sha256(self, path: Path) -> str:
        """The digest of a zip, as `zh:` has it. Raises OSError."""
        return self._once("sha256", _sha256, path)

    def h1(self, path: Path) -> str:
        """The digest of a zip's content, as lock files have it. Raises OSError."""
        return self._once("h1", _h1, path)

    def sums_file(self, version: str) -> bytes:
        """`SHA256SUMS` of one version, as `sha256sum` writes it."""
        lines = [f"{self.sha256(one.path)}  {one.path.name}\n" for one in self.providers(version)]
        return "".join(lines).encode()

    def _once(self, kind: str, count: Callable[[Path], str], path: Path) -> str:
        """Count once for each package and each change of it, for it takes a second."""
        status = path.stat()
        key = (path.name, status.st_size, status.st_mtime_ns, kind)
        with self._counting:
            if key not in self._known:
                self._known[key] = count(path)
            return self._known[key]

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
