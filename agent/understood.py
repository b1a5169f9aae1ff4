"""Read a lease, of an IMS that may be newer than this agent.

What an answer says besides what this agent knows is ignored: a hint, a count, a time. Within a *job* that would be dangerous:
a field that isn't known may say to do less, or elsewhere. Such a job is refused, unless the field is null, false or empty,
which in the contract always means: as before. See docs/decisions/0022-newer-jobs-are-refused.md.
"""

from dataclasses import dataclass
from importlib.metadata import version

from pydantic import BaseModel, ConfigDict, ValidationError

from api.contract.agents import Finish, Lease
from api.contract.base import Failure

_NOTHING: tuple[object, ...] = (None, False, "", [], {})


@dataclass(frozen=True)
class NotUnderstood:
    """A job that this agent must not do, as its lease asks for what the agent doesn't know."""

    job_id: str
    attempt: int
    fields: tuple[str, ...]

    def report(self) -> Finish:
        """How the attempt ends."""
        failure = Failure(
            code="job_not_understood",
            message=f"the agent (Exclave {version('exclave')}) doesn't know what the job says in {', '.join(self.fields)}",
            remedy="Update the agent to the version of the IMS, and try again.",
        )
        return Finish(attempt=self.attempt, outcome="failed", failure=failure)


class _Envelope(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    job_id: str
    attempt: int


def not_understood(content: bytes) -> NotUnderstood | None:
    """What of this answer's job isn't known here. What isn't a lease at all is for others to complain about."""
    try:
        Lease.model_validate_json(content)
    except ValidationError as error:
        fields = tuple(
            ".".join(map(str, each["loc"]))
            for each in error.errors(include_url=False)
            if each["loc"][:1] == ("payload",) and not (each["type"] == "extra_forbidden" and each["input"] in _NOTHING)
        )
        if fields:
            try:
                envelope = _Envelope.model_validate_json(content)
            except ValidationError:
                return None
            return NotUnderstood(envelope.job_id, envelope.attempt, fields)
    return None
