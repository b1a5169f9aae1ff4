"""Job logs: how large one may be, and removing old ones."""

from pydantic import Field

from api.contract.base import Model, Timestamp

JOB_LOG_BYTES = 256 * 1024 * 1024
"""At most so many bytes of text are kept of one job, all attempts together."""


class LogEnd(Model):
    """The data of the event `end`, the last one of a log's stream.

    `outcome` is the job's, or `retried` if the stream was asked for one attempt that another one has followed.
    """

    outcome: str
    message: str = Field(default="", description="Why it failed.")


class LogPrune(Model):
    """Remove the logs of jobs that ended long ago."""

    older_than_seconds: int = Field(ge=0, le=100 * 366 * 86400, description="Since the job's end.")


class LogsPruned(Model):
    """What was removed. `more` says that there is more to remove: ask again."""

    jobs: int = 0
    chunks: int = 0
    bytes: int = Field(default=0, description="Bytes of text.")
    ended_before: Timestamp
    more: bool = False
