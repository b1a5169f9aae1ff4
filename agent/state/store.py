"""Where state is kept: objects by name that change only for who knows what they are now."""

from dataclasses import dataclass
from typing import Protocol

from agent.failure import CodedError


class StateUnreachableError(CodedError):
    """The place where state is kept doesn't answer, or refuses."""

    code = "state_unreachable"
    retryable = True
    remedy = "Check that the agent can reach the place that --state names, and may read, write, list and delete there."


class MovedOnError(Exception):
    """The object isn't what the writer thought it is: somebody else has written it."""


@dataclass(frozen=True)
class Found:
    """An object as it was read. `tag` stands for exactly this content."""

    data: bytes
    tag: str


class Store(Protocol):
    """Objects by name (`a/b/c`). All methods block and raise StateUnreachableError; any thread may call them.

    `sole-writer`: of two writers that know the same tag, one writes, and the other gets MovedOnError.
    """

    @property
    def place(self) -> str:
        """Where it is, as --state names it."""
        ...

    @property
    def remote(self) -> bool:
        """Whether it outlives this machine's disk."""
        ...

    def read(self, name: str) -> Found | None:
        """An object, or None if there is none."""
        ...

    def write(self, name: str, data: bytes, tag: str | None) -> str:
        """Replace the object whose tag is `tag`, or make it if that is None; gives the new tag. Raises MovedOnError.

        After StateUnreachableError, it may have been written or not.
        """
        ...

    def delete(self, name: str) -> None:
        """Remove an object, if it is there."""
        ...

    def names(self, prefix: str) -> list[str]:
        """The names that begin with `prefix`, sorted."""
        ...
