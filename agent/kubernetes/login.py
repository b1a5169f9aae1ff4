"""One cluster, and how each call to it is signed."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Login:
    """How one call is signed: a bearer token, a name and a password, or, with neither, the client certificate alone.

    `certificate` and `key` are PEM.
    """

    token: str | None = field(default=None, repr=False)
    basic: tuple[str, str] | None = field(default=None, repr=False)
    certificate: str | None = field(default=None, repr=False)
    key: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class ClusterAccess:
    """One cluster. `login(afresh)` gives the present credentials; with `afresh`, not what was kept of an earlier call.

    `authority` is PEM, or None for the machine's own. `namespace` is the agent's own: its inventories are there.
    """

    server: str
    namespace: str
    login: Callable[[bool], Awaitable[Login]]
    authority: str | None = None
    verifies: bool = True
    server_name: str | None = None
    proxy: str | None = None
