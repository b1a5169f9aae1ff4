"""What a backup has in it, and checking that it still does.

manifest.json    this
data/            the data folder, without what can be made anew
"""

import hashlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from api.contract.base import Model

MANIFEST = "manifest.json"
DATA = "data"
FORMAT = 1
_PART = 1024 * 1024


class BackupError(Exception):
    """A backup can't be made, read or restored. The text says why and what to do; nothing half-done is left behind."""


class SavedFile(Model):
    """One file of the data folder."""

    sha256: str
    size: int


class Head(Model):
    """The last line of the history when the backup was made."""

    seq: int
    hash: str


class Manifest(Model):
    """The whole backup. Paths are seen from the data folder, with `/`."""

    format: int = FORMAT
    exclave: str = Field(description="The version that made it.")
    made_at: datetime
    database: Literal["sqlite", "postgresql"] = Field(
        description="With `postgresql` the database itself is in a dump of its own."
    )
    keys: bool = Field(description="Whether keys, tokens and settings are in it.")
    head: Head | None
    files: dict[str, SavedFile]
    links: dict[str, str] = Field(description="Files that are the same file as another one: hard links of the registry.")
    damaged: list[str] = Field(description="Files of the registry that weren't what their name says when they were copied.")

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files.values())


def sha256_of(path: Path) -> tuple[str, int]:
    """The sum and the size of a file."""
    found, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while part := file.read(_PART):
            found.update(part)
            size += len(part)
    return found.hexdigest(), size


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a backup. Raises BackupError."""
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except OSError as error:
        raise BackupError(f"{folder / MANIFEST} can't be read: {error.strerror}; give the folder or file of a backup") from None
    except ValidationError:
        raise BackupError(f"{folder / MANIFEST} is not the manifest of a backup that this version can read") from None
    if manifest.format != FORMAT:
        raise BackupError(f"the backup has format {manifest.format}, and this version reads {FORMAT}: use a newer Exclave")
    for path in [*manifest.files, *manifest.links, *manifest.links.values()]:
        if Path(path).is_absolute() or ".." in Path(path).parts:
            raise BackupError(f"the manifest names {path!r}, which is outside the data folder: it was tampered with")
    return manifest


def faults(folder: Path, manifest: Manifest) -> Iterator[str]:
    """Everything in a backup that isn't as its manifest says."""
    for path, expected in manifest.files.items():
        try:
            found, size = sha256_of(folder / DATA / path)
        except OSError as error:
            yield f"{path}: {error.strerror}"
            continue
        if found != expected.sha256:
            yield f"{path}: {size} bytes with sha256 {found}, expected {expected.size} with {expected.sha256}"
    for path, target in manifest.links.items():
        if target not in manifest.files:
            yield f"{path}: the same as {target}, which isn't in the backup"
    known = {folder / DATA / path for path in manifest.files}
    for found_path in sorted((folder / DATA).rglob("*")):
        if not found_path.is_dir() and found_path not in known:
            yield f"{found_path.relative_to(folder / DATA)}: isn't in the manifest"
