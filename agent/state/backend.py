"""A backend of Terraform's own that the customer names for states, in a file of theirs: `--state backend:FILE`.

The file is JSON: one backend's name, and its arguments as Terraform's documentation names them. `{component}`, which has to
stand in one of them, and `{install}` are filled in:

    {"s3": {"bucket": "acme-state", "key": "exclave/{install}/{component}.tfstate", "region": "eu-west-1"}}
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.failure import CodedError
from api.contract.base import Json

_NAME = re.compile(r"[a-z][a-z0-9_]*")


class BackendFileError(CodedError):
    """The file of a backend can't be used."""

    code = "state_backend_invalid"
    remedy = 'Write JSON like {"s3": {"bucket": "acme-state", "key": "exclave/{install}/{component}.tfstate"}}.'


@dataclass(frozen=True)
class EngineBackend:
    """A backend's name and arguments, with their placeholders."""

    name: str
    arguments: Mapping[str, Json]
    install_id: str

    def block(self, component: str) -> dict[str, Json]:
        """The value of `backend` in a `terraform` block, in JSON, for one component."""
        return {self.name: {key: self._filled(value, component) for key, value in self.arguments.items()}}

    def _filled(self, value: Json, component: str) -> Json:
        match value:
            case str():
                return value.replace("{component}", component).replace("{install}", self.install_id)
            case dict():
                return {key: self._filled(each, component) for key, each in value.items()}
            case list():
                return [self._filled(each, component) for each in value]
        return value


def read_backend(file: Path, install_id: str) -> EngineBackend:
    """The backend that a file names. Blocks; raises BackendFileError."""
    try:
        document = json.loads(file.read_bytes())
    except OSError as error:
        raise BackendFileError(f"--state backend:{file} can't be read: {error.strerror}") from None
    except ValueError:
        raise BackendFileError(f"--state backend:{file} isn't JSON") from None
    if not isinstance(document, dict) or len(document) != 1:
        raise BackendFileError(f"--state backend:{file} doesn't name exactly one backend")
    ((name, arguments),) = document.items()
    if not _NAME.fullmatch(name) or name in ("remote", "cloud") or not isinstance(arguments, dict):
        raise BackendFileError(f"--state backend:{file}: {name!r} can't be a backend with its arguments")
    if "{component}" not in json.dumps(arguments):
        raise BackendFileError(f"--state backend:{file} has no {{component}}: all components would share one state")
    return EngineBackend(name, arguments, install_id)
