"""Read kubeconfig files ("Organizing Cluster Access Using kubeconfig Files")."""

import base64
import binascii
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.build.yaml_reader import YamlWrongError, load
from agent.kubernetes.errors import NoClusterError
from agent.kubernetes.exec_plugin import ExecPlugin
from agent.kubernetes.login import ClusterAccess, Login


@dataclass(frozen=True)
class _Entry:
    """A cluster, user or context with the folder that its relative paths begin at."""

    fields: Mapping[str, Any]
    folder: Path
    what: str

    def text(self, name: str) -> str | None:
        """What `name` says, if it says anything."""
        value = self.fields.get(name)
        return str(value) if value not in (None, "") else None

    def content(self, name: str) -> str | None:
        """The content of `name-data`, or of the file that `name` names."""
        try:
            if data := self.text(f"{name}-data"):
                return base64.b64decode(data, validate=True).decode()
            path = self.text(name)
            return (self.folder / path).read_text() if path else None
        except OSError as error:
            raise NoClusterError(f"{self.what}: {name}: {error.filename}: {error.strerror}") from None
        except (binascii.Error, UnicodeDecodeError):
            raise NoClusterError(f"{self.what}: {name}-data isn't base64 of a PEM file") from None


def read_kubeconfig(files: str, context: str | None, env: Mapping[str, str]) -> ClusterAccess:
    """The cluster and user of a context, or of the current one. `files` is one path or more, as KUBECONFIG has them.

    Blocks; raises NoClusterError, which names the file and the field.
    """
    merged = _Merged.of([Path(file).expanduser() for file in files.split(os.pathsep) if file])
    name = context or merged.current
    if not name:
        raise NoClusterError(f"{files} has no current context", remedy="Name one with --kube-context.")
    chosen = merged.find("contexts", name, files)
    cluster = merged.find("clusters", chosen.text("cluster") or "", files)
    user = merged.find("users", chosen.text("user") or "", files)
    server = cluster.text("server")
    if server is None:
        raise NoClusterError(f"{cluster.what} has no server")
    return ClusterAccess(
        server=server.rstrip("/"),
        namespace=chosen.text("namespace") or "default",
        login=_login(user, cluster, env),
        authority=cluster.content("certificate-authority"),
        verifies=cluster.fields.get("insecure-skip-tls-verify") is not True,
        server_name=cluster.text("tls-server-name"),
        proxy=cluster.text("proxy-url"),
    )


@dataclass
class _Merged:
    """Several files as one: of two entries with one name, the first counts."""

    entries: dict[tuple[str, str], _Entry]
    current: str = ""

    @classmethod
    def of(cls, files: list[Path]) -> "_Merged":
        merged = cls({})
        there = [file for file in files if file.is_file()]
        if not there:
            raise NoClusterError(f"there is no kubeconfig {', '.join(map(str, files)) or 'named'}")
        for file in there:
            merged._add(file)
        return merged

    def _add(self, file: Path) -> None:
        try:
            document = load(str(file), file.read_bytes())
        except OSError as error:
            raise NoClusterError(f"{file} can't be read: {error.strerror}") from None
        except YamlWrongError as error:
            raise NoClusterError(str(error)) from None
        if not isinstance(document, dict):
            raise NoClusterError(f"{file} is no kubeconfig")
        self.current = self.current or str(document.get("current-context") or "")
        for section, inner in (("clusters", "cluster"), ("users", "user"), ("contexts", "context")):
            for entry in document.get(section) or []:
                if not isinstance(entry, dict) or not isinstance(entry.get(inner) or {}, dict):
                    raise NoClusterError(f"{file}: {section} isn't a list of names with a {inner} each")
                name = str(entry.get("name"))
                found = _Entry(entry.get(inner) or {}, file.absolute().parent, f"{file}: {inner} {name!r}")
                self.entries.setdefault((section, name), found)

    def find(self, section: str, name: str, files: str) -> _Entry:
        found = self.entries.get((section, name))
        if found is None:
            has = ", ".join(sorted(each for kind, each in self.entries if kind == section)) or "none"
            raise NoClusterError(f"{files} has no {section.removesuffix('s')} {name!r}; it has: {has}")
        return found


def _login(user: _Entry, cluster: _Entry, env: Mapping[str, str]) -> Callable[[bool], Awaitable[Login]]:
    if user.fields.get("auth-provider"):
        raise NoClusterError(
            f"{user.what} has an auth-provider, which Kubernetes has not known since 1.26",
            remedy="Write the kubeconfig anew with your cloud's own tool: it then has an exec plugin.",
        )
    if isinstance(user.fields.get("exec"), dict):
        return ExecPlugin(user.fields["exec"], user.folder, user.what, _cluster_info(cluster), env).login

    async def login(_: bool) -> Login:
        token = user.text("token")
        if token_file := user.text("tokenFile"):
            token = _Entry({"tokenFile": token_file}, user.folder, user.what).content("tokenFile")
        name, password = user.text("username"), user.text("password")
        return Login(
            token=token.strip() if token else None,
            basic=(name, password) if name and password else None,
            certificate=user.content("client-certificate"),
            key=user.content("client-key"),
        )

    return login


def _cluster_info(cluster: _Entry) -> dict[str, Any]:
    """The cluster as an exec plugin is told of it."""
    names = ("server", "tls-server-name", "insecure-skip-tls-verify", "proxy-url")
    info = {name: cluster.fields[name] for name in names if name in cluster.fields}
    authority = cluster.content("certificate-authority")
    return info | ({"certificate-authority-data": base64.b64encode(authority.encode()).decode()} if authority else {})
