"""What a caller asks for, and what it may do: the scopes and grants of the token protocol (distribution's "token scope")."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from api.registry import names

Action = Literal["pull", "push", "delete"]
ACTIONS: tuple[Action, ...] = ("pull", "push", "delete")


@dataclass(frozen=True)
class Scope:
    """Actions asked for on one repository. A `*` in the text means all of them; it never goes into a token."""

    repository: str
    actions: frozenset[Action]


@dataclass(frozen=True)
class Access:
    """What a caller may do with one repository.

    `digests` narrows pulls to these manifests and what belongs to them (`reach.Reach`); None is the whole repository.
    """

    repository: str
    actions: frozenset[Action]
    digests: frozenset[str] | None = None

    def __post_init__(self) -> None:
        if self.digests is not None and self.actions - {"pull"}:
            raise ValueError("access to some digests only is for pulls only")


@dataclass(frozen=True)
class Grant:
    """Who a caller is, and what it may do: each repository at most once."""

    subject: str
    access: tuple[Access, ...]

    def __post_init__(self) -> None:
        if len({access.repository for access in self.access}) < len(self.access):
            raise ValueError("a grant names each repository once")

    def access_to(self, repository: str, action: Action) -> Access | None:
        """The access that allows this, or None."""
        return next((one for one in self.access if one.repository == repository and action in one.actions), None)

    def narrowed(self, scopes: tuple[Scope, ...]) -> "Grant":
        """The part of the grant that these scopes ask for."""
        asked = {scope.repository: scope.actions for scope in scopes}
        narrowed = (
            Access(one.repository, one.actions & asked.get(one.repository, frozenset()), one.digests) for one in self.access
        )
        return Grant(self.subject, tuple(one for one in narrowed if one.actions))


def read_scopes(texts: Iterable[str]) -> tuple[Scope, ...]:
    """The scopes of a token request: `repository:<name>:<action>,…`, several in one text or several texts.

    Other resource types, names that aren't repositories and unknown actions ask for nothing; a repository named twice is one
    scope with the actions of both.
    """
    asked: dict[str, set[Action]] = {}
    for text in " ".join(texts).split():
        kind, _, rest = text.partition(":")
        repository, _, wanted = rest.rpartition(":")
        if kind == "repository" and names.is_repository(repository):
            words = wanted.split(",")
            asked.setdefault(repository, set()).update(action for action in ACTIONS if action in words or "*" in words)
    return tuple(Scope(repository, frozenset(actions)) for repository, actions in asked.items())
