"""What can go wrong between the provider and the IMS, as exceptions. Imports no HTTP: every provider process loads it."""

from typing import Any

from provider_bridge.records import Record

Json = Any
"""What `json.loads` returns: a body of the IMS's API, a model of the contract."""


class FieldProblem(Record):
    """One field of a request's body that is wrong; `field` is its dotted path, such as `config.variables.cidr`."""

    field: str
    message: str
    remedy: str


class ProblemError(Exception):
    """The IMS refuses the request (RFC 9457 problem+json). `code` is stable: `name_taken`, `in_use`, `conflict` and so on."""

    def __init__(
        self, status: int, code: str, title: str, detail: str, remedy: str = "", errors: tuple[FieldProblem, ...] = ()
    ) -> None:
        super().__init__(f"{title}: {detail}")
        self.status = status
        self.code = code
        self.title = title
        self.detail = detail
        self.remedy = remedy
        self.errors = errors

    @property
    def is_not_there(self) -> bool:
        """Whether the IMS says that there is no such object. A 404 of a proxy, or of a wrong URL, says nothing of objects."""
        return self.status == 404 and self.code == "not_found"


class UnreachableError(Exception):
    """The IMS gives no answer, or none that is its own, for as long as the provider tries. The text names URL and reason."""


class StoppedError(Exception):
    """The user asked Terraform to stop while the provider waited to try again."""
