"""What the routes for watchers answer."""

from typing import Literal

from pydantic import Field

from api.contract.base import Model


class Liveness(Model):
    """The process lives."""

    status: Literal["ok"] = "ok"


class Readiness(Model):
    """Whether the IMS can do its work."""

    ready: bool = Field(description="Whether requests should be sent here.")
    reasons: list[str] = Field(description="Why not, in words; empty if it is ready.")
