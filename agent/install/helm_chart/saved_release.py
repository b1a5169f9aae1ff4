"""`saved-plan`: all that an apply of a chart carries out, in one file."""

from pathlib import Path
from typing import Literal

from pydantic import Base64Bytes, Field

from agent.durable import write_durably
from api.contract.base import Digest, Json, Model


class SavedRelease(Model):
    """What helm will be told.

    `revision` is the release's last one when the plan was made, 0 before the first. `chart` is a package that renders to what
    was planned and to nothing else (`release_chart`), with the digest of its `objects`; both are None for a destruction.
    """

    schema_version: Literal[1] = 1
    release: str
    namespace: str
    revision: int
    chart: Base64Bytes | None = None
    objects: Digest | None = None
    values: dict[str, Json] = Field(default_factory=dict)
    outputs: dict[str, str] = Field(default_factory=dict)
    create_namespace: bool = False
    take_ownership: bool = False
    wait: bool = True
    atomic: bool = False
    timeout: int = 600

    def save(self, file: Path) -> None:
        """Write it to a file that only this user can read: values are in it."""
        write_durably(file, self.model_dump_json().encode())


def read_saved(file: Path) -> SavedRelease:
    """The release that a plan saved."""
    return SavedRelease.model_validate_json(file.read_bytes())
