"""Agents' health: what an agent says about its machine, and the history that the IMS keeps of it."""

from typing import Literal

from pydantic import Field

from api.contract.base import Model, Timestamp

AgentStatus = Literal["online", "offline", "revoked"]


class Health(Model):
    """What an agent says of itself, at most once a minute, with a lease request or a heartbeat."""

    version: str = Field(max_length=64, description="The agent's version of Exclave.")
    uptime_seconds: int = Field(ge=0, description="Since the agent was started.")
    jobs: int = Field(ge=0, description="Jobs that it is at work on.")
    load: float | None = Field(default=None, ge=0, description="The machine's load of the last minute, 1 = one busy core.")
    cpus: int | None = Field(default=None, ge=1)
    memory_used_mb: int | None = Field(default=None, ge=0)
    memory_total_mb: int | None = Field(default=None, ge=0)
    disk_free_mb: int | None = Field(default=None, ge=0, description="Where the agent's home folder is.")


class HealthSample(Health):
    """One line of the history: what was reported in the minute that begins at `at`."""

    at: Timestamp
