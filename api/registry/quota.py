"""How much room blobs may take, in the whole registry and in one repository. Manifests and tags don't count: they are small."""

from collections.abc import Callable
from dataclasses import dataclass

from api.registry.errors import QuotaExceededError


@dataclass(frozen=True)
class Quota:
    """Bytes of blobs; None is no limit. A blob of two repositories counts once for the whole, and in each of them."""

    whole: int | None = None
    repository: int | None = None


@dataclass(frozen=True)
class UnderWay:
    """Bytes of other uploads that aren't blobs yet: on the disk already, and about to count."""

    whole: int = 0
    repository: int = 0


NOTHING_UNDER_WAY = UnderWay()


class Usage:
    """What is used of a quota. Not for several threads at once: the storage asks while it holds its lock.

    `measure` says how many bytes a repository has; it is asked once for each, when its first blob comes.
    """

    def __init__(self, quota: Quota, measure: Callable[[str], int]) -> None:
        self.whole = 0
        self._quota = quota
        self._measure = measure
        self._repositories: dict[str, int] = {}

    def check(self, repository: str, size: int, *, new_content: bool = True, under_way: UnderWay = NOTHING_UNDER_WAY) -> None:
        """Raises QuotaExceededError if the repository can't have a blob of this size more, beside what is `under_way`."""
        whole, limit = self._quota.whole, self._quota.repository
        if whole is not None and new_content and self.whole + under_way.whole + size > whole:
            raise QuotaExceededError(
                f"a blob of {size} bytes doesn't fit into the registry: {self.whole} of {whole} bytes are used"
                f"{_coming(under_way.whole)}. Its operator can raise the quota, or collect what nothing needs any more"
            )
        if limit is not None and self._of(repository) + under_way.repository + size > limit:
            raise QuotaExceededError(
                f"a blob of {size} bytes doesn't fit into {repository}: {self._of(repository)} of {limit} bytes are used"
                f"{_coming(under_way.repository)}. The registry's operator can raise the quota of a repository, or collect "
                "what nothing needs any more"
            )

    def add(self, repository: str, size: int, *, new_content: bool) -> None:
        """The repository has a blob of this size more (or, below 0, less); its content is new (or gone)."""
        if new_content:
            self.whole += size
        if self._quota.repository is not None:
            self._repositories[repository] = self._of(repository) + size

    def _of(self, repository: str) -> int:
        if repository not in self._repositories:
            self._repositories[repository] = self._measure(repository)
        return self._repositories[repository]


def _coming(size: int) -> str:
    return f", and {size} more are on their way" if size else ""
