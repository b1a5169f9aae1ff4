"""The credentials of a registry that runs alone: one writer and one reader, made on first start.

    credentials.json   sha256 of each password, and what it may do; what the registry reads
    writer.json        {"url", "username", "password"}: for the install's agent, and nobody else (`sole-writer`)
    reader.json        the same, for what pulls images in the customer's account

All are of mode 0600. A password has 256 random bits, so one round of sha256 protects it. To change the passwords, delete
credentials.json and start the registry again. The two plain files may be moved away: they are never made again from the hashes.
"""

import hashlib
import hmac
import json
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from api.registry import durable
from api.registry.access import ACTIONS, Access, Action, Grant, Scope
from api.registry.credentials import CredentialsRefusedError

_ROLES: dict[str, frozenset[Action]] = {"writer": frozenset(ACTIONS), "reader": frozenset({"pull"})}


@dataclass(frozen=True)
class RegistryLogin:
    """What a client needs to sign in, as it lies in `writer.json` and `reader.json`."""

    url: str
    username: str
    password: str


class FileCredentials:
    """`Credentials` out of `credentials.json`. Every repository is open to both users, which lets the writer make new ones."""

    def __init__(self, hashes: dict[str, str]) -> None:
        self._hashes = hashes

    @classmethod
    def open(cls, folder: Path, *, url: str) -> "FileCredentials":
        """Read the credentials, making them if need be, and write `url` into those plain files that are still there."""
        stored = folder / "credentials.json"
        if stored.exists():
            for role in _ROLES:
                _move_login(folder / f"{role}.json", url)
        else:
            # The hashes come last: as long as they aren't there, the next start makes everything anew.
            logins = [RegistryLogin(url, role, secrets.token_urlsafe(32)) for role in _ROLES]
            for login in logins:
                _write_json(folder / f"{login.username}.json", asdict(login))
            _write_json(stored, {login.username: _hash(login.password) for login in logins})
        return cls(json.loads(stored.read_text()))

    async def grant(self, username: str, password: str, scopes: tuple[Scope, ...]) -> Grant:
        """All that the user may do with the repositories in `scopes`. These credentials can be used any number of times."""
        expected = self._hashes.get(username, "")
        if username not in _ROLES or not hmac.compare_digest(expected.encode(), _hash(password).encode()):
            raise CredentialsRefusedError("the username or the password is wrong")
        return Grant(username, tuple(Access(scope.repository, _ROLES[username]) for scope in scopes))


def _move_login(path: Path, url: str) -> None:
    try:
        login = RegistryLogin(**json.loads(path.read_text()))
    except FileNotFoundError:
        return
    if login.url != url:
        _write_json(path, asdict(RegistryLogin(url, login.username, login.password)))


def _write_json(path: Path, content: dict[str, str]) -> None:
    durable.write_file(path, json.dumps(content, indent=2).encode() + b"\n")


def _hash(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()
