"""Who may have a token: the interface between the token endpoint and whoever keeps the credentials."""

from typing import Protocol

from api.registry.access import Grant, Scope


class CredentialsRefusedError(Exception):
    """The credential gives nothing. `reason` is shown to the caller and logged, so it must not repeat the password."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Credentials(Protocol):
    """Judges the credentials that come to `GET /token`."""

    async def grant(self, username: str, password: str, scopes: tuple[Scope, ...]) -> Grant:
        """What this credential allows of what is asked for. Raises CredentialsRefusedError.

        Called once for each token request, so a one-time credential is consumed here, atomically. But `scopes` is empty for a
        login ping (`docker login`, a probe of `/v2/`), which wants to know only whether the credential is good: it must not
        consume anything, and its grant has no access.

        The grant may be larger than what was asked for: the endpoint narrows it. A grant that is smaller is a valid answer, and
        the registry then refuses the rest; to refuse at once (a pull ticket used for a push), raise.
        """
        ...
