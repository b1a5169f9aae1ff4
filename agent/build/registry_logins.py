"""With what the build agent reads images that components name: the logins of its own machine, as `docker login` keeps them.

The file is `config.json` in the folder that DOCKER_CONFIG names, else `~/.docker/config.json`; EXCLAVE_REGISTRY_LOGINS names
another one. Only `auths` counts: programs that it names as helpers aren't run.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.build.image_reference import ImageReference
from agent.failure import CodedError
from agent.oci.token import Credential

FILE = "EXCLAVE_REGISTRY_LOGINS"

_HUB = ("docker.io", "index.docker.io", "registry-1.docker.io")
_MOST_BYTES = 1024 * 1024


class LoginsWrongError(CodedError):
    """The file with the build agent's logins can't be used."""

    code = "registry_logins_wrong"
    remedy = f"Correct the file on the build agent's machine (`docker login` writes it), or name another one in {FILE}."


class _Login(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    auth: str = ""
    username: str = ""
    password: str = ""


class _Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    auths: dict[str, _Login] = Field(default_factory=dict)


def login_for(image: ImageReference, env: Mapping[str, str]) -> Credential | None:
    """The login for this image: that of its repository, of a part of its path, or of its registry. Blocks.

    None if there is none. Raises LoginsWrongError, which shows nothing of the file's content.
    """
    path = _file(env)
    if path is None:
        return None
    logins = {_place(key): login for key, login in _read(path).auths.items()}
    parts = image.repository.split("/")
    hosts = _HUB if image.host in _HUB else (image.host,)
    for count in range(len(parts), -1, -1):
        for host in hosts:
            login = logins.get("/".join([host, *parts[:count]]))
            if login is not None and (found := _credential(login, path)) is not None:
                return found
    return None


def _file(env: Mapping[str, str]) -> Path | None:
    if name := env.get(FILE):
        return Path(name)
    folder = env.get("DOCKER_CONFIG") or (f"{env['HOME']}/.docker" if env.get("HOME") else None)
    path = Path(folder) / "config.json" if folder else None
    return path if path is not None and path.is_file() else None


def _read(path: Path) -> _Config:
    try:
        with path.open("rb") as file:
            return _Config.model_validate(json.loads(file.read(_MOST_BYTES)))
    except OSError as error:
        raise LoginsWrongError(f"{path} can't be read: {error.strerror}") from None
    except (ValueError, RecursionError, ValidationError):
        raise LoginsWrongError(f"{path} isn't a file of logins") from None


def _place(key: str) -> str:
    """`https://index.docker.io/v1/` and `ghcr.io/acme` alike: host and path."""
    place = key.partition("://")[2] or key
    return place.rstrip("/").removesuffix("/v1").removesuffix("/v2")


def _credential(login: _Login, path: Path) -> Credential | None:
    if login.username:
        return Credential(login.username, login.password)
    if not login.auth:
        return None
    try:
        username, _, password = base64.b64decode(login.auth, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise LoginsWrongError(f"{path} has an `auth` that isn't base64 of a user name and a password") from None
    return Credential(username, password)
