"""What became of an install's jobs and deploys, and how long they took."""

from typing import Literal

from pydantic import Field

from api.contract.agents import JobKind, JobState
from api.contract.base import Model, Timestamp


class JobRun(Model):
    """One job of an install: its outcome, and how long it waited and ran."""

    job_id: str
    kind: JobKind
    component: str | None
    deploy_id: str | None
    outcome: JobState = Field(description="How it ended; its present state while it hasn't.")
    attempts: int
    failure_code: str | None
    queued_seconds: float = Field(description="From its making to its first lease; up to now if there was none yet.")
    run_seconds: float | None = Field(description="From its first lease to its end, retries and lost contact included.")
    created_at: Timestamp
    started_at: Timestamp | None
    ended_at: Timestamp | None


class Durations(Model):
    """Outcomes and durations of some deploys, or of one component's part in them. Cancelled ones count for no rate."""

    total: int
    succeeded: int
    failed: int
    cancelled: int
    success_rate: float | None = Field(description="Between 0 and 1; None if none has succeeded or failed.")
    p50_seconds: float | None = Field(description="Of those that succeeded: half took no longer than this.")
    p95_seconds: float | None
    last_outcome: Literal["succeeded", "failed", "cancelled"] | None
    last_ended_at: Timestamp | None


class ComponentStats(Durations):
    """The same for one component: from the begin of its first step in a deploy to the end of its last one."""

    component: str


class InstallStats(Model):
    """The newest deploys of an install that have ended, at most as many as were asked for."""

    install_id: str
    deploys: Durations
    components: list[ComponentStats]
