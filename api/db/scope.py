"""Which part of the IMS a caller sees. It travels in the transaction, so that every query of a feature honours it alike."""

from dataclasses import dataclass
from typing import Any, TypeVar

from sqlmodel.sql.expression import SelectOfScalar

from api.contract.access import Reach

R = TypeVar("R")


@dataclass(frozen=True)
class Scope:
    """All of the IMS, one app (`app_id`), or one install (`install_id`) of an app.

    `scope`: what isn't in it doesn't exist for the caller. A service narrows each query for an object that a caller names, and
    each list. Whoever has an install's scope also reads its app, with components, builds and releases: a deploy needs them.
    """

    app_id: str | None = None
    install_id: str | None = None

    @property
    def reach(self) -> Reach:
        """How wide it is."""
        return "install" if self.install_id else "app" if self.app_id else "all"

    def covers(self, *, app_id: str | None, install_id: str | None) -> bool:
        """Whether something that is about an install, an app with all its installs, or (neither) the whole IMS lies in it.

        Unlike `holds`, the scope of an install doesn't cover its app.
        """
        if self.install_id is not None:
            return install_id == self.install_id
        return self.app_id is None or install_id is not None or app_id == self.app_id

    def __str__(self) -> str:
        """As the contract writes it, with the object's id."""
        return f"install:{self.install_id}" if self.install_id else f"app:{self.app_id}" if self.app_id else "all"

    def narrow(self, query: SelectOfScalar[R], *, app: Any, install: Any = None) -> SelectOfScalar[R]:
        """`query` for what is in the scope. `app` and `install` are the columns (or subqueries) that say where a row belongs.

        A row of an app as a whole has no `install`.
        """
        if self.install_id is not None and install is not None:
            return query.where(install == self.install_id)
        return query if self.app_id is None else query.where(app == self.app_id)

    def holds(self, *, app_id: str, install_id: str | None) -> bool:
        """The same for a row that is at hand. A row of an app as a whole has no `install_id`."""
        if self.install_id is not None and install_id is not None:
            return install_id == self.install_id
        return self.app_id is None or app_id == self.app_id


EVERYTHING = Scope()
"""The scope of the IMS itself, of its agents, and of tokens without a narrower one."""
